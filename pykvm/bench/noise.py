"""Whether figures that were measured again and again agree, and what they say together."""

from __future__ import annotations

from math import comb
from statistics import median
from typing import TYPE_CHECKING

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

CONFIDENCE = 0.95


def judge(medians: Sequence[float]) -> Verdict:
    """Whether rounds agree.

    Args:
        medians: of each round, in ns.
    """
    if len(medians) < 2:
        return Verdict(False, "one round: nothing to compare it with")
    middle = median(medians)
    if not middle:
        return Verdict(False, "too small: it takes no longer than what is subtracted")
    distances = [abs(value - middle) for value in medians]
    allowed = max(TOLERANCE * middle, NEGLIGIBLE_NS)
    agree = sum(distance <= allowed for distance in distances)
    spread = (
        f"{agree} of {len(medians)} rounds agree, medians {min(medians):.0f} to "
        f"{max(medians):.0f} ns, their median absolute deviation {median(distances):.0f} ns"
    )
    if agree >= AGREEING * len(medians):
        return Verdict(True, spread)
    return Verdict(False, f"too noisy: {spread}")


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
    busy = load > processors / 2
    if busy:
        words += f"; the host is busy (load {load:.1f} on {processors} processors)"
    if busy or noisy:
        words += ": measure again when it is idle before you quote"
    return Verdict(not noisy and not busy and bool(measured), words)


def interval_of_median(values: Sequence[float]) -> tuple[float, float]:
    """Where the median lies with a confidence of 95 % at least, by order statistics.

    It needs no more of the distribution than that values are independent.  With fewer than six
    there is no such interval, and all of them are it.
    """
    ordered = sorted(values)
    count = len(ordered)
    outside = 0.0
    cut = 0
    while cut < count // 2:
        outside += comb(count, cut) / 2**count
        if 2 * outside > 1 - CONFIDENCE:
            break
        cut += 1
    at = max(cut - 1, 0)
    return ordered[at], ordered[count - 1 - at]
