"""Tracing real guests: instructions, steps, several processors, and a sink that fails.

On KVM and emulated, where both can do it; and what both tell of one guest is the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest

from pykvm._shim import lib
from pykvm.cpu.emu import EmuCpu
from pykvm.cpu.stop import Stop, StopReason
from pykvm.debug.debugger import Debugger
from pykvm.devices.sinks import BufferSink, NullSink
from pykvm.errors import DebugError, SinkError
from pykvm.machine import Machine
from pykvm.manifest import Guest, find_guest
from pykvm.trace.event import Event, times_of
from pykvm.trace.selection import EVERYTHING, Selection
from pykvm.trace.tracer import Tracer
from tests.kvm.test_runloop import OUT_FOREVER, OUT_THEN_HALT, PORT, SPIN
from tests.support.processors import HALT, OUT_30, START_OTHERS, load

ADD_AND_STORE = bytes.fromhex(
    "b8 05 00"  # mov ax, 5
    "83 c0 02"  # add ax, 2
    "89 c3"  # mov bx, ax
    "e6 f4"  # out 0xf4, al
)
BETWEEN_PAGES = 0x1FFE
EMULATED = pytest.param("emu", "none", marks=pytest.mark.emulated)
EMULATED_WITH_PICS = pytest.param("emu", "user", marks=pytest.mark.emulated)


class Keeper:
    """A format that keeps events instead."""

    def __init__(self) -> None:
        self.kept: list[Event] = []

    def begin(self) -> str:
        return "begin "

    def events(self, events: Iterable[Event]) -> str:
        new = list(events)
        self.kept += new
        return f"{len(new)} " if new else ""

    def end(self) -> str:
        return "end"

    def texts(self) -> list[str]:
        return [e.place.instruction.text if e.place else "" for e in self.kept]


class BrokenSink:
    """Takes some writes, then no more."""

    def __init__(self, writes: int) -> None:
        self.left = writes

    def write(self, data: bytes) -> None:
        if not self.left:
            raise SinkError("cannot write to it: it is full")
        self.left -= 1


def trace(
    code: bytes, selection: Selection | None = None, *, steps: bool = False, accel: str = "kvm"
) -> Keeper:
    """The events of a guest that ends by itself."""
    keeper = Keeper()
    with Machine("64K", irqchip="none", accel=accel) as machine:
        machine.load(code)
        chosen = Selection() if selection is None else selection
        tracer = Tracer(machine, keeper, NullSink(), selection=chosen, steps=steps)
        machine.run(timeout=10)
        tracer.finish()
    return keeper


def is_untraced(machine: Machine) -> bool:
    """Whether nothing of a trace is left on it."""
    (cpu,) = machine.cpus
    if isinstance(cpu, EmuCpu):
        return (cpu.accesses.listener, cpu.on_step, cpu.traps) == (None, None, None)
    return cpu.loop.recorder is None and not cpu.is_stepped


def bundled(name: str) -> Guest:
    guest = find_guest(name)
    assert guest is not None
    return guest


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


def test_steps_show_what_each_instruction_changed(accel: str) -> None:
    keeper = trace(ADD_AND_STORE, Selection(frozenset(["step"])), steps=True, accel=accel)
    told = [
        (event.place.instruction.text, {n: v for n, v in event.changes.items() if n != "rflags"})
        for event in keeper.kept
        if event.place and event.changes is not None
    ]
    assert told[:3] == [
        ("mov ax, 5", {"rax": 5}),
        ("add ax, 2", {"rax": 7}),
        ("mov bx, ax", {"rbx": 7}),
    ]


def test_exits_stand_between_the_steps(accel: str) -> None:
    """Before that of their instruction, which for KVM is not over when its exit ends the run."""
    keeper = trace(ADD_AND_STORE, steps=True, accel=accel)
    step, reasons = lib.KVM_EXIT_DEBUG, [event.record.reason for event in keeper.kept]
    assert reasons == [step] * 3 + [lib.KVM_EXIT_IO] + [step] * (accel == "emu")


def test_what_follows_an_access_is_stepped_too(accel: str) -> None:
    """KVM's emulator forgets the step of an instruction that leaves the guest in its middle."""
    code = bytes.fromhex(
        "e6 30"  # out 0x30, al
        "89 c3"  # mov bx, ax
        "e4 31"  # in al, 0x31
        "89 c2"  # mov dx, ax
        "f4"  # hlt
    )
    keeper = trace(code, steps=True, accel=accel)
    steps = [e.place for e in keeper.kept if e.record.reason == lib.KVM_EXIT_DEBUG and e.place]
    assert [place.instruction.address - 0x1000 for place in steps][:4] == [0, 2, 4, 6]


def test_a_machine_is_debugged_or_stepped_by_one(accel: str) -> None:
    with Machine("64K", accel=accel) as machine:
        machine.load(OUT_FOREVER)
        tracer = Tracer(machine, Keeper(), NullSink(), selection=Selection(), steps=True)
        with pytest.raises(DebugError, match="is traced step by step: finish that trace first"):
            Debugger(machine)
        tracer.finish()
        with (
            Debugger(machine),
            pytest.raises(DebugError, match="is debugged already: close its debugger first"),
        ):
            Tracer(machine, Keeper(), NullSink(), selection=Selection(), steps=True)


@pytest.mark.not_on_svm("its timer ticks faster than steps are taken there")
def test_a_debugger_s_step_over_hlt_waits_with_pics_in_userspace() -> None:
    with Machine(irqchip="user") as machine:
        machine.load(bundled("pit_ticks").path)
        with Debugger(machine) as debugger:
            while (event := debugger.cpus[0].step(timeout=60)).kind == "step":
                pass
        assert event.stop is not None
        assert event.stop.reason is StopReason.HALTED
        assert machine.output.endswith(b"PASS\n")


@pytest.mark.parametrize(
    ("accel", "irqchip"), [("kvm", "none"), ("kvm", "kernel"), EMULATED, EMULATED_WITH_PICS]
)
def test_a_guest_is_the_same_traced_and_stepped(accel: str, irqchip: str) -> None:
    """Its HLT at the end is one, too."""
    guest = bundled("hello")
    outputs = []
    for steps in (False, True):
        with Machine(irqchip=irqchip, accel=accel) as machine:
            machine.load(guest.path)
            tracer = Tracer(machine, Keeper(), NullSink(), selection=Selection(), steps=steps)
            assert machine.run(timeout=60).reason is StopReason.HALTED
            tracer.finish()
            outputs.append(machine.output)
    assert outputs[0] == outputs[1]
    assert outputs[0].startswith(b"Hello")


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


@pytest.mark.not_on_svm("its timer ticks faster than steps are taken there")
@pytest.mark.parametrize(
    ("accel", "irqchip"), [("kvm", "kernel"), ("kvm", "user"), EMULATED_WITH_PICS]
)
def test_stepping_over_hlt_waits_for_what_wakes_it(accel: str, irqchip: str) -> None:
    """A guest that waits for its timer in HLT comes to its end."""
    keeper = Keeper()
    with Machine(irqchip=irqchip, accel=accel) as machine:
        machine.load(bundled("pit_ticks").path)
        steps = Selection(frozenset(["step"]))
        tracer = Tracer(machine, keeper, NullSink(), selection=steps, steps=True)
        assert machine.run(timeout=60).reason is StopReason.HALTED
        tracer.finish()
        assert machine.output.endswith(b"PASS\n")
    assert {"hlt", "iret"} <= set(keeper.texts())


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
