"""From samples that a suite has taken to the rows of its result."""

from __future__ import annotations

from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

from pykvm.bench.histogram import Histogram
from pykvm.bench.noise import judge, judge_all
from pykvm.bench.result import SCHEMA, Measure, Ratio, Result, Round, Spread
from pykvm.bench.statistics import paired_ratio, spread
from pykvm.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

    from pykvm.bench.options import Options
    from pykvm.bench.result import Row

NOTHING = Spread(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
PLACES = 3
"""So many digits behind the point are kept."""


def now() -> str:
    """The time, as `Result.started` has it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def chosen(only: Sequence[str], kinds: Collection[str]) -> set[str]:
    """The kinds of these names, all for none.

    Raises:
        BenchError: there is no kind of such a name.
    """
    for name in only:
        if name not in kinds:
            near = get_close_matches(name, list(kinds), 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(kinds)}"
            raise BenchError(f"there is no kind {name!r} to measure: {hint}")
    return set(only or kinds)


def round_of(values: Sequence[float]) -> Round:
    """A round in which a thing was measured from outside, so that it has no parts.

    Args:
        values: at least one, not negative.
    """
    total = Spread(*(round(figure, PLACES) for figure in spread(values)))
    # in thousandths: figures of a few ns, or KiB, are told apart, too
    unit = 10**PLACES
    histogram = Histogram.of(int(value * unit) for value in values)
    return Round(
        len(values),
        total,
        NOTHING,
        NOTHING,
        NOTHING,
        [(low / unit, high / unit, times) for low, high, times in histogram.buckets()],
    )


def measure_of(
    kind: str, title: str, what: str, rounds: Sequence[Sequence[float]], unit: str = "ns"
) -> Measure:
    """A row of the result.

    Args:
        kind, title, what, unit: as in `Measure`.
        rounds: the values of each round.
    """
    made = [round_of(values) for values in rounds]
    verdict = judge([one.total.p50 for one in made], unit)
    return Measure(kind, title, unit, what, made, verdict)


def pairs_of(
    subject: Sequence[Sequence[float]], base: Sequence[Sequence[float]]
) -> list[tuple[float, float]]:
    """What was measured in turn, rounds of both, pair by pair."""
    return [
        pair
        for one, other in zip(subject, base, strict=True)
        for pair in zip(one, other, strict=True)
    ]


def ratio_of(
    name: str, base: str, pairs: Sequence[tuple[float, float]], goal: float | None = None
) -> Ratio:
    """A line of the scale.

    Args:
        name, base, goal: as in `Ratio`.
        pairs: of each the first is `name`'s, the second `base`'s, measured one after the other.
    """
    found = paired_ratio(pairs)
    return Ratio(name, base, found.value, found.low, found.high, len(pairs), goal=goal)


def no_ratio(name: str, base: str, reason: str, goal: float | None = None) -> Ratio:
    """A line of the scale that could not be measured."""
    return Ratio(name, base, 0.0, 0.0, 0.0, 0, goal=goal, skipped=reason)


def result_of(
    options: Options,
    started: str,
    host: dict[str, Any],
    rows: list[Row],
    scale: list[Ratio],
) -> Result:
    """The whole, with what is to be thought of it."""
    verdict = judge_all(rows, host["load"], host["processors"])
    return Result(SCHEMA, options.command, started, host, rows, scale, verdict)
