"""`pykvm bench exits`: what it costs to leave the guest, for each kind of reason there is."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from difflib import get_close_matches
from itertools import count
from typing import TYPE_CHECKING

from pykvm.bench import host, loops
from pykvm.bench.calibration import Calibration, calibrate
from pykvm.bench.kinds import Bench, Kind, all_kinds
from pykvm.bench.noise import judge, judge_all
from pykvm.bench.processors import pinned
from pykvm.bench.result import SCHEMA, Measure, Ratio, Result, Round, Row, Skipped, Spread
from pykvm.errors import BenchError, PykvmError
from pykvm.kvm import probes
from pykvm.kvm.system import System

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pykvm.bench.histogram import Histogram
    from pykvm.bench.kinds import Measure as Measuring
    from pykvm.bench.options import Options, Progress
    from pykvm.bench.rig import Sample

ROUNDS, QUICK_ROUNDS = 7, 5
ROUND_SECONDS, QUICK_ROUND_SECONDS = 0.15, 0.05
PAIRS, QUICK_PAIRS = 200, 60
FIRST = 20
"""How many are measured to see how long one takes."""

FEWEST, MOST = 50, 50_000
QUANTILES = (0.5, 0.9, 0.99, 0.999)
SCALE = "scale"
"""For `only`: the three loops."""


def run(options: Options, progress: Progress) -> Result:
    """Measure.

    Raises:
        BenchError: there is no such kind, or processor.
        KvmUnavailable: there is no usable /dev/kvm.
    """
    kinds, with_scale = chosen(options.only)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    seconds = QUICK_ROUND_SECONDS if options.quick else ROUND_SECONDS
    pairs = (QUICK_PAIRS if options.quick else PAIRS) if with_scale else 0
    steps = 1 + rounds * len(kinds) + pairs
    with pinned(options.cpu) as places, System() as system:
        facts = host.describe(places.first, system)
        progress(0, steps, "calibration")
        calibration = calibrate(system)
        facts |= calibration_facts(calibration)
        bench = Bench(system, places, calibration)
        done = count(1)
        rows = measure(
            kinds, bench, rounds, seconds, lambda name: progress(next(done), steps, name)
        )
        before = 1 + rounds * len(kinds)
        scale = _scale(bench, pairs, lambda turn: progress(before + turn, steps, SCALE))
        progress(steps, steps, "")
    verdict = judge_all(rows, facts["load"], facts["processors"])
    return Result(SCHEMA, options.command, started, facts, rows, scale, verdict)


def chosen(only: Sequence[str]) -> tuple[tuple[Kind, ...], bool]:
    """The kinds of these names, all for none; and whether the loops are to be compared.

    Raises:
        BenchError: there is no kind of such a name.
    """
    kinds = all_kinds()
    names = [*(kind.name for kind in kinds), SCALE]
    for name in only:
        if name not in names:
            near = get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]}?" if near else "`--list` shows them"
            raise BenchError(f"there is no kind {name!r} to measure: {hint}")
    if not only:
        return kinds, True
    return tuple(kind for kind in kinds if kind.name in only), SCALE in only


def calibration_facts(calibration: Calibration) -> dict[str, object]:
    """What the calibration says of the host."""
    return {
        "tsc_khz": round(calibration.khz),
        "tsc_source": calibration.source,
        "guest_stamp_ns": round(calibration.stamp_ns, 1),
        "guest_instruction_ns": round(calibration.instruction_ns, 2),
        "stamp_words": calibration.words,
    }


class Session:
    """One kind's rounds, each of which is taken when it is asked for, on a machine of its own.

    Args:
        kind: what is measured.
        bench: with what.
        seconds: how long each round is to take, about.
    """

    def __init__(self, kind: Kind, bench: Bench, seconds: float) -> None:
        self._kind = kind
        self._bench = bench
        self._seconds = seconds
        self._count = 0
        self._samples: list[Sample] = []
        self._skipped = self._why_not()

    def _why_not(self) -> str:
        if self._kind.by_guest and not self._bench.calibration.guest_khz:
            return self._bench.calibration.words
        for name in self._kind.needs:
            probe = probes.result(self._bench.system, name)
            if not probe.ok:
                return f"{name}: {probe.words}"
        return ""

    def take(self) -> None:
        """Take a round; nothing is taken of what the host has once failed to do."""
        if self._skipped:
            return
        try:
            with ExitStack() as stack:
                measuring = self._kind.set_up(stack, self._bench)
                if not self._count:
                    self._count = fitting(measuring, self._seconds, self._kind.most)
                else:
                    measuring(first_of(self._kind.most))  # with cold caches
                self._samples.append(measuring(self._count))
        except (PykvmError, OSError) as error:
            self._skipped = " ".join(str(error).split())

    def row(self) -> Row:
        """What came of it; what the host cannot do is a row as well."""
        kind = self._kind
        if self._skipped:
            return Skipped(kind.name, kind.title, self._skipped)
        found = [as_round(kind, self._bench.calibration, sample) for sample in self._samples]
        verdict = judge([round.total.p50 for round in found])
        what = kind.what + _by_kvm(self._samples)
        return Measure(kind.name, kind.title, "ns", what, found, verdict)


def measure(
    kinds: Sequence[Kind], bench: Bench, rounds: int, seconds: float, step: Callable[[str], object]
) -> list[Row]:
    """Measure some kinds, in turn: the first round of all, the second of all, ...

    A host that is slow for a while is slow for a round of many kinds then, which their other rounds
    outvote, rather than for all rounds of one kind, which would agree with each other.

    Args:
        kinds: what.
        bench: with what.
        rounds: how often anew.
        seconds: how long each round is to take, about.
        step: called with a kind's name before each of its rounds.
    """
    sessions = [Session(kind, bench, seconds) for kind in kinds]
    for _ in range(rounds):
        for kind, session in zip(kinds, sessions, strict=True):
            step(kind.name)
            session.take()
    return [session.row() for session in sessions]


def first_of(most: int | None) -> int:
    """How many are measured first of all, which do not count."""
    return FIRST if most is None else min(FIRST, most)


def fitting(measuring: Measuring, seconds: float, most: int | None) -> int:
    """How many to measure in a round, so that it takes some `seconds`; it warms up, too."""
    first = first_of(most)
    for _ in range(2):  # the first time caches are cold
        start = time.perf_counter()
        measuring(first)
        took = time.perf_counter() - start
    return min(max(int(seconds * first / took), FEWEST), MOST if most is None else most)


def _by_kvm(samples: Sequence[Sample]) -> str:
    counts = [sample.exits for sample in samples if sample.exits is not None]
    if not counts:
        return ""
    return f"; KVM counts {max(sum(counts) / len(counts), 0.0):.1f} exits for each"


def as_round(kind: Kind, calibration: Calibration, sample: Sample) -> Round:
    """A sample, less what measuring added to it, in ns."""
    if kind.by_guest:
        scale = 1e6 / calibration.guest_khz / sample.elements
        floor = calibration.stamp + kind.instructions * calibration.instruction
        total = _spread(sample.total, floor, scale)
        inside, outside = total, Spread(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    else:
        assert sample.inside is not None
        assert sample.outside is not None
        scale = 1e6 / calibration.khz / sample.elements
        guest = kind.instructions * calibration.instruction_ns * calibration.khz / 1e6
        floor = calibration.inside + calibration.outside + guest
        total = _spread(sample.total, floor, scale)
        inside = _spread(sample.inside, calibration.inside + guest, scale)
        outside = _spread(sample.outside, calibration.outside, scale)
    return Round(
        sample.total.count,
        total,
        inside,
        outside,
        _spread(sample.total, floor, 1 / sample.elements),
        [
            (_less(low, floor, scale), _less(high, floor, scale), times)
            for low, high, times in sample.total.buckets()
        ],
    )


def _less(ticks: float, floor: float, scale: float) -> float:
    return round(max(ticks - floor, 0.0) * scale, 2)


def _spread(histogram: Histogram, floor: float, scale: float) -> Spread:
    values = (histogram.minimum, *map(histogram.quantile, QUANTILES), histogram.maximum)
    return Spread(*(_less(value, floor, scale) for value in values))


def _scale(bench: Bench, pairs: int, step: loops.Step) -> list[Ratio]:
    if not pairs:
        return []
    try:
        return loops.compare(bench.system, bench.calibration, pairs, step)
    except PykvmError as error:
        return [loops.failed(str(error))]
