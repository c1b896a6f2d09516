"""Bins, curves and axes: nothing is lost, nothing is drawn where it is not."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pykvm.bench.shape import axis_of, cumulative, has_shape, make_axis, rebin, ticks
from tests.unit.bench.recorded import made

BUCKETS = st.lists(
    st.tuples(st.floats(1, 1e6), st.floats(0, 1e5), st.integers(1, 1000)), min_size=1, max_size=20
).map(lambda found: [(low, low + width, times) for low, width, times in found])


@given(BUCKETS, st.integers(1, 40))
def test_bins_hold_all_there_is(buckets: list[tuple[float, float, int]], bins: int) -> None:
    low, high = min(b[0] for b in buckets), max(b[1] for b in buckets)
    edges = make_axis(low, high).edges(bins)
    total = sum(times for _, _, times in buckets)
    assert sum(rebin(buckets, edges)) == pytest.approx(total)


@given(BUCKETS)
def test_a_cumulative_curve_grows_from_none_to_all(
    buckets: list[tuple[float, float, int]],
) -> None:
    edges = make_axis(min(b[0] for b in buckets), max(b[1] for b in buckets)).edges(50)
    parts = cumulative(buckets, edges)
    assert parts[0] == pytest.approx(0.0)
    assert parts[-1] == pytest.approx(1.0)
    assert parts == sorted(parts)


def test_a_bucket_is_shared_out_evenly() -> None:
    assert rebin([(10.0, 20.0, 10)], [5.0, 12.0, 14.0, 30.0]) == pytest.approx([2.0, 2.0, 6.0])
    assert rebin([(10.0, 10.0, 3)], [5.0, 10.0, 14.0]) == [0.0, 3.0]
    assert cumulative([(10.0, 20.0, 8), (30.0, 30.0, 2)], [10.0, 15.0, 30.0, 31.0]) == (
        pytest.approx([0.0, 0.4, 0.8, 1.0])
    )


@given(st.floats(1e-3, 1e9), st.floats(1.01, 1e9))
def test_ticks_are_within_and_few(low: float, factor: float) -> None:
    high = low * factor
    assume(high < 1e12)
    found = ticks(low, high)
    assert 2 <= len(found) <= 22
    assert found == sorted(set(found))
    assert low * 0.999 <= found[0]
    assert found[-1] <= high * 1.001


def test_an_axis_is_logarithmic() -> None:
    axis = make_axis(1.0, 100.0)
    assert axis.place(10.0) == pytest.approx(0.5)
    assert (axis.place(0.0), axis.place(1e9)) == (0.0, 1.0)
    assert axis.ticks == pytest.approx([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0])


def test_a_tail_does_not_take_all_the_room() -> None:
    measure = made("a", [100.0, 100.0, 100.0])
    rounds = [
        round._replace(total=round.total._replace(p99=1e6, p999=1e7)) for round in measure.rounds
    ]
    assert axis_of(measure._replace(rounds=rounds)).high < 500.0


def test_nothing_but_zeros_can_be_drawn() -> None:
    axis = axis_of(made("a", [0.0, 0.0, 0.0]))
    assert 0 < axis.low < axis.high


def test_few_values_have_no_shape() -> None:
    assert has_shape(made("a", [1.0]))
    measure = made("a", [1.0])
    few = measure._replace(rounds=[measure.rounds[0]._replace(count=5)])
    assert not has_shape(few)
