"""Counts of durations, of which percentiles are wanted, in bounded memory."""

from __future__ import annotations

from collections import Counter

PRECISION = 7
"""Values are kept to so many binary digits behind the first: to less than 1 %."""


class Histogram:
    """How often which value came, to less than 1 %: a guest may exit for ever.

    Buckets are as wide as 1/128 of the power of two they are in, and narrower values than 256 have
    one each.

    Attributes:
        count: how many values.
        total: their sum, exactly.
    """

    def __init__(self) -> None:
        self.count = 0
        self.total = 0
        self._buckets: Counter[tuple[int, int]] = Counter()

    def add(self, value: int) -> None:
        """Count a value of 0 or more."""
        self.count += 1
        self.total += value
        shift = max(value.bit_length() - PRECISION - 1, 0)
        self._buckets[shift, value >> shift] += 1

    def percentile(self, percent: float) -> int:
        """The smallest value that at least `percent` % of all do not exceed (nearest rank).

        It may be less than 1 % too high.  0 if there are none.
        """
        wanted = percent * self.count / 100
        seen = 0
        highest = 0
        for shift, upper in sorted(self._buckets):
            seen += self._buckets[shift, upper]
            highest = (upper + 1 << shift) - 1
            if seen >= wanted:
                break
        return highest
