"""Whether figures that were measured again and again agree, and what they say together."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from pykvm.bench.figures import figure
from pykvm.bench.result import Measure, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykvm.bench.result import Row

TOLERANCE = 0.10
"""A round whose median is further from the middle of all disagrees."""

NEGLIGIBLE_NS = 5.0
"""Rounds that differ by less than that agree, however small their figures."""

AGREEING = 0.8
"""So large a part of the rounds has to agree."""

OWN_LOAD = 0.4
"""What is left in a load average of a benchmark that ended just before: two are to be compared."""


def judge(medians: Sequence[float], unit: str = "ns") -> Verdict:
    """Whether rounds agree.

    Args:
        medians: of each round.
        unit: theirs.
    """
    if len(medians) < 2:
        return Verdict(False, "one round: nothing to compare it with")
    middle = median(medians)
    if not middle:
        return Verdict(False, "too small: it takes no longer than what is subtracted")
    distances = [abs(value - middle) for value in medians]
    allowed = max(TOLERANCE * middle, NEGLIGIBLE_NS if unit == "ns" else 0.0)
    agree = sum(distance <= allowed for distance in distances)
    spread = (
        f"{agree} of {len(medians)} rounds agree, medians {figure(min(medians), unit)} to "
        f"{figure(max(medians), unit)}, their median absolute deviation "
        f"{figure(median(distances), unit)}"
    )
    if agree >= AGREEING * len(medians):
        return Verdict(True, spread)
    return Verdict(False, f"too noisy: {spread}")


def is_busy(load: float, processors: int) -> bool:
    """Whether others have so much to do that they are in the way."""
    return load > processors / 2 + OWN_LOAD


def judge_all(rows: Sequence[Row], load: float, processors: int) -> Verdict:
    """Whether a whole run can be trusted.

    Args:
        rows: what was measured.
        load: the host's load average when it began.
        processors: how many the host has.
    """
    measured = [row for row in rows if isinstance(row, Measure)]
    noisy = [row.kind for row in measured if not row.verdict.stable]
    words = f"{len(measured) - len(noisy)} of {len(measured)} kinds agree between their rounds"
    if noisy:
        words += f" (not {', '.join(noisy)})"
    busy = is_busy(load, processors)
    if busy:
        words += f"; the host is busy (load {load:.1f} on {processors} processors)"
    if busy or noisy:
        words += ": measure again when it is idle before you quote"
    return Verdict(not noisy and not busy and bool(measured), words)
