"""Whether rounds agree."""

from __future__ import annotations

import pytest

from pykvm.bench.noise import judge, judge_all
from pykvm.bench.result import Measure, Skipped, Verdict


@pytest.mark.parametrize(
    ("medians", "stable"),
    [
        ([100.0, 101.0, 99.0], True),
        ([100.0, 109.0, 95.0], True),
        ([100.0, 100.0, 120.0], False),  # one of three is more than a fifth of them
        ([100.0, 100.0, 100.0, 100.0, 900.0], True),  # one of five is not
        ([100.0, 100.0, 100.0, 120.0, 900.0], False),
        ([1.0, 4.0, 2.0], True),  # all within 5 ns
        ([0.0, 0.0], False),
        ([100.0], False),
    ],
)
def test_rounds_agree_or_not(medians: list[float], stable: bool) -> None:
    assert judge(medians).stable is stable


def test_noise_says_how_much() -> None:
    assert judge([100.0, 200.0, 300.0]).words == (
        "too noisy: 1 of 3 rounds agree, medians 100 ns to 300 ns, "
        "their median absolute deviation 100 ns"
    )


def row(kind: str, stable: bool) -> Measure:
    return Measure(kind, kind, "ns", "", [], Verdict(stable, ""))


def test_a_run_is_as_good_as_its_rows_and_its_host() -> None:
    good, bad, skipped = row("one", True), row("two", False), Skipped("three", "", "")
    assert judge_all([good, skipped], 0.2, 2).stable
    assert not judge_all([good, bad], 0.2, 2).stable
    assert "not two" in judge_all([good, bad], 0.2, 2).words
    assert "load 1.5 on 2" in judge_all([good], 1.5, 2).words
    assert not judge_all([good], 1.5, 2).stable
    assert not judge_all([skipped], 0.0, 2).stable
