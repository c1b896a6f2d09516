"""The debugger on one processor: steps, breakpoints, watchpoints, what guests do to devices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pykvm import Machine, Mode, Stop, StopReason
from pykvm.debug.debugger import Debugger, Event, Point
from pykvm.errors import DebugError, TranslationError
from pykvm.kvm import DebugControl, MpState
from pykvm.memory import Gpa
from tests.support.leaks import nothing_left_behind
from tests.support.small_guests import SPIN, Recorder

LOAD = 0x1000
PATIENCE = 60

COUNT = bytes.fromhex(
    "90"  # nop
    "fe c3"  # inc bl
    "90"  # nop
    "e6 30"  # out 0x30, al
    "eb f9"  # jmp to the inc
)
INC, AFTER_INC, OUT, JUMP = LOAD + 1, LOAD + 3, LOAD + 4, LOAD + 6

KINDS = [
    pytest.param("software", id="software"),
    pytest.param("hardware", id="hardware"),
]
MODES = [pytest.param(mode, id=mode.value) for mode in Mode]


@contextmanager
def debugged(code: bytes, mode: Mode = Mode.REAL, irqchip: str = "kernel") -> Iterator[Debugger]:
    """A debugger on a machine that is about to execute `code` at 0x1000."""
    with Machine("64K", irqchip=irqchip) as machine:
        machine.load(code, mode=mode, load_address=LOAD, entry=LOAD)
        with Debugger(machine) as debugger:
            yield debugger


def watch_port(debugger: Debugger, answer: int = 0) -> Recorder:
    device = Recorder(answer)
    debugger.machine.ports.attach(0x30, 1, device)
    return device


def bl(debugger: Debugger) -> int:
    """How often the loop has counted."""
    return debugger.cpus[0].vcpu.get_regs().rbx & 0xFF


def hit(point: Point, address: int | None = None) -> Event:
    kind = "breakpoint" if point.is_breakpoint else "watchpoint"
    return Event(kind, 0, point, point.address if address is None else address)


@pytest.mark.parametrize("mode", MODES)
def test_a_step_is_one_instruction(mode: Mode) -> None:
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
def test_a_breakpoint_in_a_loop_is_met_once_each_time(kind: str, mode: Mode) -> None:
    with debugged(COUNT, mode) as debugger:
        device = watch_port(debugger)
        point = Point(kind, AFTER_INC)
        debugger.insert(point)
        for times in range(1, 6):
            assert debugger.resume(timeout=PATIENCE) == hit(point)
            assert bl(debugger) == times
            assert len(device.seen) == times - 1
        debugger.remove(point)
        assert debugger.resume(timeout=0.02).stop == Stop(StopReason.TIMEOUT)


@pytest.mark.parametrize("kind", KINDS)
def test_an_access_at_a_breakpoint_is_made_once(kind: str) -> None:
    with debugged(COUNT) as debugger:
        device = watch_port(debugger)
        points = [Point(kind, OUT), Point(kind, JUMP)]
        for point in points:
            debugger.insert(point)
        for times in range(4):
            assert debugger.resume(timeout=PATIENCE) == hit(points[0])
            assert len(device.seen) == times
            assert debugger.resume(timeout=PATIENCE) == hit(points[1])
            assert len(device.seen) == times + 1


@pytest.mark.parametrize("kind", KINDS)
def test_stepping_onto_a_breakpoint_and_on_from_it(kind: str) -> None:
    with debugged(COUNT) as debugger:
        point = Point(kind, AFTER_INC)
        debugger.insert(point)
        step = debugger.cpus[0].step
        assert [step(timeout=PATIENCE).address for _ in range(3)] == [INC, AFTER_INC, OUT]
        assert debugger.resume(timeout=PATIENCE) == hit(point)
        assert bl(debugger) == 2
        assert step(timeout=PATIENCE) == Event("step", 0, address=OUT)


def test_a_breakpoint_on_a_jump_to_itself_is_met_again_and_again() -> None:
    with debugged(SPIN) as debugger:
        point = Point("software", LOAD)
        debugger.insert(point)
        for _ in range(3):
            assert debugger.resume(timeout=PATIENCE) == hit(point)


def test_what_is_read_from_a_device_is_there_after_the_step() -> None:
    code = bytes.fromhex(
        "e4 30"  # in al, 0x30
        "90"  # nop
    )
    with debugged(code) as debugger:
        watch_port(debugger, 0x5A)
        assert debugger.cpus[0].step(timeout=PATIENCE).address == LOAD + 2
        assert debugger.cpus[0].vcpu.get_regs().rax & 0xFF == 0x5A


@pytest.mark.needs("rep_outs")
def test_a_repeated_string_instruction_is_one_breakpoint() -> None:
    code = bytes.fromhex(
        "b9 05 00"  # mov cx, 5
        "ba 30 00"  # mov dx, 0x30
        "f3 6e"  # rep outsb
        "90"  # nop
    )
    with debugged(code) as debugger:
        device = watch_port(debugger)
        before, behind = Point("software", LOAD + 6), Point("software", LOAD + 8)
        debugger.insert(before)
        debugger.insert(behind)
        assert debugger.resume(timeout=PATIENCE) == hit(before)
        assert device.seen == []
        assert debugger.resume(timeout=PATIENCE) == hit(behind)
        assert len(device.seen) == 5


def test_text_on_the_serial_line_stays_whole_while_it_is_stepped() -> None:
    """Whether its writes are posted, or one more is under way when the guest stops."""
    code = bytes.fromhex(
        "ba f8 03"  # mov dx, 0x3f8
        "b0 41"  # mov al, 'A'
        "ee"  # out dx, al
        "fe c0"  # inc al
        "eb fb"  # jmp to the out
    )
    with debugged(code) as debugger:
        debugger.cpus[0].step(2, timeout=PATIENCE)
        point = Point("hardware", LOAD + 6)
        debugger.insert(point)
        for end in range(1, 6):
            assert debugger.resume(timeout=PATIENCE).kind == "breakpoint"
            assert debugger.cpus[0].step(timeout=PATIENCE).kind == "step"
            assert debugger.machine.output == b"ABCDE"[:end]


def test_an_access_under_way_is_finished_when_all_has_stopped() -> None:
    code = bytes.fromhex(
        "e4 30"  # in al, 0x30
        "f4"  # hlt
    )

    class Stopping(Recorder):
        def read(self, offset: int, size: int) -> int:
            debugger.interrupt()
            return super().read(offset, size)

    with debugged(code) as debugger:
        device = Stopping(0x77)
        debugger.machine.ports.attach(0x30, 1, device)
        assert debugger.resume(timeout=PATIENCE) == Event("interrupted", 0, address=LOAD + 2)
        assert debugger.cpus[0].vcpu.get_regs().rax & 0xFF == 0x77
        assert debugger.resume(timeout=PATIENCE).stop == Stop(StopReason.HALTED)
        assert len(device.seen) == 1


STORE = bytes.fromhex(
    "fe c3"  # inc bl
    "88 1e 00 30"  # mov [0x3000], bl
    "90"  # nop
    "eb f7"  # jmp to the inc
)


def test_a_write_watchpoint_stops_behind_the_write() -> None:
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
def test_a_watchpoint_for_reads(kind: str) -> None:
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


def test_run_until() -> None:
    with debugged(COUNT) as debugger:
        cpu = debugger.cpus[0]
        for times in range(1, 4):
            assert cpu.run_until(OUT, timeout=PATIENCE).address == OUT
            assert bl(debugger) == times
        assert debugger.points == ()
        assert cpu.run_until(LOAD, timeout=0.02).stop == Stop(StopReason.TIMEOUT)


def test_another_thread_interrupts() -> None:
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


def test_an_interruption_while_nothing_runs_ends_the_next_resume_only() -> None:
    with debugged(COUNT) as debugger:
        debugger.interrupt()
        assert debugger.resume() == Event("interrupted", 0, address=LOAD)
        assert debugger.cpus[0].step(timeout=PATIENCE) == Event("step", 0, address=INC)


def test_a_step_that_triple_faults_is_a_crash() -> None:
    with debugged(b"\x90\x0f\x0b", Mode.LONG) as debugger:  # nop; ud2, and no IDT
        assert debugger.cpus[0].step(timeout=PATIENCE).kind == "step"
        event = debugger.cpus[0].step(timeout=PATIENCE)
        assert (event.kind, event.processor) == ("crash", 0)
        assert event.crash is not None


def test_a_step_over_a_halt_halts() -> None:
    """On every host, also where KVM would run over it."""
    with debugged(b"\xf4\x90") as debugger:  # hlt; nop
        assert debugger.cpus[0].step(timeout=PATIENCE) == Event("step", 0, address=LOAD + 1)
        assert debugger.cpus[0].vcpu.get_mp_state() is MpState.HALTED
        event = debugger.cpus[0].step(timeout=PATIENCE)
        assert event == Event("ended", 0, address=LOAD + 1, stop=Stop(StopReason.HALTED))


def test_a_step_over_a_halt_without_controllers_ends_the_run() -> None:
    with debugged(b"\xf4\x90\x90", irqchip="none") as debugger:  # hlt; nop; nop
        event = debugger.cpus[0].step(timeout=PATIENCE)
        assert event == Event("ended", 0, address=LOAD + 1, stop=Stop(StopReason.HALTED))
        assert debugger.cpus[0].step(timeout=PATIENCE) == Event("step", 0, address=LOAD + 2)


def test_a_halt_while_looking_for_a_watchpoint_ends_the_run() -> None:
    with debugged(b"\x90\xf4\x90") as debugger:  # nop; hlt; nop
        debugger.insert(Point("write", 0x3000))
        assert debugger.resume(timeout=PATIENCE).stop == Stop(StopReason.HALTED)


def test_memory_through_page_tables_and_breakpoints() -> None:
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


def test_leaving_takes_all_away() -> None:
    with nothing_left_behind(), Machine("64K") as machine:
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


def test_there_are_four_registers_and_software_gives_way() -> None:
    with debugged(COUNT) as debugger:
        debugger.insert(Point("software", JUMP))
        if not debugger._plan.facilities.hardware:
            pytest.skip("this host's debug registers have no effect")
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
def test_points_that_there_are_not(point: Point, words: str) -> None:
    with debugged(COUNT) as debugger, pytest.raises(DebugError, match=words):
        debugger.insert(point)


def test_processors_that_there_are_not() -> None:
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
