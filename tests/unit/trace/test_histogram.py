"""Percentiles against a plain list, sorted."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pykvm.trace.histogram import Histogram

VALUES = st.lists(st.integers(0, 1 << 50) | st.integers(0, 2000), min_size=1, max_size=200)


def nearest_rank(values: list[int], percent: float) -> int:
    """The definition, word by word."""
    ordered = sorted(values)
    return ordered[max(math.ceil(percent * len(ordered) / 100), 1) - 1]


def filled(values: list[int]) -> Histogram:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    return histogram


@given(VALUES, st.sampled_from([1, 25, 50, 90, 99, 100]))
def test_percentiles_are_those_of_the_sorted_list(values: list[int], percent: int) -> None:
    exact = nearest_rank(values, percent)
    told = filled(values).percentile(percent)
    assert exact <= told <= exact * 1.01


@given(st.lists(st.integers(0, 255), min_size=1), st.integers(1, 100))
def test_small_values_are_exact(values: list[int], percent: int) -> None:
    assert filled(values).percentile(percent) == nearest_rank(values, percent)


@given(VALUES)
def test_count_and_total_are_exact(values: list[int]) -> None:
    histogram = filled(values)
    assert (histogram.count, histogram.total) == (len(values), sum(values))


def test_no_values_have_no_percentile() -> None:
    assert Histogram().percentile(50) == 0


def test_its_size_is_bounded() -> None:
    """However many values come, they share some thousand buckets."""
    histogram = filled([i * i * 7919 for i in range(50_000)])
    assert len(histogram._buckets) < 128 * 64
