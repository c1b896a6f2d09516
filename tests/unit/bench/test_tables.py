"""The tables of `pykvm bench` fit 80 columns, whatever was measured."""

from __future__ import annotations

import pytest

from pykvm.bench.noise import judge
from pykvm.bench.result import Measure, Ratio, Result, Round, Row, Skipped, Spread, Verdict
from pykvm.cli.bench_tables import as_tables, brief, short

HOST = {
    "processor": "A Processor With A Long Name (TM) 9999X",
    "processors": 256,
    "cpu": 255,
    "governor": "performance",
    "kernel": "6.18.44",
    "python": "3.11.7",
    "load": 12.34,
    "stamp_words": "a note " * 30,
}


def measure(kind: str, ns: float, medians: list[float]) -> Measure:
    spread = Spread(*[ns] * 6)
    rounds = [Round(1, spread, spread, spread, spread, [])] * len(medians)
    return Measure(kind, kind, "ns", "what", rounds, judge(medians))


@pytest.mark.parametrize("ns", [0.0, 9.96, 99.6, 9999.6, 99_960.0, 999_960.0, 9.9996e9, 1e12])
def test_figures_fit(ns: float) -> None:
    rows: list[Row] = [
        measure("mmio-write-coalesced", ns, [ns or 100.0] * 2),
        measure("mmio-write-coalesced", ns, [100.0, 900.0]),
        measure("mmio-write-coalesced", ns, [100.0]),
        Skipped("mmio-write-coalesced", "", "a reason " * 20),
    ]
    ratio = Ratio("device in Python", "bare KVM_RUN loop in C", 54321.0, 5e4, 6e4, 200, "ns", 1e3)
    result = Result(1, "", "", HOST, rows, [ratio], Verdict(False, "words " * 40))
    text = as_tables(result)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "MISSED" in text
    assert [row.split()[1] for row in text.splitlines() if "mmio" in row][1:3] == ["noisy", "round"]


@pytest.mark.parametrize(
    ("ns", "text"),
    [
        (0.0, "0.0"),
        (4.25, "4.2"),
        (9.96, "10"),
        (812.4, "812"),
        (9999.4, "9999"),
        (12_345.0, "12.3k"),
        (123_456.0, "123k"),
        (999_960.0, "1.00M"),
        (4_090_000.0, "4.09M"),
        (1.2e12, "1200G"),
    ],
)
def test_numbers_are_short(ns: float, text: str) -> None:
    assert short(ns) == text


def test_verdicts_are_told_by_a_word() -> None:
    assert brief(judge([0.0, 0.0])) == "small"
