"""Histograms, the Python one and the C one, against sorted numbers."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.bench.histogram import BUCKETS, LARGEST, Histogram, bucket_of, limits_of

numbers = st.one_of(
    st.integers(0, 100),
    st.integers(0, 1 << 20),
    st.integers(0, LARGEST),
    # the edges of buckets
    st.builds(
        lambda power, off: min(max((1 << power) + off, 0), LARGEST),
        st.integers(0, 64),
        st.integers(-1, 1),
    ),
)


@given(numbers)
def test_a_number_is_within_its_bucket_s_limits(value: int) -> None:
    low, high = limits_of(bucket_of(value))
    assert low <= value < high
    assert (high - low - 1) * 32 <= low


def test_buckets_follow_each_other_without_a_gap() -> None:
    limits = [limits_of(bucket) for bucket in range(BUCKETS)]
    assert limits[0][0] == 0
    assert all(one[1] == next[0] for one, next in pairwise(limits))
    assert limits[-1][1] == LARGEST + 1


@given(st.lists(numbers, min_size=1, max_size=200), st.floats(0, 1))
def test_a_quantile_is_in_the_bucket_of_the_exact_one(values: list[int], q: float) -> None:
    histogram = Histogram.of(values)
    exact = sorted(values)[max(ceil(q * len(values)), 1) - 1]
    low, high = limits_of(bucket_of(exact))
    # as a float a large number may be rounded to the limit
    assert float(low) <= histogram.quantile(q) <= float(high)
    assert float(min(values)) <= histogram.quantile(q) <= float(max(values))


@given(st.lists(numbers, min_size=1, max_size=200))
def test_the_ends_are_exact(values: list[int]) -> None:
    histogram = Histogram.of(values)
    assert (histogram.minimum, histogram.maximum) == (min(values), max(values))
    assert histogram.quantile(0) == float(min(values))
    assert histogram.quantile(1) == float(max(values))


@given(st.lists(st.integers(0, 31), min_size=1, max_size=100), st.floats(0, 1))
def test_small_numbers_are_exact(values: list[int], q: float) -> None:
    exact = sorted(values)[max(ceil(q * len(values)), 1) - 1]
    assert Histogram.of(values).quantile(q) == exact


@given(st.lists(numbers, max_size=50), st.lists(numbers, max_size=50))
def test_merged_is_as_if_counted_together(one: list[int], other: list[int]) -> None:
    merged, together = Histogram.of(one), Histogram.of(one + other)
    merged.merge(Histogram.of(other))
    assert merged.buckets() == together.buckets()
    assert (merged.count, merged.minimum, merged.maximum) == (
        together.count,
        together.minimum,
        together.maximum,
    )


@given(st.lists(numbers, max_size=100))
def test_buckets_hold_all_of_it(values: list[int]) -> None:
    buckets = Histogram.of(values).buckets()
    assert sum(times for _, _, times in buckets) == len(values)
    for low, high, times in buckets:
        assert times == sum(low <= value < high for value in values)


@given(st.lists(numbers, min_size=1, max_size=100))
def test_c_counts_as_python_does(values: list[int]) -> None:
    shim = pytest.importorskip("pykvm._shim")
    theirs = shim.ffi.new("struct shim_histogram *")
    for value in values:
        shim.lib.shim_histogram_add(theirs, value)
    ours = Histogram.of(values)
    copied = Histogram.from_counts(theirs.minimum, theirs.maximum, list(theirs.buckets))
    assert theirs.count == copied.count == len(values)
    assert copied.buckets() == ours.buckets()
    assert (copied.minimum, copied.maximum) == (ours.minimum, ours.maximum)


@pytest.mark.parametrize("value", [-1, LARGEST + 1])
def test_what_has_no_bucket_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match="cannot be counted"):
        Histogram().add(value)


def test_nothing_has_no_quantile() -> None:
    with pytest.raises(ValueError, match="of 0 numbers"):
        Histogram().quantile(0.5)


def test_other_buckets_are_refused() -> None:
    with pytest.raises(ValueError, match="3 buckets, not 1920"):
        Histogram.from_counts(0, 0, [0, 0, 0])
