"""What the tests of the UART share: one UART, and the values that its registers show."""

from __future__ import annotations

from pykvm.devices import BufferSink, Uart16550
from pykvm.devices.serial_reg import MCR, MCR_OUT2
from pykvm.irq import IrqLine

# The IIR's low nibble by what it reports, its FIFO bits, and the LSR of an idle UART.
NO_INTERRUPT, MODEM, THRE, DATA, LINE_STATUS, TIME_OUT = 0x01, 0x00, 0x02, 0x04, 0x06, 0x0C
FIFO = 0xC0
IDLE = 0x60


class Rig:
    """A UART with its interrupt pin connected, and short names for what tests do with it."""

    def __init__(self) -> None:
        self.edges: list[bool] = []
        self.irq = IrqLine(self.edges.append)
        self.sink = BufferSink()
        self.uart = Uart16550(self.irq, self.sink)
        self.write(MCR, MCR_OUT2)

    def read(self, offset: int) -> int:
        return self.uart.read(offset, 1)

    def write(self, offset: int, value: int) -> None:
        self.uart.write(offset, 1, value)
