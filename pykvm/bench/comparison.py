"""Two results of the same benchmark: what has changed between them, and how sure that is."""

from __future__ import annotations

from math import isinf
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from pykvm.bench.figures import figure
from pykvm.bench.noise import is_busy
from pykvm.bench.result import Measure, Ratio, Skipped
from pykvm.bench.statistics import Interval, change
from pykvm.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pykvm.bench.result import Result, Row

THRESHOLD = 0.05
"""The part by which something may be slower before anybody needs to care."""

SURE = 0.99
"""Some thirty things are compared at once: at 95 %, one or two would be "sure" by chance."""

NAME = 23
"""Columns; the whole table has 80."""

SLOWER, FASTER, SAME, UNSURE = "slower", "faster", "same", "unsure"

HOST_FACTS = (
    "processor",
    "microcode",
    "kernel",
    "kvm",
    "mitigations",
    "governor",
    "clocksource",
)
"""Of `pykvm.bench.host`: where these differ, it is not only pykvm that may have changed."""


class Change(NamedTuple):
    """One thing in both results.

    Attributes:
        kind, title: as in `Measure`; of a ratio: "scale", and what is compared.
        unit: of the figures.
        old, new: the medians of the rounds' medians; of a ratio: its values.
        times: how many times as large the new one is.
        verdict: "slower" or "faster" where the change is larger than the threshold and "no change"
            is ruled out; "unsure" where it is larger, but may be none, where the rounds of one of
            the results do not agree with each other, or where one of the hosts was busy; else
            "same".
    """

    kind: str
    title: str
    unit: str
    old: float
    new: float
    times: Interval
    verdict: str


class Comparison(NamedTuple):
    """What `compare` found.

    Attributes:
        changes: in the order of the new result.
        notes: what cannot be compared, and what else differs: sentences without full stops.
        threshold: as given.
    """

    changes: list[Change]
    notes: list[str]
    threshold: float

    @property
    def slower(self) -> list[Change]:
        """What has become slower."""
        return [change for change in self.changes if change.verdict == SLOWER]

    @property
    def status(self) -> int:
        """An exit status: 1 if anything has become slower."""
        return 1 if self.slower else 0


def compare(old: Result, new: Result, threshold: float = THRESHOLD) -> Comparison:
    """Hold two results of the same benchmark against each other.

    Args:
        old, new: the results.
        threshold: the part by which something must differ to be called slower or faster.

    Raises:
        BenchError: they have nothing in common.
    """
    before = {row.kind: row for row in old.rows}
    notes = list(_host_notes(old, new))
    changes = []
    quiet = not (_was_busy(old) or _was_busy(new))
    stamp = max(_stamp(old), _stamp(new))
    for row in new.rows:
        found = _compare_rows(before.pop(row.kind, None), row, threshold, quiet, stamp)
        if isinstance(found, Change):
            changes.append(found)
        elif found:
            notes.append(found)
    notes += [f"{row.kind}: only the old result has it" for row in before.values()]
    if not changes and not set(map(_kind, old.rows)) & set(map(_kind, new.rows)):
        raise BenchError(
            f"nothing to compare: the results of `{old.command}` and `{new.command}` have no "
            "kind in common"
        )
    changes += _compare_scales(old.scale, new.scale, threshold, quiet)
    return Comparison(changes, notes, threshold)


def _kind(row: Row) -> str:
    return row.kind


def _host_notes(old: Result, new: Result) -> Iterator[str]:
    for name in HOST_FACTS:
        then, now = (str(result.host.get(name) or "unknown") for result in (old, new))
        if then != now:
            yield f"not the same {name}: {then}, now {now}"
    for which, result in (("old", old), ("new", new)):
        if not result.verdict.stable:
            yield f"the {which} result is doubtful: {result.verdict.words}"


def _was_busy(result: Result) -> bool:
    """Whether the host had other things to do, which slow all rounds of a kind, or of none.

    Ratios, measured pair by pair, stand it.
    """
    load, processors = result.host.get("load"), result.host.get("processors")
    if not isinstance(load, int | float) or not isinstance(processors, int):
        return False
    return is_busy(load, processors)


def _stamp(result: Result) -> float:
    """What was subtracted from each time that a guest took, in ns; a fraction of it on most hosts.

    Where RDTSC is slow it is more than what is left.
    """
    ns = result.host.get("guest_stamp_ns")
    return float(ns) if isinstance(ns, int | float) else 0.0


def _compare_rows(
    old: Row | None, new: Row, threshold: float, quiet: bool, stamp: float
) -> Change | str:
    """The change, or why there is none to be told; "" where neither was measured."""
    if old is None:
        return f"{new.kind}: only the new result has it"
    if isinstance(new, Skipped):
        return "" if isinstance(old, Skipped) else f"{new.kind}: no longer measured: {new.reason}"
    if isinstance(old, Skipped):
        return f"{new.kind}: only now measured; it was not, since: {old.reason}"
    if old.unit != new.unit:
        return f"{new.kind}: in {new.unit}, and {old.unit} before"
    then, now = medians(old), medians(new)
    try:
        times = change(then, now, SURE)
    except ValueError:
        return f"{new.kind}: too short to be compared"
    # the clocks of two processes agree to a part of what they showed, not of what is left of that
    shown = stamp if old.unit == "ns" and not any(r.outside.p50 for r in old.rounds) else 0.0
    judged = _judge(times, threshold * (1 + shown / median(then)))
    if judged != SAME and not (quiet and old.verdict.stable and new.verdict.stable):
        judged = UNSURE
    return Change(new.kind, new.title, new.unit, median(then), median(now), times, judged)


def medians(measure: Measure) -> list[float]:
    """Each round's median."""
    return [round.total.p50 for round in measure.rounds]


def _compare_scales(
    old: Sequence[Ratio], new: Sequence[Ratio], threshold: float, quiet: bool
) -> Iterator[Change]:
    """Ratios have limits already, each 95 % sure: where these do not overlap, they differ.

    Those that are differences, in ns, are longer on a busy host, as kinds are.
    """
    before = {(ratio.name, ratio.base, ratio.unit): ratio for ratio in old}
    for ratio in new:
        then = before.get((ratio.name, ratio.base, ratio.unit))
        if then is None or then.skipped or ratio.skipped:
            continue
        if min(then.low, then.value, ratio.value, ratio.low) <= 0:
            continue  # a difference that may be none
        times = Interval(
            ratio.value / then.value, ratio.low / then.high, ratio.high / then.low, SURE
        )
        judged = _judge(times, threshold)
        if judged != SAME and not (quiet or ratio.unit == "x"):
            judged = UNSURE
        name = f"{ratio.name} / {ratio.base}"
        yield Change("scale", name, ratio.unit, then.value, ratio.value, times, judged)


def _judge(times: Interval, threshold: float) -> str:
    if 1 / (1 + threshold) <= times.value <= 1 + threshold:
        return SAME
    if not times.excludes(1.0):
        return UNSURE
    return SLOWER if times.value > 1 else FASTER


def as_text(comparison: Comparison) -> str:
    """The comparison as a table, then notes, then one line of verdict."""
    lines = [f"{'':{NAME}}{'old':>10}{'new':>10}{'change':>9}  99 % sure"]
    for found in comparison.changes:
        name = found.title if found.kind == "scale" else found.kind
        if len(name) >= NAME:
            lines.append(name)
            name = ""
        mark = {SAME: "", UNSURE: UNSURE}.get(found.verdict, found.verdict.upper())
        lines.append(
            f"{name:{NAME}}{figure(found.old, found.unit):>10}{figure(found.new, found.unit):>10}"
            f"{signed(found.times.value):>9}  {limits(found.times):18}{mark}".rstrip()
        )
    lines += [f"note: {note}" for note in comparison.notes]
    return "\n".join((*lines, conclusion(comparison), ""))


def conclusion(comparison: Comparison) -> str:
    """One line: whether anything is slower."""
    limit = f"{100 * comparison.threshold:g} %"
    slower = len(comparison.slower)
    if slower:
        return f"{slower} of {len(comparison.changes)} are slower by more than {limit}, for sure"
    return f"none of {len(comparison.changes)} is slower by more than {limit} for sure"


def signed(times: float) -> str:
    """A change in percent."""
    if isinf(times):
        return "?"
    percent = 100 * (times - 1)
    return f"{percent:+.1f} %" if abs(percent) < 100 else f"{percent:+.0f} %"


def limits(times: Interval) -> str:
    """The limits of a change, or that there are none."""
    if not times.confidence:
        return "too few rounds"
    return f"{signed(times.low).removesuffix(' %')} to {signed(times.high)}"
