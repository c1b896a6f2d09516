"""The 16550A: registers, transmitter, modem lines, loop-back; one fact of its datasheet a test."""

from __future__ import annotations

import pytest

from pykvm.devices import BufferSink, Uart16550
from pykvm.devices.serial_reg import (
    FCR,
    FCR_ENABLE_FIFO,
    IER,
    IER_MSI,
    IER_RDI,
    IER_THRI,
    IIR,
    LCR,
    LCR_DLAB,
    LCR_SBC,
    LCR_WLEN5,
    LCR_WLEN8,
    LSR,
    LSR_DR,
    LSR_OE,
    MCR,
    MCR_DTR,
    MCR_LOOP,
    MCR_OUT1,
    MCR_OUT2,
    MCR_RTS,
    MSR,
    RX,
    SCR,
    TX,
)
from pykvm.errors import SinkError
from pykvm.irq import IrqLine
from tests.unit.devices.uart_rig import DATA, FIFO, IDLE, MODEM, NO_INTERRUPT, THRE, Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()


class TestReset:
    def test_registers_after_master_reset(self) -> None:
        uart = Uart16550(IrqLine(), BufferSink())
        values = {offset: uart.read(offset, 1) for offset in (IER, IIR, LCR, MCR, LSR)}
        assert values == {IER: 0, IIR: NO_INTERRUPT, LCR: 0, MCR: 0, LSR: IDLE}

    def test_a_terminal_is_connected(self, rig: Rig) -> None:
        assert rig.read(MSR) == 0xB0  # CTS, DSR, DCD, and none of them has changed


class TestPlainRegisters:
    @pytest.mark.parametrize(
        ("offset", "mask"), [(IER, 0x0F), (LCR, 0xFF), (MCR, 0x1F), (SCR, 0xFF)]
    )
    def test_reads_back_its_bits(self, rig: Rig, offset: int, mask: int) -> None:
        for value in (0xFF, 0xA5, 0x00):
            rig.write(offset, value)
            assert rig.read(offset) == value & mask

    def test_divisor_latch_hides_behind_dlab(self, rig: Rig) -> None:
        rig.write(IER, 0x05)
        rig.write(LCR, LCR_DLAB | LCR_WLEN8)
        rig.write(0, 0x34)
        rig.write(1, 0x12)
        assert (rig.read(0), rig.read(1)) == (0x34, 0x12)
        rig.write(LCR, LCR_WLEN8)
        assert rig.read(IER) == 0x05
        assert rig.sink.data == b""

    def test_status_registers_are_read_only(self, rig: Rig) -> None:
        rig.write(LSR, 0xFF)
        rig.write(MSR, 0xFF)
        assert (rig.read(LSR), rig.read(MSR)) == (IDLE, 0xB0)


class TestTransmitter:
    def test_characters_reach_the_sink(self, rig: Rig) -> None:
        for value in b"hi\x00\xff":
            rig.write(TX, value)
            assert rig.read(LSR) == IDLE
        assert rig.sink.data == b"hi\x00\xff"

    def test_a_string_reaches_the_sink(self, rig: Rig) -> None:
        rig.uart.write_block(TX, 1, b"string")
        assert rig.sink.data == b"string"

    def test_a_string_to_another_register_is_its_writes(self, rig: Rig) -> None:
        rig.uart.write_block(SCR, 1, b"abc")
        assert rig.read(SCR) == ord("c")
        assert rig.sink.data == b""

    def test_break_holds_the_line(self, rig: Rig) -> None:
        rig.write(LCR, LCR_SBC)
        rig.write(TX, ord("x"))
        rig.uart.write_block(TX, 1, b"yz")
        rig.write(LCR, LCR_WLEN8)
        rig.write(TX, ord("!"))
        assert rig.sink.data == b"!"

    def test_enabling_thre_interrupts_at_once(self, rig: Rig) -> None:
        rig.write(IER, IER_THRI)
        assert rig.irq.level
        assert rig.read(IIR) == THRE

    def test_iir_read_clears_thre(self, rig: Rig) -> None:
        rig.write(IER, IER_THRI)
        rig.read(IIR)
        assert not rig.irq.level
        assert rig.read(IIR) == NO_INTERRUPT

    def test_enabling_again_raises_thre_again_but_not_staying_enabled(self, rig: Rig) -> None:
        rig.write(IER, IER_THRI)
        rig.read(IIR)
        rig.write(IER, IER_THRI)
        assert rig.read(IIR) == NO_INTERRUPT
        rig.write(IER, 0)
        rig.write(IER, IER_THRI)
        assert rig.read(IIR) == THRE

    def test_thr_write_takes_the_line_down_and_up(self, rig: Rig) -> None:
        rig.write(IER, IER_THRI)
        rig.edges.clear()
        rig.write(TX, ord("x"))
        assert rig.edges == [False, True]
        assert rig.read(IIR) == THRE

    def test_a_string_with_thre_enabled_interrupts(self, rig: Rig) -> None:
        rig.write(IER, IER_THRI)
        rig.read(IIR)
        rig.uart.write_block(TX, 1, b"ab")
        assert rig.sink.data == b"ab"
        assert rig.read(IIR) == THRE

    def test_iir_read_leaves_thre_while_another_cause_is_reported(self, rig: Rig) -> None:
        rig.write(IER, IER_THRI | IER_RDI)
        rig.uart.receive(b"x")
        assert rig.read(IIR) == DATA
        rig.read(RX)
        assert rig.read(IIR) == THRE

    def test_changing_the_fifo_mode_interrupts(self, rig: Rig) -> None:
        rig.write(IER, IER_THRI)
        rig.read(IIR)
        rig.write(FCR, FCR_ENABLE_FIFO)
        assert rig.read(IIR) == FIFO | THRE
        rig.write(FCR, FCR_ENABLE_FIFO)
        assert rig.read(IIR) == FIFO | NO_INTERRUPT

    def test_a_failing_sink_raises_and_leaves_the_uart_usable(self) -> None:
        class Full:
            def write(self, data: bytes) -> None:
                raise SinkError("full")

        uart = Uart16550(IrqLine(), Full())
        with pytest.raises(SinkError):
            uart.write(TX, 1, 0)
        assert uart.read(LSR, 1) == IDLE


class TestModem:
    def test_deltas_show_until_read(self, rig: Rig) -> None:
        rig.write(IER, IER_MSI)
        rig.uart.set_modem_inputs(cts=False, dsr=True, ri=False, dcd=False)
        assert rig.irq.level
        assert rig.read(IIR) == MODEM
        assert rig.read(MSR) == 0x20 | 0x01 | 0x08
        assert not rig.irq.level
        assert rig.read(MSR) == 0x20

    def test_ring_indicator_counts_on_its_trailing_edge(self, rig: Rig) -> None:
        rig.uart.set_modem_inputs(cts=True, dsr=True, ri=True, dcd=True)
        assert rig.read(MSR) == 0xF0
        rig.uart.set_modem_inputs(cts=True, dsr=True, ri=False, dcd=True)
        assert rig.read(MSR) == 0xB4

    def test_a_delta_stays_when_the_input_returns(self, rig: Rig) -> None:
        rig.uart.set_modem_inputs(cts=False, dsr=True, ri=False, dcd=True)
        rig.uart.set_modem_inputs(cts=True, dsr=True, ri=False, dcd=True)
        assert rig.read(MSR) == 0xB1


class TestInterruptPin:
    def test_out2_gates_the_line(self, rig: Rig) -> None:
        rig.write(MCR, 0)
        rig.write(IER, IER_THRI)
        assert not rig.irq.level
        rig.write(MCR, MCR_OUT2)
        assert rig.irq.level
        rig.write(MCR, 0)
        assert not rig.irq.level

    def test_loop_back_holds_the_out2_pin_inactive(self, rig: Rig) -> None:
        rig.write(IER, IER_THRI)
        rig.write(MCR, MCR_OUT2 | MCR_LOOP)
        assert not rig.irq.level
        assert rig.read(IIR) == THRE  # the UART itself goes on


class TestLoopBack:
    def test_transmitter_feeds_the_receiver(self, rig: Rig) -> None:
        rig.write(LCR, LCR_WLEN8)
        rig.write(MCR, MCR_LOOP)
        rig.write(TX, 0xA5)
        assert rig.read(LSR) == IDLE | LSR_DR
        assert rig.read(RX) == 0xA5
        assert rig.sink.data == b""

    def test_word_length_counts(self, rig: Rig) -> None:
        rig.write(LCR, LCR_WLEN5)
        rig.write(MCR, MCR_LOOP)
        rig.write(TX, 0xFF)
        assert rig.read(RX) == 0x1F

    def test_a_string_loops_back_too(self, rig: Rig) -> None:
        rig.write(LCR, LCR_WLEN8)
        rig.write(FCR, FCR_ENABLE_FIFO)
        rig.write(MCR, MCR_LOOP)
        rig.uart.write_block(TX, 1, b"abc")
        assert bytes(rig.read(RX) for _ in range(3)) == b"abc"
        assert rig.sink.data == b""

    def test_overrun_in_16450_mode_destroys_the_first(self, rig: Rig) -> None:
        rig.write(LCR, LCR_WLEN8)
        rig.write(MCR, MCR_LOOP)
        rig.write(TX, ord("a"))
        rig.write(TX, ord("b"))
        assert rig.read(LSR) == IDLE | LSR_DR | LSR_OE
        assert rig.read(LSR) == IDLE | LSR_DR
        assert rig.read(RX) == ord("b")

    def test_overrun_in_fifo_mode_keeps_the_first_sixteen(self, rig: Rig) -> None:
        rig.write(LCR, LCR_WLEN8)
        rig.write(FCR, FCR_ENABLE_FIFO)
        rig.write(MCR, MCR_LOOP)
        for value in range(17):
            assert not rig.read(LSR) & LSR_OE
            rig.write(TX, value)
        assert rig.read(LSR) == IDLE | LSR_DR | LSR_OE
        assert [rig.read(RX) for _ in range(16)] == list(range(16))
        assert not rig.read(LSR) & LSR_DR

    @pytest.mark.parametrize(
        ("output", "status"),
        [(MCR_RTS, 0x10), (MCR_DTR, 0x20), (MCR_OUT1, 0x40), (MCR_OUT2, 0x80)],
    )
    def test_modem_outputs_feed_the_inputs(self, rig: Rig, output: int, status: int) -> None:
        rig.write(MCR, MCR_LOOP)
        rig.read(MSR)
        rig.write(MCR, MCR_LOOP | output)
        assert rig.read(MSR) & 0xF0 == status
        rig.write(MCR, MCR_LOOP)
        assert rig.read(MSR) == status >> 4  # RI's bit is TERI: the trailing edge

    def test_the_host_waits_meanwhile(self, rig: Rig) -> None:
        rig.read(LSR)
        rig.write(MCR, MCR_LOOP)
        rig.uart.receive(b"later")
        rig.uart.set_modem_inputs(cts=False, dsr=False, ri=False, dcd=False)
        assert rig.read(LSR) == IDLE
        rig.write(MCR, MCR_OUT2)
        assert bytes(rig.read(RX) for _ in range(5)) == b"later"
        assert rig.read(MSR) & 0xF0 == 0
