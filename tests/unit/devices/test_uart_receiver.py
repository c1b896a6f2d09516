"""The 16550A's receiver: FIFO, trigger levels, time-outs, errors, and the host's queue."""

from __future__ import annotations

import pytest

from pykvm.devices import BufferSink, Uart16550
from pykvm.devices.serial_reg import (
    FCR,
    FCR_CLEAR_RCVR,
    FCR_ENABLE_FIFO,
    FCR_TRIGGER_4,
    FCR_TRIGGER_8,
    FCR_TRIGGER_14,
    IER,
    IER_RDI,
    IER_RLSI,
    IER_THRI,
    IIR,
    LCR,
    LCR_DLAB,
    LCR_WLEN8,
    LSR,
    LSR_BI,
    LSR_DR,
    LSR_FE,
    LSR_FIFOE,
    LSR_OE,
    RX,
)
from pykvm.devices.uart16550 import QUEUE_SIZE
from pykvm.irq import IrqLine
from tests.unit.devices.uart_rig import DATA, FIFO, IDLE, LINE_STATUS, NO_INTERRUPT, TIME_OUT, Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()


class TestReceiver:
    def test_a_character_in_16450_mode(self, rig: Rig) -> None:
        rig.write(IER, IER_RDI)
        rig.uart.receive(b"a")
        assert rig.irq.level
        assert rig.read(IIR) == DATA
        assert rig.read(LSR) == IDLE | LSR_DR
        assert rig.read(RX) == ord("a")
        assert not rig.irq.level
        assert rig.read(LSR) == IDLE

    def test_each_character_in_16450_mode_is_an_edge(self, rig: Rig) -> None:
        rig.write(IER, IER_RDI)
        rig.uart.receive(b"abc")
        received = []
        for _ in range(3):
            rig.edges.clear()
            received.append(rig.read(RX))
            assert rig.edges[0] is False
        assert bytes(received) == b"abc"
        assert rig.edges == [False]

    @pytest.mark.parametrize(
        ("trigger", "level"), [(0, 1), (FCR_TRIGGER_4, 4), (FCR_TRIGGER_8, 8), (FCR_TRIGGER_14, 14)]
    )
    def test_trigger_levels(self, rig: Rig, trigger: int, level: int) -> None:
        rig.write(FCR, FCR_ENABLE_FIFO | trigger)
        rig.write(IER, IER_RDI)
        rig.uart.receive(bytes(level))
        assert rig.read(IIR) == FIFO | DATA
        rig.read(RX)
        after = TIME_OUT if level > 1 else NO_INTERRUPT
        assert rig.read(IIR) == FIFO | after

    def test_below_the_trigger_level_times_out_at_once(self, rig: Rig) -> None:
        rig.write(FCR, FCR_ENABLE_FIFO | FCR_TRIGGER_8)
        rig.write(IER, IER_RDI)
        rig.uart.receive(b"abc")
        assert rig.irq.level
        assert rig.read(IIR) == FIFO | TIME_OUT

    def test_reading_ends_a_time_out_and_the_rest_times_out_anew(self, rig: Rig) -> None:
        rig.write(FCR, FCR_ENABLE_FIFO | FCR_TRIGGER_8)
        rig.write(IER, IER_RDI)
        rig.uart.receive(b"ab")
        rig.edges.clear()
        rig.read(RX)
        assert rig.edges == [False, True]
        rig.read(RX)
        assert rig.edges == [False, True, False]

    def test_polling_the_lsr_does_not_end_a_time_out(self, rig: Rig) -> None:
        rig.write(FCR, FCR_ENABLE_FIFO | FCR_TRIGGER_8)
        rig.write(IER, IER_RDI)
        rig.uart.receive(b"ab")
        rig.edges.clear()
        rig.read(LSR)
        assert rig.edges == []
        assert rig.read(IIR) == FIFO | TIME_OUT

    def test_a_guest_that_reads_a_trigger_level_an_edge_gets_everything(self, rig: Rig) -> None:
        rig.write(FCR, FCR_ENABLE_FIFO | FCR_TRIGGER_14)
        rig.write(IER, IER_RDI)
        data = bytes(range(200))
        rig.uart.receive(data)
        received = bytearray()
        while True in rig.edges:  # as an edge-triggered controller: serve it once an edge
            rig.edges.clear()
            for _ in range(14 if rig.read(IIR) == FIFO | DATA else 1):
                received.append(rig.read(RX))
        assert received == data

    def test_nothing_is_lost_however_much_is_sent(self, rig: Rig) -> None:
        rig.write(FCR, FCR_ENABLE_FIFO)
        data = bytes(i * 7 & 0xFF for i in range(10_000))
        rest, received = data, bytearray()
        while rest or rig.read(LSR) & LSR_DR:
            rest = rest[rig.uart.receive(rest) :]
            for _ in range(1000):
                if rig.read(LSR) & LSR_DR:
                    received.append(rig.read(RX))
        assert received == data
        assert not rig.read(LSR) & LSR_OE

    def test_the_queue_is_bounded(self, rig: Rig) -> None:
        assert rig.uart.room == QUEUE_SIZE
        assert rig.uart.receive(bytes(QUEUE_SIZE + 5)) == QUEUE_SIZE
        assert rig.uart.room == 0
        assert rig.uart.receive(b"x") == 0
        assert not rig.uart.receive_break()

    def test_on_room_is_called_once_when_half_empty(self) -> None:
        uart = Uart16550(IrqLine(), BufferSink(), queue_size=8)
        rooms: list[int] = []
        uart.on_room = lambda: rooms.append(uart.room)
        uart.receive(bytes(7))
        for _ in range(7):
            uart.read(RX, 1)
        assert rooms == []  # it had never been full
        assert uart.receive(bytes(20)) == 9  # one of them into the RBR
        for _ in range(9):
            uart.read(RX, 1)
        assert rooms == [4]

    def test_on_room_may_send_at_once(self) -> None:
        uart = Uart16550(IrqLine(), BufferSink(), queue_size=4)
        rest = bytearray(range(100))

        def feed() -> None:
            del rest[: uart.receive(bytes(rest))]

        uart.on_room = feed
        feed()
        received = [uart.read(RX, 1) for _ in range(100)]
        assert received == list(range(100))

    def test_an_empty_receiver_repeats_the_last_character(self, rig: Rig) -> None:
        rig.uart.receive(b"z")
        assert [rig.read(RX), rig.read(RX)] == [ord("z"), ord("z")]


class TestFifoControl:
    def test_bits_6_and_7_of_the_iir_tell_the_mode(self, rig: Rig) -> None:
        rig.write(FCR, FCR_ENABLE_FIFO)
        assert rig.read(IIR) == FIFO | NO_INTERRUPT
        rig.write(FCR, 0)
        assert rig.read(IIR) == NO_INTERRUPT

    def test_clear_loses_what_had_arrived(self, rig: Rig) -> None:
        rig.write(FCR, FCR_ENABLE_FIFO)
        rig.uart.receive(b"lost")
        assert rig.read(LSR) & LSR_DR
        rig.write(FCR, FCR_ENABLE_FIFO | FCR_CLEAR_RCVR)
        assert not rig.read(LSR) & LSR_DR

    def test_clear_does_not_deafen_an_enabled_receiver_interrupt(self, rig: Rig) -> None:
        rig.write(IER, IER_RDI)
        rig.write(FCR, FCR_ENABLE_FIFO | FCR_CLEAR_RCVR)
        rig.uart.receive(b"x")
        assert rig.irq.level

    def test_clear_bit_does_nothing_without_fcr0(self, rig: Rig) -> None:
        rig.uart.receive(b"k")
        rig.read(LSR)
        rig.write(FCR, FCR_CLEAR_RCVR)
        assert rig.read(RX) == ord("k")

    @pytest.mark.parametrize("before", [0, FCR_ENABLE_FIFO])
    def test_changing_the_mode_clears(self, rig: Rig, before: int) -> None:
        rig.write(FCR, before)
        rig.uart.receive(b"k")
        rig.read(LSR)
        rig.write(FCR, before ^ FCR_ENABLE_FIFO)
        assert not rig.read(LSR) & LSR_DR

    def test_input_from_before_the_initialisation_survives_it(self, rig: Rig) -> None:
        rig.uart.receive(b"early")
        rig.write(LCR, LCR_DLAB)
        rig.write(0, 1)
        rig.write(LCR, LCR_WLEN8)
        rig.write(FCR, FCR_ENABLE_FIFO | FCR_CLEAR_RCVR | FCR_TRIGGER_14)
        assert bytes(rig.read(RX) for _ in range(5)) == b"early"


class TestLineStatus:
    def test_break_is_a_zero_with_errors_at_its_place(self, rig: Rig) -> None:
        rig.write(FCR, FCR_ENABLE_FIFO | FCR_TRIGGER_4)
        rig.write(IER, IER_RDI | IER_RLSI)
        rig.uart.receive(b"a")
        rig.uart.receive_break()
        assert rig.read(LSR) == IDLE | LSR_DR | LSR_FIFOE  # somewhere in the FIFO, not on top
        assert rig.read(IIR) == FIFO | TIME_OUT
        assert rig.read(RX) == ord("a")
        assert rig.read(IIR) == FIFO | LINE_STATUS
        assert rig.read(LSR) == IDLE | LSR_DR | LSR_BI | LSR_FE | LSR_FIFOE
        assert rig.read(LSR) == IDLE | LSR_DR
        assert rig.read(IIR) == FIFO | TIME_OUT
        assert rig.read(RX) == 0

    def test_fifo_error_bit_is_zero_in_16450_mode(self, rig: Rig) -> None:
        rig.uart.receive_break()
        assert rig.read(LSR) == IDLE | LSR_DR | LSR_BI | LSR_FE

    def test_line_status_comes_before_data_and_iir_does_not_clear_it(self, rig: Rig) -> None:
        rig.write(IER, IER_RDI | IER_RLSI | IER_THRI)
        rig.uart.receive_break()
        assert [rig.read(IIR), rig.read(IIR)] == [LINE_STATUS, LINE_STATUS]
        rig.read(LSR)
        assert rig.read(IIR) == DATA

    def test_thre_and_data_together_are_not_line_status(self, rig: Rig) -> None:
        rig.write(IER, IER_RDI | IER_THRI)
        rig.uart.receive(b"x")
        assert rig.read(IIR) == DATA
