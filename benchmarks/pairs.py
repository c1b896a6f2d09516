"""Comparing two things on a noisy machine: in one run, turn by turn, as a ratio."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

Measure = Callable[[], float]
"""Does the thing once and returns what it took, in seconds."""


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
    subject()
    reference()
    times = []
    for i in range(pairs):
        if i % 2:
            b = reference()
            a = subject()
        else:
            a = subject()
            b = reference()
        times.append((a, b))
    low, ratio, high = statistics.quantiles([a / b for a, b in times], n=4)
    return Comparison(
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        ratio,
        low,
        high,
        pairs,
    )


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
