"""Tracing real guests: instructions, steps, several processors, and a sink that fails.

On KVM and emulated, where both can do it; and what both tell of one guest is the same.
"""

from __future__ import annotations

from itertools import pairwise

import pytest

from pykvm._shim import lib
from pykvm.cpu.emu import EmuCpu
from pykvm.cpu.stop import Stop, StopReason
from pykvm.devices.sinks import BufferSink, NullSink
from pykvm.errors import SinkError
from pykvm.machine import Machine
from pykvm.trace.event import times_of
from pykvm.trace.selection import EVERYTHING, Selection
from pykvm.trace.tracer import Tracer
from tests.kvm.test_runloop import OUT_FOREVER, OUT_THEN_HALT, PORT, SPIN
from tests.support.processors import HALT, OUT_30, START_OTHERS, load
from tests.support.tracing import Keeper, bundled, trace

BETWEEN_PAGES = 0x1FFE


class BrokenSink:
    """Takes some writes, then no more."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def write(self, data: bytes) -> None:
        if not self.left:
            raise SinkError("cannot write to it: it is full")
        self.left -= 1


def is_untraced(machine: Machine) -> bool:
    """Whether nothing of a trace is left on it."""
    (cpu,) = machine.cpus
    if isinstance(cpu, EmuCpu):
        return (cpu.accesses.listener, cpu.on_step, cpu.traps) == (None, None, None)
    return cpu.loop.recorder is None and not cpu.is_stepped


def test_each_exit_has_its_instruction(accel: str) -> None:
    keeper = trace(OUT_THEN_HALT, accel=accel)
    assert keeper.texts() == ["out dx, al", "out dx, al", "hlt"]
    places = [e.place.instruction.address for e in keeper.kept if e.place]
    assert [at - places[0] for at in places] == [0, 2, 3]


def test_times_add_up() -> None:
    first, second, last = map(times_of, trace(OUT_THEN_HALT).kept)
    for times, following in pairwise((first, second, last)):
        assert times.outside is not None
        assert times.left + times.outside + times.tracing == following.entered
    assert last.outside is None


def test_the_sink_gets_what_the_format_makes(accel: str) -> None:
    sink = BufferSink()
    with Machine("64K", irqchip="none", accel=accel) as machine:
        machine.load(OUT_THEN_HALT)
        tracer = Tracer(machine, Keeper(), sink, selection=Selection())
        machine.run(timeout=10)
        tracer.finish()
    assert sink.data.startswith(b"begin ")
    assert sink.data.endswith(b" end")


@pytest.mark.parametrize("name", ["hello", "hello_protected", "hello_long"])
def test_instructions_are_found_in_every_mode(name: str, accel: str) -> None:
    guest = bundled(name)
    keeper = Keeper()
    with Machine(irqchip="none", accel=accel) as machine:
        machine.load(guest.path, mode=guest.mode)
        tracer = Tracer(machine, keeper, NullSink(), selection=Selection(frozenset(["io"])))
        machine.run(timeout=10)
        tracer.finish()
    assert len(keeper.kept) > 50
    assert set(keeper.texts()) == {"in al, dx", "out dx, al"}


def test_an_instruction_across_pages_is_found(accel: str) -> None:
    """`out 0x30, al` with a byte on either page, and RIP behind it or at it."""
    keeper = Keeper()
    with Machine("64K", irqchip="none", accel=accel) as machine:
        machine.load(b"\x90" * (BETWEEN_PAGES - 1) + bytes.fromhex("e6 30 f4"), load_address=0x1000)
        tracer = Tracer(machine, keeper, NullSink(), selection=Selection())
        machine.run(timeout=10)
        tracer.finish()
    assert keeper.texts() == ["out 0x30, al", "hlt"]


def test_a_limit_ends_the_trace_and_tells(accel: str) -> None:
    keeper = Keeper()
    with Machine("64K", irqchip="none", accel=accel) as machine:
        machine.load(OUT_FOREVER)
        tracer = Tracer(
            machine,
            keeper,
            NullSink(),
            selection=Selection(),
            limit=5,
            on_limit=lambda: machine.stop(Stop(StopReason.STOPPED, detail="limit")),
        )
        assert machine.run(timeout=60).detail == "limit"
        tracer.finish()
    assert len(keeper.kept) == 5


@pytest.mark.parametrize("steps", [False, True])
def test_a_sink_that_fails_ends_the_trace_but_not_the_guest(accel: str, steps: bool) -> None:
    told: list[str] = []
    with Machine("64K", irqchip="none", accel=accel) as machine:
        machine.load(OUT_FOREVER)
        tracer = Tracer(
            machine,
            Keeper(),
            BrokenSink(2),
            selection=Selection(),
            steps=steps,
            on_loss=lambda error: told.append(str(error)),
        )
        assert machine.run(timeout=0.5).reason is StopReason.TIMEOUT
        tracer.finish()
        assert is_untraced(machine)
        assert tracer.lost is not None
    assert told == ["cannot write to it: it is full"]


def test_a_guest_that_computes_is_seen_at_its_ticks() -> None:
    keeper = Keeper()
    with Machine("64K") as machine:
        machine.load(SPIN)
        tracer = Tracer(machine, keeper, NullSink(), selection=Selection(EVERYTHING))
        machine.run(timeout=0.1)
        tracer.finish()
    assert set(keeper.texts()) == {"jmp 0x1000"}


@pytest.mark.needs("msi")  # whose guest turns on an x2APIC
def test_processors_are_told_in_one_order() -> None:
    keeper = Keeper()
    with Machine("64K", smp=2) as machine:
        load(machine, START_OTHERS + OUT_30 + HALT, OUT_30 + HALT)
        tracer = Tracer(machine, keeper, NullSink(), selection=Selection(EVERYTHING))
        machine.run(timeout=10)
        tracer.finish()
    outs = [e for e in keeper.kept if e.record.reason == lib.KVM_EXIT_IO]
    assert {e.record.vcpu for e in outs} == {0, 1}
    assert [e.place.instruction.text for e in outs if e.place] == ["out 0x30, al"] * 2
    times = [times_of(e).left for e in keeper.kept]
    assert times == sorted(times)


def test_ports_are_what_was_written(accel: str) -> None:
    keeper = trace(OUT_THEN_HALT, Selection(ports=(range(PORT, PORT + 1),)), accel=accel)
    assert [(e.record.address, e.record.value) for e in keeper.kept] == [(PORT, 0x41), (PORT, 0x42)]
