"""The debugger on two processors: all stop together, and nothing of either is lost."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pykvm import Machine
from pykvm.debug.debugger import Debugger, Event, Point
from tests.support.debugged import insert
from tests.support.processors import AP_PAGE, START_OTHERS, load

pytestmark = pytest.mark.needs("msi")  # whose guest turns on an x2APIC

PATIENCE = 60
FIRST = 0x1000 + len(START_OTHERS)
SECOND = AP_PAGE << 12
COUNT = bytes.fromhex(
    "43"  # inc bx
    "90"  # nop
    "eb fc"  # jmp to the inc
)
NOP = 1


@contextmanager
def two() -> Iterator[Debugger]:
    """Both processors count in BX: the first one's loop at FIRST, the second one's at SECOND."""
    with Machine("64K", smp=2) as machine:
        load(machine, START_OTHERS + COUNT, COUNT)
        with Debugger(machine) as debugger:
            at = SECOND + NOP
            first = debugger.cpus[1].run_until(at, timeout=PATIENCE)
            assert first == Event("breakpoint", 1, Point("software", at), at)
            yield debugger


def counts(debugger: Debugger) -> list[int]:
    return [cpu.vcpu.get_regs().rbx for cpu in debugger.cpus]


@pytest.mark.parametrize("kind", ["software", "hardware", "stepped"])
def test_each_hit_of_both_is_told_once(kind: str) -> None:
    with two() as debugger:
        points = [insert(debugger, kind, loop + NOP) for loop in (FIRST, SECOND)]
        begun = counts(debugger)
        told: Counter[int] = Counter()
        while min(told[0], told[1]) < 10:
            event = debugger.resume(timeout=PATIENCE)
            assert event.kind == "breakpoint"
            assert event.point == points[event.processor]
            assert event.address == event.point.address
            told[event.processor] += 1
            # what is pending has been counted, but was not told yet
            done = [now - before for now, before in zip(counts(debugger), begun, strict=True)]
            assert done[event.processor] == told[event.processor]
            other = 1 - event.processor
            assert done[other] - told[other] in (0, 1)


@pytest.fixture
def one_core() -> Iterator[None]:
    """This thread, and those that it starts, share one of the host's processors."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    yield
    os.sched_setaffinity(0, cores)


@pytest.mark.usefixtures("one_core")
@pytest.mark.parametrize("kind", ["software", "hardware", "stepped"])
def test_the_one_that_meets_its_point_first_does_not_keep_the_other_away(kind: str) -> None:
    with two() as debugger:
        for loop in (FIRST, SECOND):
            insert(debugger, kind, loop + NOP)
        told = Counter(debugger.resume(timeout=PATIENCE).processor for _ in range(100))
        assert min(told[0], told[1]) >= 20  # three instructions a round, and each call does one


@pytest.mark.parametrize("loops", [(FIRST, SECOND), (FIRST,), (SECOND,)])
def test_points_at_all_instructions_of_one_do_not_keep_the_other_away(
    loops: tuple[int, ...],
) -> None:
    with two() as debugger:
        for loop in loops:
            for instruction in (0, NOP, NOP + 1):
                insert(debugger, "software", loop + instruction)
        before = counts(debugger)
        told = Counter(debugger.resume(timeout=PATIENCE).processor for _ in range(60))
        assert len(told) == len(loops)
        assert all(now - then >= 9 for now, then in zip(counts(debugger), before, strict=True))


def test_a_step_leaves_the_other_one_alone() -> None:
    with two() as debugger:
        before = counts(debugger)
        addresses = [debugger.cpus[1].step(timeout=PATIENCE).address for _ in range(6)]
        assert addresses == [SECOND + at for at in (2, 0, 1, 2, 0, 1)]
        assert counts(debugger) == [before[0], before[1] + 2]


def test_only_some_run() -> None:
    with two() as debugger:
        before = counts(debugger)
        assert debugger.resume(only=[0], timeout=0.05).kind == "ended"
        after = counts(debugger)
        assert after[1] == before[1]
        assert after[0] != before[0]
        assert debugger.resume(only=[1], timeout=0.05).kind == "ended"
        assert counts(debugger)[0] == after[0]
        assert counts(debugger)[1] != after[1]


def test_both_step_at_once_and_each_is_told() -> None:
    with two() as debugger:
        debugger.cpus[0].step(timeout=PATIENCE)
        for _ in range(10):
            before = [cpu.pc for cpu in debugger.cpus]
            told = {debugger.resume(step=[0, 1], timeout=PATIENCE).processor}
            while told != {0, 1}:
                missing = {0, 1} - told
                told.add(debugger.resume(step=missing, only=missing, timeout=PATIENCE).processor)
            assert all(cpu.pc != pc for cpu, pc in zip(debugger.cpus, before, strict=True))


def test_one_steps_while_the_other_runs() -> None:
    with two() as debugger:
        event = debugger.resume(step=[1], timeout=PATIENCE)
        assert (event.kind, event.processor) == ("step", 1)
        assert event.address == SECOND + NOP + 1


def test_what_was_met_at_a_point_that_is_gone_is_not_told() -> None:
    with two() as debugger:
        points = [Point("software", FIRST + NOP), Point("software", SECOND + NOP)]
        for point in points:
            debugger.insert(point)
        told = debugger.resume(timeout=PATIENCE).processor
        while debugger._traced[1 - told].hit is None:
            told = debugger.resume(timeout=PATIENCE).processor
        debugger.remove(points[1 - told])
        for _ in range(5):
            assert debugger.resume(timeout=PATIENCE).processor == told


def test_interrupting_both() -> None:
    with two() as debugger:
        debugger.interrupt()
        assert debugger.resume(timeout=PATIENCE).kind == "interrupted"
        assert debugger.resume(timeout=0.02).kind == "ended"
