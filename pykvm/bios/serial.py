"""INT 14h, the first serial port, and INT 17h, printers, of which there are none.

Sources: IBM PC AT Technical Reference, "BIOS listing" (RS232_IO, PRINTER_IO); PC16550D datasheet.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pykvm.bios import bda as field
from pykvm.bios.waiting import Wait
from pykvm.boot.bios_data import COM_PORTS
from pykvm.devices import serial_reg as reg
from pykvm.layout import COM1

if TYPE_CHECKING:
    from pykvm.bios.bda import Bda
    from pykvm.bios.call import Call
    from pykvm.bios.ports import Ports

TIMEOUT = 0x80
RECEIVE_STATUS = 0x1E
"""Of the line status, what AH=02h returns: the errors."""
PRINTER_TIMEOUT = 0x01

DIVISORS = (1047, 768, 384, 192, 96, 48, 24, 12)
"""For 110, 150, 300, 600, 1200, 2400, 4800 and 9600 baud."""

FORMAT = 0x1F
NS = 1_000_000_000


class Serial:
    """The services.

    Args:
        bda: the BIOS data area, which has the time to wait for a character, in seconds.
        ports: the port bus, with COM1 on it.
        monotonic: in ns.
    """

    def __init__(self, bda: Bda, ports: Ports, *, monotonic: Callable[[], int]) -> None:
        self._bda = bda
        self._ports = ports
        self._wait = Wait(monotonic)

    def interrupt(self, call: Call) -> None:
        """INT 14h, by AH, for the port in DX; AH bit 7 says that it could not be done."""
        r = call.registers
        if r.dx != 0 or not self._bda.word(COM_PORTS):
            r.ah = TIMEOUT
        elif r.ah == 0x00:
            self._set_up(r.al)
            self._status(call)
        elif r.ah == 0x01:
            self._send(call)
        elif r.ah == 0x02:
            self._receive(call)
        elif r.ah == 0x03:
            self._status(call)

    def printer(self, call: Call) -> None:
        """INT 17h: no printer answers."""
        call.registers.ah = PRINTER_TIMEOUT

    def _set_up(self, parameters: int) -> None:
        divisor = DIVISORS[parameters >> 5]
        self._write(reg.LCR, reg.LCR_DLAB)
        self._write(reg.DLL, divisor & 0xFF)
        self._write(reg.DLM, divisor >> 8)
        self._write(reg.LCR, parameters & FORMAT)
        self._write(reg.IER, 0)

    def _status(self, call: Call) -> None:
        call.registers.ah = self._read(reg.LSR)
        call.registers.al = self._read(reg.MSR)

    def _send(self, call: Call) -> None:
        r = call.registers
        self._be_ready()
        line = self._read(reg.LSR)
        if line & reg.LSR_THRE:
            self._write(reg.TX, r.al)
            r.ah = line & ~TIMEOUT
        else:
            r.ah = line | TIMEOUT

    def _receive(self, call: Call) -> None:
        """Take a character, or signal that none is there and the time is not over."""
        r = call.registers
        self._be_ready()
        line = self._read(reg.LSR)
        if line & reg.LSR_DR:
            r.al = self._read(reg.RX)
            r.ah = line & RECEIVE_STATUS
            self._wait.end()
        elif self._wait.over(call.stack, self._bda.byte(field.SERIAL_TIMEOUTS) * NS):
            r.ah = line | TIMEOUT
        else:
            call.signal = True

    def _be_ready(self) -> None:
        """Assert DTR and RTS, and leave the interrupt's gate as it is."""
        self._write(reg.MCR, self._read(reg.MCR) | reg.MCR_DTR | reg.MCR_RTS)

    def _read(self, register: int) -> int:
        return self._ports.read(COM1 + register, 1)

    def _write(self, register: int, value: int) -> None:
        self._ports.write(COM1 + register, 1, value)
