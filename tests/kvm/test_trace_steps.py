"""Tracing real guests step by step, on KVM and emulated."""

from __future__ import annotations

import pytest

from pykvm._shim import lib
from pykvm.cpu.stop import StopReason
from pykvm.debug.debugger import Debugger
from pykvm.devices.sinks import NullSink
from pykvm.errors import DebugError
from pykvm.machine import Machine
from pykvm.trace.selection import Selection
from pykvm.trace.tracer import Tracer
from tests.kvm.test_runloop import OUT_FOREVER
from tests.support.tracing import Keeper, bundled, trace

ADD_AND_STORE = bytes.fromhex(
    "b8 05 00"  # mov ax, 5
    "83 c0 02"  # add ax, 2
    "89 c3"  # mov bx, ax
    "e6 f4"  # out 0xf4, al
)
EMULATED = pytest.param("emu", "none", marks=pytest.mark.emulated)
EMULATED_WITH_PICS = pytest.param("emu", "user", marks=pytest.mark.emulated)


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


def test_a_store_into_the_code_behind_it_is_one_step(accel: str) -> None:
    """Unicorn begins such an instruction a second time, having done nothing the first time."""
    code = bytes.fromhex(
        "c6 06 06 10 40"  # mov byte [0x1006], 0x40
        "90 f4"  # nop; hlt, which becomes inc ax
        "e6 30"  # out 0x30, al
        "eb fe"  # jmp $
    )
    keeper = trace(code, Selection(frozenset(["step"])), steps=True, accel=accel, limit=6)
    assert keeper.texts() == [
        *("mov byte ptr [0x1006], 0x40", "nop", "inc ax", "out 0x30, al"),
        *("jmp 0x1009", "jmp 0x1009"),
    ]


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
