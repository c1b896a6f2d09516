"""Lab 3, solved."""

from collections import deque
from collections.abc import Callable

from pykvm.bus import Device

RBR = THR = 0
IER = 1
IIR = FCR = 2
LCR = 3
MCR = 4
LSR = 5
MSR = 6
SCR = 7

DLAB = 0x80
OUT2 = 0x08
DR, THRE, TEMT = 0x01, 0x20, 0x40
RECEIVED, EMPTY = 0x01, 0x02
NONE, BY_EMPTY, BY_RECEIVED = 0x01, 0x02, 0x04


class Uart(Device):
    name = "serial port"
    width = 1

    def __init__(self, line: Callable[[bool], None], send: Callable[[bytes], None]) -> None:
        self._line = line
        self._send = send
        self._received: deque[int] = deque()
        self._divisor = [0, 0]
        self._ier = self._lcr = self._mcr = self._scratch = 0
        self._empty = False  # an interrupt that the THR is empty waits

    def receive(self, data: bytes) -> None:
        self._received.extend(data)
        self._update()

    def read(self, offset: int, size: int) -> int:
        value = self._read(offset)
        self._update()
        return value

    def _read(self, offset: int) -> int:
        latch = self._lcr & DLAB
        if offset == RBR:
            if latch:
                return self._divisor[0]
            return self._received.popleft() if self._received else 0
        if offset == IER:
            return self._divisor[1] if latch else self._ier
        if offset == IIR:
            cause = self._cause()
            if cause == BY_EMPTY:
                self._empty = False
            return cause
        if offset == LSR:
            return THRE | TEMT | (DR if self._received else 0)
        return {LCR: self._lcr, MCR: self._mcr, MSR: 0xB0, SCR: self._scratch}[offset]

    def write(self, offset: int, size: int, value: int) -> None:
        latch = self._lcr & DLAB
        if offset in (0, 1) and latch:
            self._divisor[offset] = value
        elif offset == THR:
            self._empty = False
            self._update()
            self._send(bytes([value]))
            self._empty = True
        elif offset == IER:
            if value & ~self._ier & EMPTY:
                self._empty = True
            self._ier = value & 0x0F
        elif offset == LCR:
            self._lcr = value
        elif offset == MCR:
            self._mcr = value & 0x1F
        elif offset == SCR:
            self._scratch = value
        self._update()

    def _cause(self) -> int:
        if self._ier & RECEIVED and self._received:
            return BY_RECEIVED
        if self._ier & EMPTY and self._empty:
            return BY_EMPTY
        return NONE

    def _update(self) -> None:
        self._line(bool(self._mcr & OUT2) and self._cause() != NONE)
