"""The shape of a distribution, made ready to be drawn: bins, a cumulative curve, an axis."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, floor, log10
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pykvm.bench.result import Measure, Round

Bucket = tuple[float, float, int]

WIDEN = 1.04
"""An axis goes on by this factor behind the first and the last figure."""

FEW = 20
"""So few values have no shape."""

DECADES = 5.0
"""An axis from whose beginning to whose end is less than that has its ticks evenly in between."""

MANY_TICKS = 9

SHORTEST, LONGEST_TAIL = 1.2, 4.0
"""An axis ends behind the median at so many times it: the tail is told by figures."""


class Axis(NamedTuple):
    """A logarithmic axis.

    Attributes:
        low, high: its ends, above 0.
        ticks: where it is labelled.
    """

    low: float
    high: float
    ticks: list[float]

    def place(self, value: float) -> float:
        """Where `value` is: 0 at the beginning, 1 at the end; what lies outside, at that end."""
        inside = min(max(value, self.low), self.high)
        return log10(inside / self.low) / log10(self.high / self.low)

    def edges(self, bins: int) -> list[float]:
        """The limits of so many bins that look equally wide."""
        return [self.low * (self.high / self.low) ** (i / bins) for i in range(bins + 1)]


def buckets_of(rounds: Iterable[Round]) -> list[Bucket]:
    """The buckets of all rounds, which may overlap."""
    return [bucket for round in rounds for bucket in round.histogram]


def axis_of(measure: Measure) -> Axis:
    """An axis for most of what was measured: to 99 %, but not so far that the rest has no room.

    Where a figure is 0, which has no place on such an axis, it begins at a hundredth of the median.
    """
    totals = [round.total for round in measure.rounds]
    middle = max(total.p50 for total in totals) or 1.0
    low = min(total.minimum for total in totals)
    high = median(total.p99 for total in totals)
    return make_axis(
        max(low, middle / 100), min(max(high, SHORTEST * middle), LONGEST_TAIL * middle)
    )


def make_axis(low: float, high: float) -> Axis:
    """An axis from `low` to `high`, both above 0, and a little more."""
    low, high = low / WIDEN, high * WIDEN
    return Axis(low, high, ticks(low, high))


def ticks(low: float, high: float) -> list[float]:
    """Round numbers from `low` to `high`: two or more, and not too many."""
    if high / low < DECADES:
        return _even_ticks(low, high)
    powers = range(floor(log10(low)), ceil(log10(high)) + 1)
    for digits in ((1, 2, 5), (1,)):
        found = [digit * 10.0**power for power in powers for digit in digits]
        found = [tick for tick in found if low <= tick <= high]
        if len(found) <= MANY_TICKS:
            break
    return found


def _even_ticks(low: float, high: float) -> list[float]:
    unit = 10.0 ** floor(log10(high - low))
    for step in (unit / 10, unit / 5, unit / 2, unit, 2 * unit, 5 * unit):
        first, last = ceil(low / step), floor(high / step)
        if last - first < 6:
            return [n * step for n in range(first, last + 1)]
    raise AssertionError("ten times the difference is one step")


def rebin(buckets: Sequence[Bucket], edges: Sequence[float]) -> list[float]:
    """How many of those in `buckets` lie between each two edges; a bucket is shared out evenly.

    What lies outside of all edges is left out.
    """
    counts = [0.0] * (len(edges) - 1)
    for low, high, times in buckets:
        for i, (start, end) in enumerate(pairwise(edges)):
            counts[i] += times * _share(low, high, start, end)
    return counts


def _share(low: float, high: float, start: float, end: float) -> float:
    """The part of low..high that lies in start..end."""
    if high <= low:
        return 1.0 if start <= low < end else 0.0
    return max(min(high, end) - max(low, start), 0.0) / (high - low)


def cumulative(buckets: Sequence[Bucket], at: Sequence[float]) -> list[float]:
    """The part of all in `buckets` that lies below each value of `at`, 0 to 1."""
    total = sum(times for _, _, times in buckets) or 1
    return [
        sum(times * _below(low, high, value) for low, high, times in buckets) / total
        for value in at
    ]


def _below(low: float, high: float, value: float) -> float:
    if high <= low:
        return 1.0 if low < value else 0.0
    return min(max((value - low) / (high - low), 0.0), 1.0)


def has_shape(measure: Measure) -> bool:
    """Whether there are enough values to draw more than the rounds."""
    return sum(round.count for round in measure.rounds) >= FEW
