"""What the README shows is what happens."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

import pytest

from pykvm.manifest import guests_folder, load_manifest

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
OUTPUTS = ["ding 7!\nhalted\n", "12 0xfff0\n"]


@pytest.mark.parametrize(("example", "output"), list(zip(EXAMPLES, OUTPUTS, strict=True)))
def test_the_examples_run_and_print_what_they_say(example: str, output: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(example, "README.md", "exec"), {"__name__": "example"})
    assert printed.getvalue() == output
    for line in output.splitlines():
        assert line in example.rsplit("#", 1)[1]


def test_the_first_example_is_short() -> None:
    lines = [line for line in EXAMPLES[0].splitlines() if line.strip()]
    assert len(lines) <= 15


def test_the_guest_table_is_the_manifest() -> None:
    folder = guests_folder()
    assert folder is not None
    rows = dict(re.findall(r"^\| `(\w+)` \| .* \| (\d+) \|$", README, flags=re.MULTILINE))
    assert rows == {g.name: str(g.status) for g in load_manifest(folder).values()}
    for guest in load_manifest(folder).values():
        assert guest.summary in README
