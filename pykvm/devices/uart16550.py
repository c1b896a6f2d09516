"""The 16550A serial port, from the PC16550D datasheet, wired as on a PC.

What differs from the chip, because a host has no baud rate: a character written is sent at once,
so the transmitter is always empty again afterwards; how characters arrive is told in
`pykvm.devices.uart_receiver`.  The divisor and the character format are held for the guest to
read back, and only loop-back heeds the word length.

A cause that is cleared and comes back at once takes the interrupt line down and up again, since
the PC's interrupt controller waits for the edge.
"""

from __future__ import annotations

from collections.abc import Callable

from pykvm.bus import Device, Shortcuts
from pykvm.devices import serial_reg as reg
from pykvm.devices.sinks import Sink
from pykvm.devices.uart_receiver import BREAK, Receiver
from pykvm.irq import IrqLine

QUEUE_SIZE = 4096

IIR_FIFO_ENABLED = 0xC0
"""IIR bits 6 and 7, both set in FIFO mode."""

_INTERRUPT_GATE = reg.MCR_OUT2 | reg.MCR_LOOP


class Uart16550(Device):
    """A UART with 8 registers at offsets 0 to 7.

    Args:
        irq: the line to the interrupt controller.
        sink: where transmitted characters go.
        queue_size: how many characters the host can send ahead of the guest.
    """

    name = "16550A UART"

    def __init__(self, irq: IrqLine, sink: Sink, *, queue_size: int = QUEUE_SIZE) -> None:
        self._irq = irq
        self._sink = sink
        self._receiver = Receiver(queue_size)
        self._ier = self._lcr = self._mcr = self._scratch = 0
        self._divisor = 12
        self._thre_cause = 0
        self._modem_inputs = self._modem = reg.MSR_CTS | reg.MSR_DSR | reg.MSR_DCD
        self._modem_deltas = 0
        self._shortcuts: list[Shortcuts] = []
        self._answered: int | None = None
        self._posted = False

    # The host's side.

    @property
    def room(self) -> int:
        """How many characters `receive` takes now."""
        return self._receiver.room

    @property
    def on_room(self) -> Callable[[], None] | None:
        """Called when the queue of received characters, once full, is half empty again."""
        return self._receiver.on_room

    @on_room.setter
    def on_room(self, callback: Callable[[], None] | None) -> None:
        self._receiver.on_room = callback

    def receive(self, data: bytes) -> int:
        """Send `data` to the guest; return how many bytes were taken, from the front.

        The rest is the caller's to send again, at the latest on `on_room`.
        """
        taken = 0
        while count := min(self.room, len(data) - taken):
            self._receiver.send(data[taken : taken + count])
            self._receiver.arrive()
            taken += count
        self._receiver.note_full()
        self._update()
        return taken

    def take_over(self, other: Uart16550) -> None:
        """Take what `other`, of a machine before this one, has received and its guest has not read;
        the queue may then be a FIFO longer than its size."""
        self._receiver.send(other._receiver.unread())
        self._receiver.note_full()
        self._settle()

    def receive_break(self) -> bool:
        """Send a break to the guest; return False if there is no room for it in the queue."""
        if self.room == 0:
            return False
        self._receiver.send((BREAK,))
        self._receiver.arrive()
        self._receiver.note_full()
        self._update()
        return True

    def set_modem_inputs(self, *, cts: bool, dsr: bool, ri: bool, dcd: bool) -> None:
        """Assert or release the four inputs from the modem; all but `ri` start asserted."""
        self._modem_inputs = (
            (reg.MSR_CTS if cts else 0)
            | (reg.MSR_DSR if dsr else 0)
            | (reg.MSR_RI if ri else 0)
            | (reg.MSR_DCD if dcd else 0)
        )
        self._modem_changed()
        self._update()

    # The guest's side.

    def connect(self, shortcuts: Shortcuts) -> None:
        """Take the shortcuts and give the first hints."""
        self._shortcuts.append(shortcuts)
        self._answered, self._posted = None, False
        self._update()

    def read(self, offset: int, size: int) -> int:
        """Read a register (datasheet, summary of registers), with its side effects."""
        latch = self._lcr & reg.LCR_DLAB
        if offset == reg.LSR:
            return self._read_lsr()
        if offset == reg.RX:
            return self._divisor & 0xFF if latch else self._read_rbr()
        if offset == reg.IER:
            return self._divisor >> 8 if latch else self._ier
        if offset == reg.IIR:
            return self._read_iir()
        if offset == reg.LCR:
            return self._lcr
        if offset == reg.MCR:
            return self._mcr
        if offset == reg.MSR:
            return self._read_msr()
        return self._scratch

    def write(self, offset: int, size: int, value: int) -> None:
        """Write a register; LSR and MSR ignore it, as writing them is for factory tests."""
        latch = self._lcr & reg.LCR_DLAB
        if offset == reg.TX:
            if latch:
                self._divisor = self._divisor & 0xFF00 | value
            else:
                self._write_thr(value)
        elif offset == reg.IER:
            if latch:
                self._divisor = value << 8 | self._divisor & 0xFF
            else:
                self._write_ier(value)
        elif offset == reg.FCR:
            self._write_fcr(value)
        elif offset == reg.LCR:
            self._lcr = value
            self._update()
        elif offset == reg.MCR:
            self._write_mcr(value)
        elif offset == reg.SCR:
            self._scratch = value

    def write_block(self, offset: int, size: int, data: bytes) -> None:
        """Transmit a run at once where neither interrupt nor loop-back shows its middle."""
        if offset == reg.TX and self._sends_unseen():
            self._transmit(data)
        else:
            super().write_block(offset, size, data)

    # Registers with side effects.

    def _read_rbr(self) -> int:
        self._listen()
        value = self._receiver.pop()
        self._drive()
        self._settle()
        return value

    def _write_thr(self, value: int) -> None:
        self._thre_cause = 0
        self._drive()
        if self._mcr & reg.MCR_LOOP:
            unused_bits = reg.LCR_WLEN8 - (self._lcr & reg.LCR_WLEN8)
            self._receiver.loop_back(value & 0xFF >> unused_bits)
        else:
            self._transmit(bytes((value,)))
        self._thre_cause = reg.IER_THRI
        self._settle()

    def _write_ier(self, value: int) -> None:
        if value & ~self._ier & reg.IER_THRI:
            self._thre_cause = reg.IER_THRI  # the THR is empty: enabling interrupts at once
        self._ier = value & 0x0F
        if self._ier & reg.IER_RDI:
            self._listen()
        self._update()

    def _read_iir(self) -> int:
        """The pending cause of the highest priority; reading clears THRE if it is that one."""
        fifo = IIR_FIFO_ENABLED if self._receiver.fifo_mode else 0
        pending = self._pending()
        if pending & reg.IER_RLSI:
            return fifo | reg.IIR_RLSI
        if pending & reg.IER_RDI:
            return fifo | (reg.IIR_RX_TIMEOUT if self._receiver.timed_out else reg.IIR_RDI)
        if pending & reg.IER_THRI:
            self._thre_cause = 0
            self._update()
            return fifo | reg.IIR_THRI
        return fifo | (reg.IIR_MSI if pending & reg.IER_MSI else reg.IIR_NO_INT)

    def _write_fcr(self, value: int) -> None:
        """Set the FIFO mode; the DMA mode only moves pins that lead nowhere on a PC.

        The other bits count only together with FCR0, a change of which clears the FIFOs and
        raises THRE; the transmitter FIFO is always clear.
        """
        fifo_mode = bool(value & reg.FCR_ENABLE_FIFO)
        changed = fifo_mode != self._receiver.fifo_mode
        self._receiver.set_mode(fifo_mode, value >> 6)
        if changed:
            self._thre_cause = reg.IER_THRI
        if changed or (fifo_mode and value & reg.FCR_CLEAR_RCVR):
            self._receiver.clear()
            self._receiver.listening = bool(self._ier & reg.IER_RDI)
            self._drive()
        self._settle()

    def _write_mcr(self, value: int) -> None:
        self._mcr = value & 0x1F
        self._receiver.connected = not value & reg.MCR_LOOP
        self._modem_changed()
        self._settle()

    def _read_lsr(self) -> int:
        self._listen()
        value = self._lsr()
        if self._receiver.errors:
            self._receiver.errors = 0
            self._update()
        return value

    def _read_msr(self) -> int:
        value = self._modem | self._modem_deltas
        self._modem_deltas = 0
        self._drive()
        return value

    # What the registers stand on.

    def _listen(self) -> None:
        """The guest looks at its receiver: see `pykvm.devices.uart_receiver`."""
        if not self._receiver.listening:
            self._receiver.listening = True
            self._settle()

    def _sends_unseen(self) -> bool:
        """Whether writing the THR changes nothing that the guest can see."""
        return not (
            self._lcr & reg.LCR_DLAB or self._mcr & reg.MCR_LOOP or self._ier & reg.IER_THRI
        )

    def _transmit(self, data: bytes) -> None:
        """Put characters on SOUT, which a break holds at 0 whatever the transmitter does."""
        if not self._lcr & reg.LCR_SBC:
            self._sink.write(data)

    def _lsr(self) -> int:
        return self._receiver.line_status | reg.LSR_THRE | reg.LSR_TEMT

    def _modem_changed(self) -> None:
        """Compare the modem inputs, or in loop-back the outputs, with what they were."""
        modem = self._modem_inputs
        if self._mcr & reg.MCR_LOOP:
            modem = (
                (reg.MSR_CTS if self._mcr & reg.MCR_RTS else 0)
                | (reg.MSR_DSR if self._mcr & reg.MCR_DTR else 0)
                | (reg.MSR_RI if self._mcr & reg.MCR_OUT1 else 0)
                | (reg.MSR_DCD if self._mcr & reg.MCR_OUT2 else 0)
            )
        changed = (self._modem ^ modem) & ~(modem & reg.MSR_RI)  # TERI: the trailing edge only
        self._modem = modem
        self._modem_deltas |= changed >> 4

    def _pending(self) -> int:
        """The interrupt causes that are present and enabled, each as its bit in the IER."""
        causes = self._thre_cause
        if self._receiver.errors:
            causes |= reg.IER_RLSI
        if self._receiver.at_trigger or self._receiver.timed_out:
            causes |= reg.IER_RDI
        if self._modem_deltas:
            causes |= reg.IER_MSI
        return causes & self._ier

    def _drive(self) -> None:
        """Set the interrupt line.  OUT2 gates it; loop-back holds that pin inactive."""
        gate = self._mcr & _INTERRUPT_GATE == reg.MCR_OUT2
        self._irq.set(gate and self._pending() != 0)

    def _settle(self) -> None:
        """Let characters arrive, then show what follows from it."""
        self._receiver.arrive()
        self._update()
        self._receiver.notify_room()

    def _update(self) -> None:
        """Set the interrupt line and keep the hints right.

        The LSR may be answered while reading it changes nothing.
        """
        self._drive()
        answer = self._lsr() if self._receiver.listening and not self._receiver.errors else None
        post = self._sends_unseen()
        for shortcuts in self._shortcuts:
            if answer != self._answered:
                shortcuts.answer(reg.LSR, answer)
            if post != self._posted:
                shortcuts.post(reg.TX, on=post)
        self._answered, self._posted = answer, post
