"""Quantiles against numpy, confidence against counting, and both on recorded samples."""

from __future__ import annotations

import math
import random
from itertools import combinations, product
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.bench.statistics import (
    CONFIDENCE,
    EXACT,
    arrangements,
    change,
    deviation,
    median_interval,
    paired_ratio,
    quantile,
    spread,
)
from tests.unit.bench.recorded import RUNS, medians

numpy = pytest.importorskip("numpy")

KINDS = ("pio-out-c", "cpuid")
SAMPLES = [medians(run, kind) for run in RUNS for kind in KINDS]
FIGURES = st.floats(1e-3, 1e9)


@pytest.mark.parametrize("values", SAMPLES)
@pytest.mark.parametrize("q", [0.0, 0.1, 0.25, 0.5, 0.9, 0.99, 1.0])
def test_quantiles_of_recorded_samples_are_numpy_s(values: list[float], q: float) -> None:
    assert quantile(values, q) == pytest.approx(numpy.quantile(values, q), rel=1e-12)


@pytest.mark.parametrize("values", SAMPLES)
def test_deviations_of_recorded_samples_are_numpy_s(values: list[float]) -> None:
    theirs = numpy.median(numpy.abs(numpy.array(values) - numpy.median(values)))
    assert deviation(values) == pytest.approx(theirs, rel=1e-9)


@given(st.lists(FIGURES, min_size=1, max_size=60), st.floats(0, 1))
def test_quantiles_are_numpy_s(values: list[float], q: float) -> None:
    assert quantile(values, q) == pytest.approx(numpy.quantile(values, q), rel=1e-9)


@given(st.lists(FIGURES, min_size=1, max_size=60))
def test_a_spread_is_in_order_and_within(values: list[float]) -> None:
    found = spread(values)
    assert list(found) == sorted(found)
    assert (found.minimum, found.maximum) == (min(values), max(values))
    assert found.p50 == pytest.approx(median(values))


@pytest.mark.parametrize(("values", "q"), [([], 0.5), ([1.0], -0.1), ([1.0], 1.1)])
def test_there_is_no_such_quantile(values: list[float], q: float) -> None:
    with pytest.raises(ValueError, match="the quantile"):
        quantile(values, q)


def test_the_limits_of_a_median_are_those_of_the_textbook() -> None:
    # binomial tables: of 20 the 6th and the 15th, 95.86 %; of 6 the extremes, 96.88 %
    twenty = median_interval([float(n) for n in range(1, 21)])
    assert (twenty.low, twenty.high) == (6.0, 15.0)
    assert twenty.confidence == pytest.approx(0.9586, abs=5e-5)
    six = median_interval([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    assert (six.value, six.low, six.high) == (3.5, 1.0, 6.0)
    assert six.confidence == pytest.approx(0.96875)


def test_few_values_are_not_sure() -> None:
    five = median_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (five.low, five.high, five.confidence) == (1.0, 5.0, 0.9375)
    assert not five.excludes(9.0)
    assert median_interval([7.0]) == (7.0, 7.0, 7.0, 0.0)


@given(st.lists(FIGURES, min_size=1, max_size=80))
def test_the_limits_of_a_median_hold_as_often_as_they_say(values: list[float]) -> None:
    found = median_interval(values)
    ordered = sorted(values)
    assert ordered[0] <= found.low <= found.value <= found.high <= ordered[-1]
    if len(values) > 5:
        assert found.confidence >= CONFIDENCE


def test_the_limits_hold_the_true_median() -> None:
    chance = random.Random(1)
    runs = 1000
    held = 0
    for _ in range(runs):
        found = median_interval([chance.expovariate(1.0) for _ in range(15)])
        held += found.low <= math.log(2) <= found.high
    assert 0.95 < held / runs < 0.985  # 96.5 % is what is meant


def test_a_ratio_is_by_pairs() -> None:
    # the host becomes ten times slower half way: each pair still says twice as long
    pairs = [(2.0 * speed, speed) for speed in (1.0, 1.1, 0.9, 1.0, 10.0, 11.0, 9.0, 10.5)]
    found = paired_ratio(pairs)
    assert (found.value, found.low, found.high) == pytest.approx((2.0, 2.0, 2.0))
    with pytest.raises(ValueError, match="took no time"):
        paired_ratio([(1.0, 0.0)])


@pytest.mark.parametrize(("m", "n"), list(product(range(1, 5), range(1, 5))))
def test_arrangements_are_what_counting_finds(m: int, n: int) -> None:
    counts = [0] * (m * n + 1)
    for places in combinations(range(m + n), m):
        others = [place for place in range(m + n) if place not in places]
        counts[sum(a > b for a in places for b in others)] += 1
    assert arrangements(m, n) == counts


def test_a_change_has_the_limits_of_the_mann_whitney_test() -> None:
    # tables of U for 5 and 5: 2 at 5 %, so that the third smallest and largest are the limits
    old, new = [1.0, 2.0, 4.0, 8.0, 16.0], [3.0, 6.0, 12.0, 24.0, 48.0]
    ratios = sorted(b / a for a in old for b in new)
    found = change(old, new)
    assert (found.low, found.value, found.high) == pytest.approx((ratios[2], 3.0, ratios[-3]))
    assert found.confidence == pytest.approx(1 - 2 * 4 / 252)


def test_three_rounds_are_never_sure() -> None:
    found = change([1.0, 1.0, 1.0], [9.0, 9.0, 9.0])
    assert found.value == pytest.approx(9.0)
    assert found.confidence == 0.0
    assert not found.excludes(1.0)


@pytest.mark.parametrize(("old", "new"), [([], [1.0]), ([1.0], []), ([1.0], [0.0])])
def test_there_is_no_such_change(old: list[float], new: list[float]) -> None:
    with pytest.raises(ValueError, match="a change"):
        change(old, new)


@given(
    st.lists(st.floats(1, 1e6), min_size=5, max_size=12),
    st.lists(st.floats(1, 1e6), min_size=5, max_size=12),
    st.floats(0.1, 10),
)
def test_a_change_follows_what_changes(old: list[float], new: list[float], by: float) -> None:
    one, more = change(old, new), change(old, [by * value for value in new])
    assert one.low <= one.value <= one.high
    assert one.confidence >= CONFIDENCE
    for a, b in zip(one[:3], more[:3], strict=True):
        assert b == pytest.approx(by * a, rel=1e-6)
    back = change(new, old)
    assert (back.low, back.value, back.high) == pytest.approx(
        (1 / one.high, 1 / one.value, 1 / one.low), rel=1e-6
    )


def test_no_change_is_rarely_excluded() -> None:
    chance = random.Random(2)
    runs = 600
    wrong = 0
    for _ in range(runs):
        old, new = ([chance.lognormvariate(0, 0.3) for _ in range(7)] for _ in range(2))
        wrong += change(old, new).excludes(1.0)
    assert wrong / runs < 0.06


def test_many_values_are_compared_alike_by_the_approximation() -> None:
    chance = random.Random(3)
    old, new = ([chance.lognormvariate(0, 0.3) for _ in range(EXACT // 2)] for _ in range(2))
    exact, near = change(old, new), change([*old, median(old)], new)
    assert near.confidence == CONFIDENCE
    assert (near.low, near.high) == pytest.approx((exact.low, exact.high), rel=0.02)
