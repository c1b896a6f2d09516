"""What the debugger of an emulated machine does besides what tests/kvm hold for both."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from pykvm import Machine, Mode, Stop, StopReason
from pykvm.debug.debugger import Debugger, Event, Point
from pykvm.kvm import MpState
from pykvm.memory import Gpa
from tests.support.debugged import COUNT, INC, JUMP, LOAD, OUT, PATIENCE, hit
from tests.support.debugged import debugged as for_accelerator

pytestmark = pytest.mark.emulated
debugged = partial(for_accelerator, accel="emu")

HANDLER = 0x3000
TIMER_VECTOR = 8
TICKING = bytes.fromhex(
    "b0 34 e6 43"  # channel 0: mode 2, both bytes
    "b0 00 e6 40 b0 10 e6 40"  # every 4096 ticks
    "b0 11 e6 20"  # the first PIC: ICW1, with ICW4
    "b0 08 e6 21"  # ICW2: vectors from 8
    "b0 04 e6 21 b0 01 e6 21"  # ICW3, ICW4
    "b0 fe e6 21"  # only the timer
    "fb"  # sti
    "90"  # nop
)
"""Has the timer tick into vector 8; what follows is the guest's main program."""
MAIN = LOAD + len(TICKING)


def test_there_is_nothing_in_the_guest_s_memory() -> None:
    with debugged(COUNT) as debugger:
        point = Point("software", INC)
        debugger.insert(point)
        assert debugger.resume(timeout=PATIENCE) == hit(point)
        assert debugger.machine.memory.read(Gpa(LOAD), len(COUNT)) == COUNT


def test_there_is_no_end_of_points() -> None:
    with debugged(COUNT) as debugger:
        for address in range(0x2000, 0x2010):
            debugger.insert(Point("hardware", address))
            debugger.insert(Point("access", address))
        for address in (OUT, JUMP):
            point = Point("hardware", address)
            debugger.insert(point)
            assert debugger.resume(timeout=PATIENCE) == hit(point)


@pytest.mark.parametrize(
    ("kind", "stops"),
    [("write", [5, 17]), ("read", [8, 12, 17]), ("access", [5, 8, 12, 17])],
)
def test_watchpoints_are_exact(kind: str, stops: list[int]) -> None:
    """A write of the value that is there is a write, and none is a read."""
    code = bytes.fromhex(
        "c6 06 01 30 00"  # mov byte [0x3001], 0, which it is
        "a0 01 30"  # mov al, [0x3001]
        "66 a1 00 30"  # mov eax, [0x3000]
        "80 06 01 30 01"  # add byte [0x3001], 1
        "a0 01 40"  # mov al, [0x4001]: the same place in another page
        "f4"  # hlt
    )
    with debugged(code) as debugger:
        point = Point(kind, 0x3001)
        debugger.insert(point)
        met = []
        while (event := debugger.resume(timeout=PATIENCE)).kind == "watchpoint":
            assert event.point == point
            assert event.address is not None
            met.append(event.address - LOAD)
        assert event.stop == Stop(StopReason.HALTED)
        assert met == stops


def test_a_watchpoint_is_linear_and_met_behind_a_page_s_end() -> None:
    code = bytes.fromhex(
        "c7 04 25 fe 4f 00 00 01 00 00 00"  # mov dword [0x4ffe], 1
        "90 f4"  # nop; hlt
    )
    with debugged(code, Mode.LONG) as debugger:
        elsewhere, here = Point("write", 0x7000), Point("write", 0x5001)
        debugger.insert(elsewhere)
        debugger.insert(here)
        assert debugger.resume(timeout=PATIENCE) == hit(here, LOAD + 11)
        assert debugger.resume(timeout=PATIENCE).kind == "ended"


def test_the_last_access_of_an_instruction_with_many_is_seen() -> None:
    code = bytes.fromhex(
        "0f ae 04 25 00 50 00 00"  # fxsave [0x5000]
        "f4"  # hlt
    )
    with debugged(code, Mode.LONG) as debugger:
        for offset in range(0, 400, 8):  # the same places in another page
            debugger.insert(Point("write", 0x6000 + offset, 8))
        last = Point("write", 0x5000 + 160 + 16 * 15 + 8, 8)  # the upper half of XMM15
        debugger.insert(last)
        assert debugger.resume(timeout=PATIENCE) == hit(last, LOAD + 8)


def test_no_interrupt_comes_in_a_step_and_one_does_when_it_goes_on() -> None:
    with debugged(TICKING + b"\x90\xeb\xfd") as debugger:  # nop; jmp to it
        memory, cpu = debugger.machine.memory, debugger.cpus[0]
        memory.write(Gpa(4 * TIMER_VECTOR), HANDLER.to_bytes(4, "little"))
        memory.write(Gpa(HANDLER), b"\xeb\xfe")  # jmp $
        assert cpu.run_until(MAIN - 1, timeout=PATIENCE).kind == "breakpoint"
        steps = {cpu.step(timeout=PATIENCE).address for _ in range(200)}
        assert steps == {MAIN, MAIN + 1}
        point = Point("software", HANDLER)
        debugger.insert(point)
        assert debugger.resume(timeout=PATIENCE) == hit(point)


def test_a_step_of_one_that_halts_ends_where_it_wakes() -> None:
    with debugged(TICKING + b"\xf4\x90") as debugger:  # hlt; nop
        memory, cpu = debugger.machine.memory, debugger.cpus[0]
        memory.write(Gpa(4 * TIMER_VECTOR), HANDLER.to_bytes(4, "little"))
        # in the shadow of STI: there the timer cannot have come first
        assert cpu.run_until(MAIN - 1, timeout=PATIENCE).kind == "breakpoint"
        assert cpu.step(2, timeout=PATIENCE) == Event("step", 0, address=MAIN + 1)
        assert cpu.vcpu.get_mp_state() is MpState.HALTED
        assert cpu.step(timeout=PATIENCE) == Event("step", 0, address=HANDLER)
        assert cpu.vcpu.get_mp_state() is MpState.RUNNABLE


def test_an_exception_is_a_step_to_its_handler() -> None:
    with debugged(b"\x0f\x0b") as debugger:  # ud2
        debugger.machine.memory.write(Gpa(4 * 6), HANDLER.to_bytes(4, "little"))
        assert debugger.cpus[0].step(timeout=PATIENCE) == Event("step", 0, address=HANDLER)


def test_points_stay_when_another_image_is_loaded() -> None:
    with Machine("64K", accel="emu") as machine:
        machine.load(COUNT, load_address=LOAD, entry=LOAD)
        with Debugger(machine) as debugger:
            point = Point("software", OUT)
            debugger.insert(point)
            assert debugger.resume(timeout=PATIENCE) == hit(point)
            machine.load(COUNT, load_address=LOAD, entry=LOAD)
            assert debugger.cpus[0].vcpu.get_regs().rbx & 0xFF == 0
            assert debugger.resume(timeout=PATIENCE) == hit(point)


def test_x87_and_sse_registers_are_set() -> None:
    with Machine("64K", accel="emu") as machine:
        machine.load(COUNT)
        vcpu = machine.cpus[0].vcpu
        wanted = replace(
            vcpu.get_fpu(),
            fsw=5 << 11,  # TOP
            ftwx=0x21,
            fpr=tuple(bytes([n] * 8 + [n, 0x40]) + bytes(6) for n in range(8)),
            xmm=tuple(bytes([n] * 16) for n in range(16)),
            mxcsr=0x1FA0,
        )
        vcpu.set_fpu(wanted)
        assert vcpu.get_fpu() == wanted
