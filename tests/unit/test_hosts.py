"""The table of hosts: it is what the doctor said, and the page shows it."""

from __future__ import annotations

import json

import pytest

from pykvm.kvm.probes import all_probes
from tests.support.hosts import PAGE, Report, page_with, reports, table
from tests.svm.suite import differences


def report(name: str, **probes: bool) -> Report:
    found = [
        {"name": probe, "description": f"what {probe} is", "ok": ok, "words": f"so {ok}"}
        for probe, ok in probes.items()
    ]
    members = {"kind": "nested", "kernel": "6.1", "processor": {"model": "Z80"}, "probes": found}
    return Report.of(name, json.dumps(members))


def test_each_probe_of_each_host_is_in_the_table() -> None:
    text = table([report("a", x=True, y=False), report("b", y=True, z=True)])
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]
    assert rows[0] == ["", "`a`", "`b`"]
    assert ["what x is (`x`)", "yes", "not probed"] in rows
    assert ["what y is (`y`)", "no (so False)", "yes"] in rows
    assert ["kind of KVM", "nested", "nested"] in rows


def test_only_differences_are_told() -> None:
    text = differences(report("a", x=True, y=False, z=False), report("b", x=True, y=True, z=False))
    assert "1 of 3 probes differ" in text
    assert "y: here no (so False), there yes" in text
    assert "x:" not in text


def test_the_page_shows_the_hosts() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page_with(page, reports()) == page, "`make hosts` is due"


@pytest.mark.parametrize("host", reports(), ids=lambda host: host.name)
def test_a_host_s_probes_are_probes(host: Report) -> None:
    assert set(host.probes) <= set(all_probes())
