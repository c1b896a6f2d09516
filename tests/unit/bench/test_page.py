"""The report: complete, self-contained, and nothing in it is markup that came from outside."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from pykvm.bench.comparison import compare
from pykvm.bench.figures import figure, times
from pykvm.bench.page import as_html
from pykvm.bench.plot import as_png, require_matplotlib
from pykvm.bench.result import Measure, Ratio, Result, Skipped
from pykvm.errors import BenchError
from tests.unit.bench.recorded import RUNS, made, recorded, result

EVIL = '<script>alert("&")</script>'
SCALE = [
    Ratio("pool", "bare KVM_RUN", 1.86, 1.52, 2.2, 24, goal=1.5),
    Ratio("cold", "pool", 66.4, 47.8, 81.0, 24),
    Ratio("python", "C", 1100.0, 1050.0, 1150.0, 24, unit="ns", goal=2000.0),
    Ratio("outsb", "exit", 0.0, 0.0, 0.0, 0, skipped="rep_outs: hangs"),
]
FULL = result(
    made("cpuid", [1000.0, 1010.0, 990.0]),
    made("density-1-pss", [64.0, 65.0], "KiB"),
    made("nothing", [0.0, 0.0]),
    Skipped("hypercall", "VMCALL", "hangs"),
    scale=SCALE,
    host={"processor": "a CPU", "kvm": "nested", "mitigations": {"l1tf": "PTE"}, "cpu": None},
)
EMPTY = result()
VOID = {"meta", "rect", "path", "circle", "polyline", "br"}


class Checker(HTMLParser):
    """Sees that each element is closed, and collects what refers elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [name for name, _ in attrs if name in ("src", "href", "xlink:href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th", "tr", "li") and self.open[-1] != tag:
            raise AssertionError(f"{tag} closes {self.open[-1]}")
        if tag not in VOID:
            assert self.open.pop() == tag


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    return checker


@pytest.mark.parametrize("shown", [FULL, EMPTY, recorded(RUNS[0])], ids=["full", "empty", "real"])
def test_a_page_is_well_formed_and_needs_nothing_else(shown: Result) -> None:
    page = as_html(shown)
    found = checked(page)
    assert found.references == []
    assert not {"script", "link", "img", "iframe"} & set(found.tags)
    assert "http" not in page
    assert "url(" not in page


def test_all_is_there() -> None:
    page = as_html(FULL, compare(FULL, FULL))
    checked(page)
    for words in (
        *("cpuid", "CPUID", "1.00 µs", "64.5 KiB", "hypercall", "hangs", "1.86x", "1.52x to 2.20x"),
        *("missed", "met", "rep_outs: hangs", "l1tf: PTE", "nested", "what cpuid is"),
        *("prefers-color-scheme: dark", "How to read this", "Against the older result"),
    ):
        assert words in page, words
    assert page.count("<section>") == 3


def test_what_comes_from_outside_is_escaped() -> None:
    row = made("cpuid", [1.0, 2.0, 3.0])._replace(kind=EVIL, title=EVIL, what=EVIL, unit=EVIL)
    shown = result(
        row,
        Skipped(EVIL + "2", EVIL, EVIL),
        scale=[Ratio(EVIL, EVIL, 2.0, 1.0, 3.0, 9), Ratio(EVIL, EVIL, 2.0, 1.0, 3.0, 9, EVIL)],
        host={EVIL: EVIL, "mitigations": {EVIL: EVIL}, "kvm_modules": [EVIL]},
        command=EVIL,
    )._replace(started=EVIL)
    page = as_html(shown, compare(shown, shown))
    assert "script" not in checked(page).tags
    assert "<script" not in page


def test_many_rounds_are_not_all_drawn_beside() -> None:
    page = as_html(result(made("cpuid", [100.0] * 40)))
    assert "28 more rounds are not drawn" in page


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (0.0, "ns", "0.00 ns"),
        (42.94, "ns", "42.9 ns"),
        (999.96, "ns", "1000 ns"),
        (1000.0, "ns", "1.00 µs"),
        (12_345_678.0, "ns", "12.3 ms"),
        (2.5e12, "ns", "2500 s"),
        (1536.0, "KiB", "1.50 MiB"),
        (7.0, "apples", "7.00 apples"),
        (-1500.0, "ns", "-1.50 µs"),
    ],
)
def test_figures(value: float, unit: str, words: str) -> None:
    assert figure(value, unit) == words


def test_ratios_in_words() -> None:
    assert (times(1.5, "x"), times(1500.0, "ns")) == ("1.50x", "1.50 µs")


@pytest.mark.parametrize("shown", [FULL, recorded(RUNS[0])], ids=["full", "real"])
def test_a_picture_is_drawn(shown: Result) -> None:
    pytest.importorskip("matplotlib")
    content = as_png(shown)
    assert content.startswith(b"\x89PNG")
    assert len(content) > 10_000


def test_formulas_in_names_are_text() -> None:
    pytest.importorskip("matplotlib")
    row = made("a", [1.0, 2.0])._replace(title="$\\frac{")
    assert as_png(result(row, command="a $ b $ c")).startswith(b"\x89PNG")


def test_nothing_cannot_be_drawn() -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(BenchError, match="nothing was measured"):
        as_png(EMPTY)


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BenchError) as caught:
        require_matplotlib()
    assert re.search(r"pip install 'pykvm-vmm\[plot\]'$", str(caught.value))


def test_all_kinds_of_rows_are_drawn_in_the_recorded_run() -> None:
    rows = [row for row in recorded(RUNS[0]).rows if isinstance(row, Measure)]
    assert as_html(recorded(RUNS[0])).count("<section>") == len(rows)
