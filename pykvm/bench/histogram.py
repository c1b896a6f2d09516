"""Histograms whose buckets grow with the numbers in them, as csrc/histogram.c fills them.

Below 32 each number has a bucket of its own.  From there on, 32 equal ones lie between a power of
two and the next: a bucket is at most 1/32 as wide as its smallest number, so that what is read
from it is off by 3.2 % at the most, whether that is 100 or a billion.
"""

from __future__ import annotations

from collections import Counter
from math import ceil
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LINEAR_BITS = 5
LINEAR = 1 << LINEAR_BITS
LARGEST = (1 << 64) - 1
BUCKETS = LINEAR * (64 - LINEAR_BITS + 1)


def bucket_of(value: int) -> int:
    """The bucket that `value` goes to.

    Args:
        value: 0 to 2^64 - 1.
    """
    if value < LINEAR:
        return value
    power = value.bit_length() - 1 - LINEAR_BITS
    return LINEAR * power + (value >> power)


def limits_of(bucket: int) -> tuple[int, int]:
    """The smallest number of a bucket, and the first that is too large for it."""
    if bucket < LINEAR:
        return bucket, bucket + 1
    power, place = divmod(bucket, LINEAR)
    low = (LINEAR + place) << (power - 1)
    return low, low + (1 << (power - 1))


class Histogram:
    """How often numbers from 0 to 2^64 - 1 occurred; it takes the same room for any count.

    Attributes:
        count: how many there are.
        minimum, maximum: the exact smallest and largest; 0 while there is none.
    """

    def __init__(self) -> None:
        self.count = self.minimum = self.maximum = 0
        self._buckets = [0] * BUCKETS

    @classmethod
    def of(cls, values: Iterable[int]) -> Self:
        """One that holds `values`."""
        histogram = cls()
        for value, times in Counter(values).items():
            histogram.add(value, times)
        return histogram

    @classmethod
    def from_counts(cls, minimum: int, maximum: int, buckets: Sequence[int]) -> Self:
        """One that holds what `pykvm.kvm.meter.Counts` says.

        Raises:
            ValueError: these are not the buckets of such a histogram.
        """
        if len(buckets) != BUCKETS:
            raise ValueError(f"{len(buckets)} buckets, not {BUCKETS}")
        histogram = cls()
        histogram.count = sum(buckets)
        histogram.minimum, histogram.maximum = minimum, maximum
        histogram._buckets = list(buckets)
        return histogram

    def add(self, value: int, times: int = 1) -> None:
        """Count `value`, once or more often.

        Raises:
            ValueError: it is negative, or 2^64 or more; or `times` is less than 1.
        """
        if not 0 <= value <= LARGEST or times < 1:
            raise ValueError(f"{value} cannot be counted {times} times")
        self._widen(value, value)
        self.count += times
        self._buckets[bucket_of(value)] += times

    def merge(self, other: Histogram) -> None:
        """Count all that `other` holds, too."""
        if not other.count:
            return
        self._widen(other.minimum, other.maximum)
        self.count += other.count
        self._buckets = [a + b for a, b in zip(self._buckets, other._buckets, strict=True)]

    def _widen(self, low: int, high: int) -> None:
        self.minimum = min(self.minimum, low) if self.count else low
        self.maximum = max(self.maximum, high)

    def quantile(self, q: float) -> float:
        """The number that a part `q` of all numbers does not exceed, by nearest rank.

        Within a bucket numbers count as evenly spread, so that it is off by less than the
        bucket is wide; the smallest and the largest number are exact.

        Args:
            q: 0 to 1.

        Raises:
            ValueError: nothing was counted, or `q` is out of range.
        """
        if not self.count or not 0 <= q <= 1:
            raise ValueError(f"the quantile {q} of {self.count} numbers")
        rank = max(ceil(q * self.count), 1)
        if rank == 1:
            return float(self.minimum)
        if rank == self.count:
            return float(self.maximum)
        for low, high, times in self.buckets():
            if rank <= times:
                value = low + (high - 1 - low) * (rank - 0.5) / times
                return min(max(value, float(self.minimum)), float(self.maximum))
            rank -= times
        raise AssertionError("fewer numbers in the buckets than were counted")

    def buckets(self) -> list[tuple[int, int, int]]:
        """The buckets that hold something, in order: smallest number, end (exclusive), count."""
        return [(*limits_of(bucket), times) for bucket, times in enumerate(self._buckets) if times]
