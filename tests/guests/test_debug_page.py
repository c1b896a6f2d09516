"""The sessions on docs/debug-api.md, as a reader types them."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "debug-api.md"


class Checker(doctest.OutputChecker):
    """Leaves alone the types of segments: of TR after reset, and whether "accessed" is noted in
    a register or in the table only, hosts differ."""

    def check_output(self, want: str, got: str, optionflags: int) -> bool:
        want, got = (re.sub(r"\btype [0-9a-f]\b", "type", text) for text in (want, got))
        return super().check_output(want, got, optionflags)


def test_its_sessions_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"^```pycon\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) > 3
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, PAGE.name, str(PAGE), 0)
    told: list[str] = []
    results = doctest.DocTestRunner(Checker()).run(test, out=told.append)
    assert results.attempted > 20
    assert not results.failed, "".join(told)
