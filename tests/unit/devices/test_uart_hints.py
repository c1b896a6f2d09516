"""What the accelerator may do alone; that it is invisible, the model test shows."""

from __future__ import annotations

import pytest

from pykvm.devices import BufferSink, Uart16550
from pykvm.devices.serial_reg import (
    FCR,
    FCR_ENABLE_FIFO,
    IER,
    IER_THRI,
    LCR,
    LCR_DLAB,
    LSR,
    LSR_DR,
    MCR,
    MCR_LOOP,
    RX,
    TX,
)
from pykvm.irq import IrqLine
from tests.unit.devices.accelerated_guest import FakeAccelerator, Guest
from tests.unit.devices.uart_rig import IDLE


class TestHints:
    """The hints by the state of the UART."""

    @pytest.fixture
    def guest(self) -> Guest:
        guest = Guest(accelerated=True)
        self.uart = Uart16550(IrqLine(), BufferSink())
        guest.bus.attach(0, 8, self.uart)
        return guest

    @staticmethod
    def hints(guest: Guest) -> tuple[bool, int | None]:
        accelerator = guest.accelerator
        assert isinstance(accelerator, FakeAccelerator)
        return (TX, 1) in accelerator.posted, accelerator.answers.get((LSR, 1))

    def test_polled_output_needs_python_once(self, guest: Guest) -> None:
        guest.inp(LSR)
        assert self.hints(guest) == (True, IDLE)

    def test_waiting_input_is_answered_too(self, guest: Guest) -> None:
        guest.inp(LSR)
        self.uart.receive(b"x")
        assert self.hints(guest) == (True, IDLE | LSR_DR)
        guest.inp(RX)
        assert self.hints(guest) == (True, IDLE)

    @pytest.mark.parametrize(
        ("offset", "value"), [(LCR, LCR_DLAB), (MCR, MCR_LOOP), (IER, IER_THRI)]
    )
    def test_writes_that_show_are_not_posted(self, guest: Guest, offset: int, value: int) -> None:
        guest.out(offset, value)
        assert not self.hints(guest)[0]
        guest.out(offset, 0)
        assert self.hints(guest)[0]

    def test_errors_are_not_answered(self, guest: Guest) -> None:
        guest.inp(LSR)
        self.uart.receive_break()
        assert self.hints(guest)[1] is None
        guest.inp(LSR)
        assert self.hints(guest)[1] == IDLE | LSR_DR

    def test_the_first_look_after_a_clear_is_not_answered(self, guest: Guest) -> None:
        guest.inp(LSR)
        guest.out(FCR, FCR_ENABLE_FIFO)
        assert self.hints(guest)[1] is None
