"""What can be said about figures that are noisy, without assuming how the noise is distributed.

Quantiles and deviations are those of the textbooks; confidence comes from ranks alone.  Times have
long tails, several humps and steps, so that anything that takes them for normally distributed, or
looks at their mean, says what the host was doing rather than what was measured.
"""

from __future__ import annotations

from functools import cache
from math import ceil, comb, exp, floor, inf, log, sqrt
from statistics import NormalDist, median
from typing import TYPE_CHECKING, NamedTuple

from pykvm.bench.result import Spread

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95
"""How sure an interval is meant to be."""

EXACT = 100
"""Samples that have more values together are compared by the normal approximation."""


class Interval(NamedTuple):
    """An estimate, and where the true value lies.

    Attributes:
        value: the estimate.
        low, high: the limits.
        confidence: how often limits that are found like these hold the true value, 0 to 1.
    """

    value: float
    low: float
    high: float
    confidence: float

    def excludes(self, value: float) -> bool:
        """Whether `value` can be ruled out, 95 % sure at least."""
        return self.confidence >= CONFIDENCE and not self.low <= value <= self.high


def quantile(values: Sequence[float], q: float) -> float:
    """The value that a part `q` of all does not exceed, between two of them by a straight line.

    That is definition 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages" (1996).

    Args:
        values: at least one, in any order.
        q: 0 to 1.

    Raises:
        ValueError: there are no values, or `q` is out of range.
    """
    if not values or not 0 <= q <= 1:
        raise ValueError(f"the quantile {q} of {len(values)} values")
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low, high = ordered[floor(place)], ordered[ceil(place)]
    return low + (high - low) * (place - floor(place))


def deviation(values: Sequence[float]) -> float:
    """The median absolute deviation: half of the values are no farther than that from the median.

    Raises:
        ValueError: there are no values.
    """
    middle = median(values)
    return median(abs(value - middle) for value in values)


def spread(values: Sequence[float]) -> Spread:
    """How `values`, at least one, are spread."""
    return Spread(*(quantile(values, q) for q in (0.0, 0.5, 0.9, 0.99, 0.999, 1.0)))


def median_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The median, and between which values the median of all that could be measured lies.

    By order statistics: each value is above that median or below it, with even chances, so that
    how many of n are below it is distributed as heads among n coins.  Five values or fewer cannot
    make one 95 % sure; then the limits are the extremes.

    Args:
        values: at least one.
        confidence: what is wanted; `Interval.confidence` says what it is.

    Raises:
        ValueError: there are no values.
    """
    ordered = sorted(values)
    middle = median(ordered)
    count = len(ordered)
    outside, rank = 1, 1  # of 2^count: fewer than `rank` heads
    while rank < (count + 1) // 2:
        more = outside + comb(count, rank)
        if 1 - 2 * more / 2**count < confidence:
            break
        outside, rank = more, rank + 1
    sure = max(1 - 2 * outside / 2**count, 0.0)
    return Interval(middle, ordered[rank - 1], ordered[-rank], sure)


def paired_ratio(pairs: Sequence[tuple[float, float]], confidence: float = CONFIDENCE) -> Interval:
    """How many times as long as the second the first of each pair takes: the median of the ratios.

    Args:
        pairs: measured one right after the other, so that both saw the same host; all above 0.
        confidence: as for `median_interval`.

    Raises:
        ValueError: there are no pairs, or a value is not above 0.
    """
    if any(a <= 0 or b <= 0 for a, b in pairs):
        raise ValueError("a ratio of what took no time")
    return median_interval([a / b for a, b in pairs], confidence)


def change(old: Sequence[float], new: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """How many times as large as `old` `new` is, for samples that were taken independently.

    The estimate is that of Hodges and Lehmann for the shift between two samples, of logarithms: the
    median of the ratios of each value of `new` to each of `old`.  The limits are the ratios whose
    ranks the Mann-Whitney test gives; they hold whatever the distribution is.

    Args:
        old, new: values above 0, at least one each.  With three on each side no limit can be sure
            to 95 %: `Interval.confidence` is 0 then, and the limits are 0 and infinity.
        confidence: what is wanted.

    Raises:
        ValueError: there are no values, or one is not above 0.
    """
    if not old or not new or min(*old, *new) <= 0:
        raise ValueError("a change from nothing, or of what took no time")
    shifts = sorted(log(b) - log(a) for a in old for b in new)
    value = exp(median(shifts))
    rank, sure = _rank(len(old), len(new), confidence)
    if not rank:
        return Interval(value, 0.0, inf, 0.0)
    return Interval(value, exp(shifts[rank - 1]), exp(shifts[-rank]), sure)


@cache
def _rank(m: int, n: int, confidence: float) -> tuple[int, float]:
    """Which smallest and largest of the m * n shifts are the limits, from 1 on, and how sure.

    Rank 0 where no two are sure enough.
    """
    if m + n > EXACT:
        half = sqrt(m * n * (m + n + 1) / 12) * NormalDist().inv_cdf((1 + confidence) / 2)
        return max(floor(m * n / 2 - half), 0), confidence
    counts = arrangements(m, n)
    every = sum(counts)
    rank, below, sure = 0, 0, 0.0
    for ways in counts:
        below += ways
        if 1 - 2 * below / every < confidence:
            break
        rank, sure = rank + 1, 1 - 2 * below / every
    return rank, sure


def arrangements(m: int, n: int) -> list[int]:
    """In how many orders of m and n things u of the m * n pairs stand the wrong way, for each u.

    This is what the Mann-Whitney test counts: the coefficients of the Gaussian binomial.
    """
    ways = [1] + [0] * (m * n)
    for i in range(1, m + 1):
        for u in range(m * n, n + i - 1, -1):  # times 1 - q^(n + i)
            ways[u] -= ways[u - n - i]
        for u in range(i, m * n + 1):  # divided by 1 - q^i
            ways[u] += ways[u - i]
    return ways
