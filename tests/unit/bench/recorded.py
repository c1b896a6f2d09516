"""Results that were recorded, and made up."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pykvm.bench.reading import read_result
from pykvm.bench.result import SCHEMA, Measure, Ratio, Result, Round, Skipped, Spread, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = Path(__file__).parents[2] / "data" / "bench"
RUNS = ("exits-first.json", "exits-second.json")
"""`pykvm bench exits`, twice in a row on one host: some kinds, without their histograms."""

NOTHING = Spread(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
FINE = Verdict(True, "fine")


def recorded(name: str) -> Result:
    """One of RUNS."""
    return read_result(str(DATA / name))


def medians(name: str, kind: str) -> list[float]:
    """The medians of the rounds of a recorded kind."""
    row = next(row for row in recorded(name).rows if row.kind == kind)
    assert isinstance(row, Measure)
    return [round.total.p50 for round in row.rounds]


def made_round(p50: float, count: int = 100) -> Round:
    """A round with a plain shape around `p50`."""
    total = Spread(0.9 * p50, p50, 1.2 * p50, 1.5 * p50, 2 * p50, 9 * p50)
    histogram = [
        (0.9 * p50, 1.0 * p50, count // 2),
        (1.0 * p50, 1.1 * p50, count // 4),
        (1.1 * p50, 2.0 * p50, count - count // 2 - count // 4),
    ]
    return Round(count, total, NOTHING, NOTHING, NOTHING, histogram)


def made(kind: str, medians: Sequence[float], unit: str = "ns", verdict: Verdict = FINE) -> Measure:
    """A measurement whose rounds have these medians."""
    rounds = [made_round(median) for median in medians]
    return Measure(kind, kind.upper(), unit, f"what {kind} is", rounds, verdict)


def result(
    *rows: Measure | Skipped,
    scale: Sequence[Ratio] = (),
    host: dict[str, object] | None = None,
    command: str = "pykvm bench exits",
) -> Result:
    """A result of these rows."""
    facts = {"processor": "a CPU", "kernel": "6.1", "load": 0.1} if host is None else host
    started = "2026-01-02T03:04:05+00:00"
    return Result(SCHEMA, command, started, facts, list(rows), list(scale), FINE)
