"""The debugger on one processor: steps and breakpoints, and what guests do to devices meanwhile."""

from __future__ import annotations

import pytest

from pykvm import Mode, Stop, StopReason
from pykvm.debug.debugger import Debugger, Event
from tests.support.debugged import (
    AFTER_INC,
    COUNT,
    INC,
    JUMP,
    LOAD,
    OUT,
    PATIENCE,
    MakeDebugger,
    bl,
    hit,
    insert,
    watch_port,
)
from tests.support.small_guests import SPIN, Recorder

KINDS = [
    pytest.param("software", id="software"),
    pytest.param("hardware", id="hardware"),
    pytest.param("stepped", id="stepped"),
]
MODES = [pytest.param(mode, id=mode.value) for mode in Mode]


@pytest.mark.parametrize("mode", MODES)
def test_a_step_is_one_instruction(debugged: MakeDebugger, mode: Mode) -> None:
    with debugged(COUNT, mode) as debugger:
        device = watch_port(debugger)
        cpu = debugger.cpus[0]
        seen = [(cpu.step(timeout=PATIENCE), len(device.seen)) for _ in range(6)]
        addresses = [INC, AFTER_INC, OUT, JUMP, INC, AFTER_INC]
        written = [0, 0, 0, 1, 1, 1]
        assert seen == [
            (Event("step", 0, address=at), n) for at, n in zip(addresses, written, strict=True)
        ]
        assert cpu.pc == AFTER_INC
        assert bl(debugger) == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_breakpoint_in_a_loop_is_met_once_each_time(
    debugged: MakeDebugger, kind: str, mode: Mode
) -> None:
    with debugged(COUNT, mode) as debugger:
        device = watch_port(debugger)
        point = insert(debugger, kind, AFTER_INC)
        for times in range(1, 6):
            assert debugger.resume(timeout=PATIENCE) == hit(point)
            assert bl(debugger) == times
            assert len(device.seen) == times - 1
        debugger.remove(point)
        assert debugger.resume(timeout=0.02).stop == Stop(StopReason.TIMEOUT)


@pytest.mark.parametrize("kind", KINDS)
def test_an_access_at_a_breakpoint_is_made_once(debugged: MakeDebugger, kind: str) -> None:
    with debugged(COUNT) as debugger:
        device = watch_port(debugger)
        points = [insert(debugger, kind, address) for address in (OUT, JUMP)]
        for times in range(4):
            assert debugger.resume(timeout=PATIENCE) == hit(points[0])
            assert len(device.seen) == times
            assert debugger.resume(timeout=PATIENCE) == hit(points[1])
            assert len(device.seen) == times + 1


@pytest.mark.parametrize("kind", KINDS)
def test_stepping_onto_a_breakpoint_and_on_from_it(debugged: MakeDebugger, kind: str) -> None:
    with debugged(COUNT) as debugger:
        point = insert(debugger, kind, AFTER_INC)
        step = debugger.cpus[0].step
        assert [step(timeout=PATIENCE).address for _ in range(3)] == [INC, AFTER_INC, OUT]
        assert debugger.resume(timeout=PATIENCE) == hit(point)
        assert bl(debugger) == 2
        assert step(timeout=PATIENCE) == Event("step", 0, address=OUT)


@pytest.mark.parametrize("kind", KINDS)
def test_a_breakpoint_on_a_jump_to_itself_is_met_again_and_again(
    debugged: MakeDebugger, kind: str
) -> None:
    with debugged(SPIN) as debugger:
        point = insert(debugger, kind, LOAD)
        for _ in range(3):
            assert debugger.resume(timeout=PATIENCE) == hit(point)


def test_what_is_read_from_a_device_is_there_after_the_step(debugged: MakeDebugger) -> None:
    code = bytes.fromhex(
        "e4 30"  # in al, 0x30
        "90"  # nop
    )
    with debugged(code) as debugger:
        watch_port(debugger, 0x5A)
        assert debugger.cpus[0].step(timeout=PATIENCE).address == LOAD + 2
        assert debugger.cpus[0].vcpu.get_regs().rax & 0xFF == 0x5A


@pytest.mark.needs("rep_outs")
@pytest.mark.parametrize("kind", KINDS)
def test_a_repeated_string_instruction_is_one_breakpoint(debugged: MakeDebugger, kind: str) -> None:
    code = bytes.fromhex(
        "b9 05 00"  # mov cx, 5
        "ba 30 00"  # mov dx, 0x30
        "f3 6e"  # rep outsb
        "90"  # nop
    )
    with debugged(code) as debugger:
        device = watch_port(debugger)
        before, behind = (insert(debugger, kind, LOAD + at) for at in (6, 8))
        assert debugger.resume(timeout=PATIENCE) == hit(before)
        assert device.seen == []
        assert debugger.resume(timeout=PATIENCE) == hit(behind)
        assert len(device.seen) == 5


def test_text_on_the_serial_line_stays_whole_while_it_is_stepped(debugged: MakeDebugger) -> None:
    """Whether its writes are posted, or one more is under way when the guest stops."""
    code = bytes.fromhex(
        "ba f8 03"  # mov dx, 0x3f8
        "b0 41"  # mov al, 'A'
        "ee"  # out dx, al
        "fe c0"  # inc al
        "eb fb"  # jmp to the out
    )
    with debugged(code) as debugger:
        cpu = debugger.cpus[0]
        cpu.step(2, timeout=PATIENCE)
        for end in range(1, 6):
            steps = [cpu.step(timeout=PATIENCE).address for _ in range(3)]
            assert steps == [LOAD + at for at in (6, 8, 5)]
            assert debugger.machine.output == b"ABCDE"[:end]


class Interrupting(Recorder):
    """Has the debugger interrupted at the first access."""

    width = 8

    def __init__(self, debugger: Debugger, answer: int = 0) -> None:
        super().__init__(answer)
        self._debugger = debugger

    def _note(self) -> None:
        if not self.seen:
            self._debugger.interrupt()

    def read(self, offset: int, size: int) -> int:
        self._note()
        return super().read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        self._note()
        super().write(offset, size, value)


def test_an_access_under_way_is_finished_when_all_has_stopped(debugged: MakeDebugger) -> None:
    code = bytes.fromhex(
        "e4 30"  # in al, 0x30
        "f4"  # hlt
    )
    with debugged(code) as debugger:
        device = Interrupting(debugger, 0x77)
        debugger.machine.ports.attach(0x30, 1, device)
        assert debugger.resume(timeout=PATIENCE) == Event("interrupted", 0, address=LOAD + 2)
        assert debugger.cpus[0].vcpu.get_regs().rax & 0xFF == 0x77
        assert debugger.resume(timeout=PATIENCE).stop == Stop(StopReason.HALTED)
        assert len(device.seen) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_ends_at_a_breakpoint_has_met_it(debugged: MakeDebugger, kind: str) -> None:
    code = bytes.fromhex(
        "e4 30"  # in al, 0x30
        "90"  # nop
        "f4"  # hlt
    )
    with debugged(code) as debugger:
        debugger.machine.ports.attach(0x30, 1, Interrupting(debugger))
        point = insert(debugger, kind, LOAD + 2)
        assert debugger.resume(timeout=PATIENCE).kind == "interrupted"
        assert debugger.resume(timeout=PATIENCE) == hit(point)
        assert debugger.resume(timeout=PATIENCE).stop == Stop(StopReason.HALTED)


@pytest.mark.needs("mmio")
def test_all_parts_of_an_access_are_made_before_it_is_told(debugged: MakeDebugger) -> None:
    code = bytes.fromhex(
        "a3 fe 0f 01 00"  # mov [0x10ffe], eax
        "f4"  # hlt
    )
    with debugged(code, Mode.PROTECTED) as debugger:
        device = Interrupting(debugger)
        debugger.machine.mmio.attach(0x10000, 0x2000, device)
        assert debugger.resume(timeout=PATIENCE) == Event("interrupted", 0, address=LOAD + 5)
        parts = [range(offset, offset + size) for _, offset, size, _ in device.seen]
        assert len(parts) > 1
        assert [byte for part in parts for byte in part] == [*range(0xFFE, 0x1002)]


@pytest.mark.needs("rep_outs")
def test_what_a_string_instruction_has_sent_is_what_its_count_says(debugged: MakeDebugger) -> None:
    code = bytes.fromhex(
        "b9 05 00"  # mov cx, 5
        "ba 30 00"  # mov dx, 0x30
        "f3 6e"  # rep outsb
        "f4"  # hlt
    )
    with debugged(code) as debugger:
        device = Interrupting(debugger)
        debugger.machine.ports.attach(0x30, 1, device)
        assert debugger.resume(timeout=PATIENCE).kind == "interrupted"
        assert len(device.seen) + debugger.cpus[0].vcpu.get_regs().rcx == 5
        assert debugger.resume(timeout=PATIENCE).stop == Stop(StopReason.HALTED)
        assert len(device.seen) == 5
