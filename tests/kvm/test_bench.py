"""The benchmarks' guests and loops: each kind measures, or says why it cannot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pykvm.bench import loops
from pykvm.bench.calibration import Calibration, calibrate
from pykvm.bench.exits import measure
from pykvm.bench.histogram import Histogram
from pykvm.bench.kinds import Bench, Kind, all_kinds
from pykvm.bench.processors import pinned
from pykvm.bench.result import Measure, Skipped
from pykvm.kvm import System, probes
from pykvm.kvm.meter import Meter
from pykvm.kvm.runloop import BUDGET_SPENT, INTERRUPTED
from pykvm.machine import Machine
from tests.support.bare import Bare

OUT_FOREVER = bytes.fromhex(
    "e6 10"  # out 0x10, al
    "eb fc"  # jmp back to it
)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    with pinned(None) as places, System() as system:
        yield Bench(system, places, calibrate(system))


@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.name)
def test_each_kind_is_measured_or_says_why_not(kind: Kind, bench: Bench) -> None:
    (row,) = measure([kind], bench, rounds=2, seconds=0.0, step=str)
    if isinstance(row, Skipped):
        assert row.reason
        return
    assert isinstance(row, Measure)
    assert row.kind == kind.name
    for round in row.rounds:
        assert 0 < round.count <= 64
        assert sum(times for _, _, times in round.histogram) == round.count
        for spread in (round.total, round.inside, round.outside, round.ticks):
            assert min(spread) >= 0
            assert list(spread) == sorted(spread)


def test_what_passes_its_probes_is_measured(bench: Bench) -> None:
    """Where the host can do it, a skipped row would be a broken guest."""
    for kind in all_kinds():
        passes = all(probes.result(bench.system, name).ok for name in kind.needs)
        if passes and kind.name in ("pio-out-c", "pio-in-python", "cpuid", "mmio-read-c"):
            (row,) = measure([kind], bench, 2, 0.0, str)
            assert isinstance(row, Measure), kind.name


def test_rounds_of_all_kinds_are_taken_in_turn(bench: Bench) -> None:
    kinds = [kind for kind in all_kinds() if kind.name in ("pio-out-c", "pio-in-c")]
    steps: list[str] = []
    measure(kinds, bench, 2, 0.0, steps.append)
    assert steps == ["pio-out-c", "pio-in-c"] * 2


def test_calibration_finds_a_clock(bench: Bench) -> None:
    found: Calibration = bench.calibration
    assert found.khz > 1e5
    assert found.inside >= 0
    assert found.outside >= 0


@pytest.mark.needs("long_mode")
def test_the_loops_are_compared(bench: Bench) -> None:
    turns: list[int] = []
    ratios = loops.compare(bench.system, bench.calibration, 3, turns.append)
    assert turns == [0, 1, 2]
    assert [ratio.unit for ratio in ratios] == ["x", "x", "ns"]
    assert all(ratio.low <= ratio.value <= ratio.high for ratio in ratios)


def test_a_meter_counts_each_exit_but_the_last(system: System) -> None:
    with Machine("64K", system=system, irqchip="none") as machine:
        machine.load(OUT_FOREVER)
        machine.routes.ports.drop_writes(0x10, 1)
        meter = Meter(kept=10)
        machine.cpus[0].loop.measure(meter)
        machine.run(max_exits=101)
        counted = sum(meter.total.buckets)
        # a tick in the middle of an exit takes it away
        assert counted + meter.interrupted >= 99
        assert counted <= 100
        assert sum(meter.inside.buckets) == sum(meter.outside.buckets) == counted
        assert len(meter.kept) == 10
        histogram = Histogram.from_counts(*meter.total)
        assert histogram.minimum <= min(meter.kept)
        assert max(meter.kept) <= histogram.maximum
        machine.cpus[0].loop.measure(None)
        machine.run(max_exits=50)
        assert sum(meter.total.buckets) == counted


def test_a_meter_forgets(system: System) -> None:
    meter = Meter(kept=5)
    meter.idle(7)
    assert sum(meter.total.buckets) == 7
    assert len(meter.kept) == 5
    meter.reset()
    assert not any(meter.total.buckets)
    assert meter.kept == []
    meter.idle(3)
    assert len(meter.kept) == 3


def test_an_exit_that_a_signal_interrupts_does_not_count(bare: Bare) -> None:
    bare.load(OUT_FOREVER)
    bare.routes.ports.drop_writes(0x10, 1)
    meter = Meter()
    bare.loop.measure(meter)
    bare.loop.budget = 5
    bare.loop.kick()
    assert bare.loop.enter() == INTERRUPTED
    assert bare.loop.enter() == BUDGET_SPENT
    assert meter.interrupted == 1
    # five exits; the first was interrupted, and the last one's end is not known
    assert sum(meter.total.buckets) == 3
