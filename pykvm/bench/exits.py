"""`pykvm bench exits`: what it costs to leave the guest, for each kind of reason there is."""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from difflib import get_close_matches
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
    from collections.abc import Sequence

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
    steps = 1 + len(kinds) + pairs
    with pinned(options.cpu) as places, System() as system:
        facts = host.describe(places.first)
        progress(0, steps, "calibration")
        calibration = calibrate(system)
        facts |= calibration_facts(calibration)
        bench = Bench(system, places, calibration)
        rows: list[Row] = []
        for kind in kinds:
            progress(1 + len(rows), steps, kind.name)
            rows.append(measure(kind, bench, rounds, seconds))
        scale = _scale(bench, pairs, lambda turn: progress(1 + len(rows) + turn, steps, SCALE))
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


def measure(kind: Kind, bench: Bench, rounds: int, seconds: float) -> Row:
    """Measure one kind; what the host cannot do is a row as well.

    Args:
        kind: what.
        bench: with what.
        rounds: how often anew.
        seconds: how long each round is to take, about.
    """
    if kind.by_guest and not bench.calibration.guest_khz:
        return Skipped(kind.name, kind.title, bench.calibration.words)
    for name in kind.needs:
        probe = probes.result(bench.system, name)
        if not probe.ok:
            return Skipped(kind.name, kind.title, f"{name}: {probe.words}")
    try:
        with ExitStack() as stack:
            measuring = kind.set_up(stack, bench)
            count = fitting(measuring, seconds, kind.most)
            samples = [measuring(count) for _ in range(rounds)]
    except (PykvmError, OSError) as error:
        return Skipped(kind.name, kind.title, " ".join(str(error).split()))
    found = [as_round(kind, bench.calibration, sample) for sample in samples]
    verdict = judge([round.total.p50 for round in found])
    what = kind.what + _by_kvm(samples)
    return Measure(kind.name, kind.title, "ns", what, found, verdict)


def fitting(measuring: Measuring, seconds: float, most: int | None) -> int:
    """How many to measure in a round, so that it takes some `seconds`; it warms up, too."""
    first = FIRST if most is None else min(FIRST, most)
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
