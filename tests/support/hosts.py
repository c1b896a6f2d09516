"""Hosts that were examined: what `pykvm doctor --json` said on each, side by side.

`make hosts` writes the table of docs/testing.md anew from the files in docs/hosts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "testing.md"
TABLE = re.compile(
    r"(?<=<!-- hosts: `make hosts` writes this -->\n).*?(?=<!-- end of hosts -->)", re.S
)


class Report(NamedTuple):
    """What the doctor said of one host.

    Attributes:
        name: what to call the host.
        kind: of KVM: "hardware", "nested", "emulating" or "unknown".
        kernel, processor: its own names for them.
        probes: whether each passed, and its words, by name; none where there is no KVM.
        descriptions: what each probe is about.
    """

    name: str
    kind: str
    kernel: str
    processor: str
    probes: dict[str, tuple[bool, str]]
    descriptions: dict[str, str]

    @classmethod
    def of(cls, name: str, doctor: str | bytes) -> Self:
        """The report in the doctor's JSON."""
        members: dict[str, Any] = json.loads(doctor)
        probes = members["probes"]
        return cls(
            name,
            members["kind"],
            members["kernel"],
            members["processor"]["model"],
            {probe["name"]: (probe["ok"], probe["words"]) for probe in probes},
            {probe["name"]: probe["description"] for probe in probes},
        )

    def passes(self, probe: str) -> bool:
        """Whether a probe passes there."""
        return self.probes.get(probe, (False, ""))[0]

    def verdict(self, probe: str) -> str:
        """A probe's verdict in words."""
        if probe not in self.probes:
            return "not probed"
        passed, words = self.probes[probe]
        if not passed:
            return f"no ({words})"
        return words if probe.endswith("_time") else "yes"


def reports() -> list[Report]:
    """The hosts in docs/hosts, in the order of their files' names."""
    return [Report.of(path.stem, path.read_bytes()) for path in sorted((DOCS / "hosts").iterdir())]


def table(hosts: Sequence[Report]) -> str:
    """The hosts side by side, in Markdown: what they are, and what each probe found."""
    descriptions = {name: words for host in hosts for name, words in host.descriptions.items()}
    rows = [
        ["", *(f"`{host.name}`" for host in hosts)],
        ["---"] * (len(hosts) + 1),
        ["kind of KVM", *(host.kind for host in hosts)],
        ["kernel", *(host.kernel for host in hosts)],
        ["processor", *(host.processor for host in hosts)],
    ]
    rows += [
        [f"{words} (`{name}`)", *(host.verdict(name) for host in hosts)]
        for name, words in descriptions.items()
    ]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in rows)


def page_with(page: str, hosts: Sequence[Report]) -> str:
    """A page's text with the hosts' table in its place."""
    new, count = TABLE.subn(lambda _: table(hosts), page)
    assert count == 1, "the page has no place for the table"
    return new


if __name__ == "__main__":
    PAGE.write_text(page_with(PAGE.read_text(encoding="utf-8"), reports()), encoding="utf-8")
