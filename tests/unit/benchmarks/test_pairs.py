"""Turns, and where a median lies."""

from __future__ import annotations

import math
from itertools import count

import pytest
from pairs import compare, median_interval, take_turns


def test_each_round_begins_with_the_next_and_results_stay_in_place() -> None:
    order: list[str] = []

    def named(name: str) -> str:
        order.append(name)
        return name

    measures = [lambda: named("a"), lambda: named("b"), lambda: named("c")]
    assert take_turns(measures, 4) == [["a", "b", "c"]] * 4
    assert "".join(order) == "abc" + "abc" + "bca" + "cab" + "abc"


def test_what_is_measured_first_of_all_does_not_count() -> None:
    numbers = count(1)
    assert take_turns([lambda: next(numbers)], 2) == [[2], [3]]


def test_a_comparison_is_the_median_of_the_pairs() -> None:
    subject = iter([99.0, 2.0, 8.0, 2.0])
    reference = iter([99.0, 1.0, 2.0, 2.0])
    result = compare(lambda: next(subject), lambda: next(reference), 3)
    assert (result.subject, result.reference, result.ratio, result.pairs) == (2.0, 2.0, 2.0, 3)


@pytest.mark.parametrize("n", [6, 9, 10, 39, 40, 200, 1500])
def test_the_interval_is_the_narrowest_that_holds_the_median_in_95_percent(n: int) -> None:
    low, high = median_interval([float(i) for i in reversed(range(n))])
    assert low + high == n - 1

    def confidence(left_out: int) -> float:
        tail = sum(math.comb(n, k) for k in range(left_out + 1))
        return 1.0 - float(2 * tail / 2**n)

    assert confidence(int(low)) >= 0.95
    assert confidence(int(low) + 1) < 0.95


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_values_give_the_whole_range(n: int) -> None:
    assert median_interval([float(i) for i in range(n)]) == (0.0, n - 1.0)
