"""The debugger on one processor: watchpoints, and all that ends a run."""

from __future__ import annotations

import threading

import pytest

from pykvm import Machine, Mode, Stop, StopReason
from pykvm.debug.debugger import Debugger, Event, Point
from pykvm.errors import DebugError, TranslationError
from pykvm.kvm import DebugControl, MpState
from pykvm.memory import Gpa
from tests.support.debugged import (
    COUNT,
    INC,
    JUMP,
    LOAD,
    OUT,
    PATIENCE,
    MakeDebugger,
    bl,
    hit,
)
from tests.support.debugged import debugged as on_kvm
from tests.support.leaks import nothing_left_behind
from tests.support.small_guests import Recorder

STORE = bytes.fromhex(
    "fe c3"  # inc bl
    "88 1e 00 30"  # mov [0x3000], bl
    "90"  # nop
    "eb f7"  # jmp to the inc
)


def test_a_write_watchpoint_stops_behind_the_write(debugged: MakeDebugger) -> None:
    with debugged(STORE) as debugger:
        point = Point("write", 0x3000)
        debugger.insert(point)
        for times in range(1, 4):
            assert debugger.resume(timeout=PATIENCE) == hit(point, LOAD + 6)
            assert debugger.read(0, 0x3000, 1) == bytes([times])
        debugger.write(0, 0x3000, b"\x09")
        assert debugger.resume(timeout=PATIENCE) == hit(point, LOAD + 6)
        assert debugger.read(0, 0x3000, 1) == b"\x04"


@pytest.mark.needs("watchpoint")
@pytest.mark.parametrize("kind", ["read", "access"])
def test_a_watchpoint_for_reads(debugged: MakeDebugger, kind: str) -> None:
    code = bytes.fromhex(
        "c6 06 00 30 07"  # mov byte [0x3000], 7
        "a0 00 30"  # mov al, [0x3000]
        "90"  # nop
        "f4"  # hlt
    )
    with debugged(code) as debugger:
        point = Point(kind, 0x3000)
        debugger.insert(point)
        if kind == "access":
            assert debugger.resume(timeout=PATIENCE) == hit(point, LOAD + 5)
        assert debugger.resume(timeout=PATIENCE) == hit(point, LOAD + 8)
        assert debugger.resume(timeout=PATIENCE).kind == "ended"


def test_run_until(debugged: MakeDebugger) -> None:
    with debugged(COUNT) as debugger:
        cpu = debugger.cpus[0]
        for times in range(1, 4):
            assert cpu.run_until(OUT, timeout=PATIENCE).address == OUT
            assert bl(debugger) == times
        assert debugger.points == ()
        assert cpu.run_until(LOAD, timeout=0.02).stop == Stop(StopReason.TIMEOUT)


def test_another_thread_interrupts(debugged: MakeDebugger) -> None:
    with debugged(COUNT) as debugger:
        started = threading.Event()

        class Starting(Recorder):
            def write(self, offset: int, size: int, value: int) -> None:
                started.set()

        debugger.machine.ports.attach(0x30, 1, Starting())

        def interrupt() -> None:
            if started.wait(PATIENCE):
                debugger.interrupt()

        thread = threading.Thread(target=interrupt)
        thread.start()
        event = debugger.resume(timeout=PATIENCE)
        thread.join()
        assert event.kind == "interrupted"
        assert event.address == debugger.cpus[0].pc


def test_an_interruption_while_nothing_runs_ends_the_next_resume_only(
    debugged: MakeDebugger,
) -> None:
    with debugged(COUNT) as debugger:
        debugger.interrupt()
        assert debugger.resume() == Event("interrupted", 0, address=LOAD)
        assert debugger.cpus[0].step(timeout=PATIENCE) == Event("step", 0, address=INC)


def test_a_step_that_triple_faults_is_a_crash(debugged: MakeDebugger) -> None:
    with debugged(b"\x90\x0f\x0b", Mode.LONG) as debugger:  # nop; ud2, and no IDT
        assert debugger.cpus[0].step(timeout=PATIENCE).kind == "step"
        event = debugger.cpus[0].step(timeout=PATIENCE)
        assert (event.kind, event.processor) == ("crash", 0)
        assert event.crash is not None


def test_a_step_over_a_halt_halts(debugged: MakeDebugger) -> None:
    """On every host, also where KVM would run over it."""
    with debugged(b"\xf4\x90") as debugger:  # hlt; nop
        assert debugger.cpus[0].step(timeout=PATIENCE) == Event("step", 0, address=LOAD + 1)
        assert debugger.cpus[0].vcpu.get_mp_state() is MpState.HALTED
        event = debugger.cpus[0].step(timeout=PATIENCE)
        assert event == Event("ended", 0, address=LOAD + 1, stop=Stop(StopReason.HALTED))


def test_a_step_over_a_halt_without_controllers_ends_the_run(debugged: MakeDebugger) -> None:
    with debugged(b"\xf4\x90\x90", irqchip="none") as debugger:  # hlt; nop; nop
        event = debugger.cpus[0].step(timeout=PATIENCE)
        assert event == Event("ended", 0, address=LOAD + 1, stop=Stop(StopReason.HALTED))
        assert debugger.cpus[0].step(timeout=PATIENCE) == Event("step", 0, address=LOAD + 2)


def test_a_halt_while_looking_for_a_watchpoint_ends_the_run(debugged: MakeDebugger) -> None:
    with debugged(b"\x90\xf4\x90") as debugger:  # nop; hlt; nop
        debugger.insert(Point("write", 0x3000))
        assert debugger.resume(timeout=PATIENCE).stop == Stop(StopReason.HALTED)


def test_memory_through_page_tables_and_breakpoints(debugged: MakeDebugger) -> None:
    with debugged(COUNT, Mode.LONG) as debugger:
        debugger.insert(Point("software", INC))
        assert debugger.read(0, LOAD, len(COUNT)) == COUNT
        debugger.write(0, INC, COUNT[1:3])
        assert debugger.resume(timeout=PATIENCE).kind == "breakpoint"
        with pytest.raises(TranslationError, match="not canonical"):
            debugger.read(0, 1 << 63, 1)
        with pytest.raises(TranslationError, match="no RAM"):
            debugger.read(0, 0x10000 - 2, 4)
        assert debugger.peek(0, 0x10000 - 2, 4) == debugger.read(0, 0x10000 - 2, 2)


def test_leaving_takes_all_away(accel: str) -> None:
    with nothing_left_behind(), Machine("64K", accel=accel) as machine:
        machine.load(COUNT)
        with Debugger(machine) as debugger:
            debugger.insert(Point("software", INC))
            debugger.insert(Point("hardware", OUT))
            assert debugger.resume(timeout=PATIENCE).kind == "breakpoint"
            with pytest.raises(DebugError, match="already"):
                Debugger(machine)
        assert machine.memory.read(Gpa(LOAD), len(COUNT)) == COUNT
        assert machine.run(timeout=0.02).reason is StopReason.TIMEOUT
        Debugger(machine).close()


def test_the_machine_may_be_closed_first(accel: str) -> None:
    with nothing_left_behind():
        machine = Machine("64K", accel=accel)
        machine.load(COUNT)
        with Debugger(machine) as debugger:
            debugger.insert(Point("software", INC))
            machine.close()
        with pytest.raises(ValueError, match="closed"):
            debugger.resume()


@pytest.mark.needs("hw_breakpoint", "hw_breakpoint_long")
def test_there_are_four_registers_and_software_gives_way() -> None:
    with on_kvm(COUNT) as debugger:
        debugger.insert(Point("software", JUMP))
        for address in range(0x2000, 0x2004):
            debugger.insert(Point("hardware", address))
        with pytest.raises(DebugError, match="no debug register is left"):
            debugger.insert(Point("hardware", 0x2004))
        assert debugger.resume(timeout=PATIENCE) == hit(Point("software", JUMP))


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (Point("silicon", 0), "no 'silicon' point"),
        (Point("write", 0x3001, 2), "multiple"),
        (Point("write", 0x3000, 3), "1, 2, 4 or 8"),
        (Point("software", 1 << 64), "64 bits"),
    ],
)
def test_points_that_there_are_not(debugged: MakeDebugger, point: Point, words: str) -> None:
    with debugged(COUNT) as debugger, pytest.raises(DebugError, match=words):
        debugger.insert(point)


def test_processors_that_there_are_not(debugged: MakeDebugger) -> None:
    with debugged(COUNT) as debugger:
        for only, step in ([1], ()), ([], ()), (None, [1]):
            with pytest.raises(ValueError, match="processors"):
                debugger.resume(only=only, step=step)


def test_a_machine_that_somebody_debugs_by_hand_stops_too() -> None:
    with Machine("64K") as machine:
        machine.load(COUNT)
        machine.cpus[0].vcpu.set_guest_debug(DebugControl.ENABLE | DebugControl.SINGLESTEP)
        assert machine.run(timeout=PATIENCE).reason is StopReason.DEBUG
        assert machine.cpus[0].vcpu.get_regs().rip == INC
