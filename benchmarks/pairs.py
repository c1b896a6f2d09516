"""Comparing two things on a noisy machine: in one run, turn by turn, as a ratio."""

from __future__ import annotations

import math
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

Measure = Callable[[], float]
"""Does the thing once and returns what it took, in seconds."""

Taken = TypeVar("Taken")


class Comparison(NamedTuple):
    """What came of it; times in seconds, medians over the pairs.

    Attributes:
        subject, reference: the times of the two.
        ratio: the median of the pairs' ratios.
        low, high: the quartiles of the pairs' ratios.
        pairs: how many.
    """

    subject: float
    reference: float
    ratio: float
    low: float
    high: float
    pairs: int


def compare(subject: Measure, reference: Measure, pairs: int) -> Comparison:
    """Measure both in turn, `pairs` times, each pair in the other order than the one before."""
    times = take_turns((subject, reference), pairs)
    low, ratio, high = statistics.quantiles([a / b for a, b in times], n=4)
    return Comparison(
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        ratio,
        low,
        high,
        pairs,
    )


def take_turns(measures: Sequence[Callable[[], Taken]], rounds: int) -> list[list[Taken]]:
    """Measure all of them once a round, each round beginning with the next one.

    Each is measured once more before all that, which does not count.

    Returns:
        for each round what they took, in the order of `measures`.
    """
    for measure in measures:
        measure()
    taken = []
    for i in range(rounds):
        first = i % len(measures)
        turns = [measure() for measure in (*measures[first:], *measures[:first])]
        taken.append([*turns[len(measures) - first :], *turns[: len(measures) - first]])
    return taken


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Where the median of all that could be measured lies, with 95 % confidence at the least.

    Two order statistics: how many of the values lie below that median is binomial, whatever their
    distribution.  Fewer than six cannot say so much: then it is the least and the greatest.
    """
    ordered = sorted(values)
    n = len(ordered)
    left_out, tail = 0, 1
    # `tail` of 2 ** n outcomes have no more than `left_out` of n values on one side
    while 40 * (tail := tail + math.comb(n, left_out + 1)) <= 2**n:
        left_out += 1
    return ordered[left_out], ordered[-1 - left_out]


def users_environment() -> dict[str, str]:
    """This process's environment, in which Python caches bytecode, as it does for a user."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def host_line() -> str:
    """The facts without which a figure means nothing, in one line."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return (
        f"{names[0] if names else 'unknown CPU'} x {os.cpu_count()}, "
        f"Linux {platform.release()}, Python {platform.python_version()}, "
        f"load {os.getloadavg()[0]:.2f}"
    )


def verdict(name: str, result: Comparison, goal: float) -> str:
    """One line for the table: the ratio, its quartiles, and whether the goal is met."""
    met = "met" if result.ratio <= goal else "MISSED"
    return (
        f"{name}: {result.ratio:.3f} (quartiles {result.low:.3f} to {result.high:.3f}, "
        f"{result.pairs} pairs; goal <= {goal}: {met})"
    )
