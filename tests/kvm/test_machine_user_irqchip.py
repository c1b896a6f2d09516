"""A machine whose interrupt controllers and timer are pykvm's: who interrupts it, and when."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from types import FrameType

import pytest

from pykvm import Device, Machine, Stop, StopReason
from pykvm.cpu.msrs import MsrRefused
from pykvm.devices.debug_exit import exit_status
from pykvm.errors import MachineError
from pykvm.layout import COM1, COM1_IRQ, DEBUG_EXIT
from pykvm.memory import Gpa
from tests.support.processors import WAIT
from tests.support.small_guests import Recorder
from tests.support.waiting import PATIENCE

PIC, PIC2, PIT = 0x20, 0xA0, 0x40
BASE, BASE2 = 0x20, 0x28
GENERAL_PROTECTION = 13
HALTED = Stop(StopReason.HALTED)

STI_SPIN = bytes.fromhex(
    "fb"  # sti
    "eb fe"  # jmp $
)
STI_OUT_30_SPIN = bytes.fromhex(
    "fb"  # sti
    "90"  # nop: interrupts are off up to here
    "e6 30"  # out 0x30, al
    "eb fe"  # jmp $
)
POLL_30_THEN_STI = bytes.fromhex(
    "e4 30"  # in al, 0x30
    "84 c0"  # test al, al
    "74 fa"  # jz to the in
    "e6 31"  # out 0x31, al
    "fb"  # sti
    "eb fe"  # jmp $
)
WAIT_THEN_OUT_30 = bytes.fromhex(
    "fb"  # sti
    "f4"  # hlt
    "e6 30"  # out 0x30, al
    "fa"  # cli
    "f4"  # hlt
)
STI_RDMSR_SPIN = bytes.fromhex(
    "fb"  # sti
    "66 b9 45 23 01 00"  # mov ecx, 0x12345
    "0f 32"  # rdmsr
    "eb fe"  # jmp $
)
SKIP_TWO_BYTES = bytes.fromhex(
    "58"  # pop ax
    "05 02 00"  # add ax, 2
    "50"  # push ax
    "cf"  # iret
)
END = bytes.fromhex(
    "e6 f4"  # out 0xf4, al (debug exit)
    "f4"  # hlt
)
COUNT_TO_TEN_THEN_END = bytes.fromhex(
    "b0 20"  # mov al, 0x20
    "e6 20"  # out 0x20, al
    "43"  # inc bx
    "80 fb 0a"  # cmp bl, 10
    "74 01"  # je over the iret
    "cf"  # iret
    "e6 f4"  # out 0xf4, al
)
OUT_32_IRET = bytes.fromhex(
    "e6 32"  # out 0x32, al
    "b0 20"  # mov al, 0x20
    "e6 20"  # out 0x20, al
    "cf"  # iret
)

pytestmark = pytest.mark.needs("interrupt_window")


def initialize(machine: Machine, mask: int = 0, mask2: int = 0) -> None:
    """Set the interrupt controllers up, as a BIOS does."""
    for port, words in ((PIC, (0x11, BASE, 4, 1, mask)), (PIC2, (0x11, BASE2, 2, 1, mask2))):
        machine.ports.write(port, 1, words[0])
        for word in words[1:]:
            machine.ports.write(port + 1, 1, word)


def handle(machine: Machine, irq: int, code: bytes) -> None:
    """Put a handler to 0000:3000, or 16 bytes further for each interrupt."""
    address = 0x3000 + 16 * irq
    machine.memory.write_uint(Gpa((BASE + irq) * 4), 4, address)
    machine.memory.write(Gpa(address), code)


def listen(machine: Machine) -> None:
    """Have the UART interrupt for each character."""
    machine.ports.write(COM1 + 4, 1, 8)  # MCR: OUT2
    machine.ports.write(COM1 + 1, 1, 1)  # IER: receiver


def tick(machine: Machine, count: int) -> None:
    """Set the timer's rate."""
    machine.ports.write(PIT + 3, 1, 0x34)
    machine.ports.write(PIT, 1, count & 0xFF)
    machine.ports.write(PIT, 1, count >> 8)


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine("64K", irqchip="user") as machine:
        yield machine


def in_a_thread(action: object) -> threading.Thread:
    assert callable(action)
    thread = threading.Thread(target=action)
    thread.start()
    return thread


class TestHalt:
    def test_nothing_can_wake_who_was_never_told_of_controllers(self, machine: Machine) -> None:
        machine.load(WAIT)
        assert machine.run(timeout=PATIENCE) == HALTED

    @pytest.mark.parametrize("masks", [(0xFF, 0), (0xFB, 0xFF)])
    def test_nor_who_masks_all(self, machine: Machine, masks: tuple[int, int]) -> None:
        machine.load(WAIT)
        initialize(machine, *masks)
        assert machine.run(timeout=PATIENCE) == HALTED

    def test_who_could_be_woken_waits(self, machine: Machine) -> None:
        device = Recorder()
        machine.ports.attach(0x30, 1, device)
        machine.load(WAIT_THEN_OUT_30)
        initialize(machine)
        for _ in range(3):
            assert machine.run(timeout=0.02).reason is StopReason.TIMEOUT
        assert device.seen == []

    def test_and_goes_on_behind_its_hlt(self, machine: Machine) -> None:
        device = Recorder()
        machine.ports.attach(0x30, 1, device)
        machine.load(WAIT_THEN_OUT_30)
        initialize(machine)
        handle(machine, COM1_IRQ, OUT_32_IRET)
        machine.ports.attach(0x32, 1, Recorder())
        listen(machine)
        assert machine.run(timeout=0.02).reason is StopReason.TIMEOUT
        machine.send(b"x")
        assert machine.run(timeout=PATIENCE) == HALTED
        assert len(device.seen) == 1

    def test_it_stays_halted(self, machine: Machine) -> None:
        device = Recorder()
        machine.ports.attach(0x30, 1, device)
        machine.load(b"\xf4" + WAIT_THEN_OUT_30)  # hlt, with interrupts off
        initialize(machine)
        listen(machine)
        for _ in range(2):
            assert machine.run(timeout=PATIENCE) == HALTED
            machine.send(b"x")
        assert device.seen == []

    def test_another_thread_stops_it(self, machine: Machine) -> None:
        machine.load(WAIT)
        initialize(machine)
        thread = in_a_thread(machine.stop)
        assert machine.run(timeout=PATIENCE).reason is StopReason.STOPPED
        thread.join()

    def test_a_signal_s_handler_stops_it(self, machine: Machine) -> None:
        def stop(_: int, __: FrameType | None) -> None:
            machine.stop()

        machine.load(WAIT)
        initialize(machine)
        before = signal.signal(signal.SIGALRM, stop)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            assert machine.run(timeout=PATIENCE).reason is StopReason.STOPPED
        finally:
            signal.signal(signal.SIGALRM, before)

    def test_the_clocks_that_interrupt_are_looked_at_meanwhile(self, machine: Machine) -> None:
        machine.load(WAIT)
        initialize(machine)
        machine.memory.write_uint(Gpa(BASE2 * 4), 4, 0x3000)
        machine.memory.write(Gpa(0x3000), END)
        for register, value in ((0x0A, 0x26), (0x0B, 0x42)):  # 1024 Hz, interrupts
            machine.ports.write(0x70, 1, register)
            machine.ports.write(0x71, 1, value)
        assert machine.run(timeout=PATIENCE).reason is StopReason.DEBUG_EXIT


class TestInterrupts:
    @pytest.mark.parametrize("guest", [WAIT, STI_SPIN], ids=["halted", "spinning"])
    def test_input_from_another_thread_interrupts(self, machine: Machine, guest: bytes) -> None:
        machine.load(guest)
        initialize(machine)
        handle(machine, COM1_IRQ, END)
        listen(machine)
        thread = in_a_thread(lambda: machine.send(b"x"))
        assert machine.run(timeout=PATIENCE).reason is StopReason.DEBUG_EXIT
        thread.join()

    @pytest.mark.parametrize("guest", [WAIT, STI_SPIN], ids=["halted", "spinning"])
    @pytest.mark.parametrize("count", [2, 1193, 11930])
    def test_the_timer_interrupts(self, machine: Machine, guest: bytes, count: int) -> None:
        """Whatever the rate: a guest gets on with one that is much too fast."""
        machine.load(guest)
        initialize(machine)
        handle(machine, 0, COUNT_TO_TEN_THEN_END)
        tick(machine, count)
        stop = machine.run(timeout=PATIENCE)
        assert (stop.reason, stop.status) == (StopReason.DEBUG_EXIT, exit_status(0x20))
        assert machine.cpus[0].vcpu.get_regs().rbx == 10

    def test_an_interrupt_waits_until_the_guest_takes_it(self, machine: Machine) -> None:
        """It comes while the guest has interrupts off; that it turns them on makes no exit."""
        line = machine._lines.new_input(COM1_IRQ)
        order: list[str] = []

        class Trigger(Device):
            def read(self, offset: int, size: int) -> int:
                line.set(True)
                return 1

            def write(self, offset: int, size: int, value: int) -> None:
                order.append(f"{offset:x}")

        machine.ports.attach(0x30, 2, Trigger())
        machine.load(POLL_30_THEN_STI)
        initialize(machine)
        handle(machine, COM1_IRQ, END)
        assert machine.run(timeout=PATIENCE).reason is StopReason.DEBUG_EXIT
        assert order == ["1"]

    @pytest.mark.needs("msr_exits")
    def test_an_exception_from_the_access_before_it_does_not_lose_it(
        self, machine: Machine
    ) -> None:
        """RDMSR of a register that is refused raises #GP when the guest is entered again."""
        line = machine._lines.new_input(COM1_IRQ)

        def refuse() -> int:
            line.set(True)
            raise MsrRefused("not this one")

        machine.msrs.answer(0x12345, read=refuse)
        machine.load(STI_RDMSR_SPIN)
        initialize(machine)
        machine.memory.write_uint(Gpa(GENERAL_PROTECTION * 4), 4, 0x2000)
        machine.memory.write(Gpa(0x2000), SKIP_TWO_BYTES)
        handle(machine, COM1_IRQ, END)
        assert machine.run(timeout=PATIENCE).reason is StopReason.DEBUG_EXIT

    def test_one_that_the_budget_kept_out_is_not_lost_to_the_next(self, machine: Machine) -> None:
        """KVM has the first one, but was not entered since; it has room for one.

        Its exits: OUT, then the interrupt window, in which it gets that one.
        """
        isa = machine._controllers.isa
        assert isa is not None
        set_input = isa.set_input

        class Trigger(Device):
            def write(self, offset: int, size: int, value: int) -> None:
                set_input(COM1_IRQ, True)

        handled = Recorder()
        machine.ports.attach(0x30, 1, Trigger())
        machine.ports.attach(0x32, 1, handled)
        machine.load(STI_OUT_30_SPIN)
        initialize(machine)
        handle(machine, COM1_IRQ, OUT_32_IRET)
        handle(machine, 3, END)
        assert machine.run(timeout=PATIENCE, max_exits=2).reason is StopReason.BUDGET
        with machine.lock:
            set_input(3, True)
        assert machine.run(timeout=PATIENCE).reason is StopReason.DEBUG_EXIT
        assert len(handled.seen) == 1


class TestMachine:
    def test_several_processors_need_apics(self) -> None:
        with pytest.raises(MachineError, match="kernel or split, not user"):
            Machine("64K", irqchip="user", smp=2)

    def test_loading_makes_all_of_it_new(self, machine: Machine) -> None:
        machine.load(STI_SPIN)
        initialize(machine)
        handle(machine, 0, COUNT_TO_TEN_THEN_END)
        tick(machine, 1193)
        assert machine.run(timeout=PATIENCE).reason is StopReason.DEBUG_EXIT
        machine.load(WAIT)
        assert machine.ports.read(0x61, 1) & 0x0F == 0
        assert machine.run(timeout=PATIENCE) == HALTED

    def test_a_halt_is_forgotten_when_something_is_loaded(self, machine: Machine) -> None:
        machine.load(WAIT)
        assert machine.run(timeout=PATIENCE) == HALTED
        machine.load(END)
        assert machine.run(timeout=PATIENCE).reason is StopReason.DEBUG_EXIT
        assert machine.ports.find(DEBUG_EXIT) is not None
