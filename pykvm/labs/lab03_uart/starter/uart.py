"""Lab 3: a 16450 serial port, which polls and interrupts.

Write the class.  `python uart.py IMAGE KEYS` runs a guest image with it at COM2.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from pykvm.bus import Device

RBR = THR = 0  # read: received character; write: character to send.  With DLAB: divisor, low byte
IER = 1  # interrupt enable.  With DLAB: divisor, high byte
IIR = FCR = 2  # read: which interrupt; write: FIFO control, which a 16450 ignores
LCR = 3  # line control: format, DLAB
MCR = 4  # modem control: OUT2
LSR = 5  # line status
MSR = 6  # modem status: 0xB0 here, always: the other side is there and ready
SCR = 7  # scratch: keeps what is written

DLAB = 0x80  # in LCR
OUT2 = 0x08  # in MCR
DR, THRE, TEMT = 0x01, 0x20, 0x40  # in LSR: data ready, THR empty, transmitter empty
RECEIVED, EMPTY = 0x01, 0x02  # in IER: interrupt when data is ready, when the THR is empty
NONE, BY_EMPTY, BY_RECEIVED = 0x01, 0x02, 0x04  # in IIR


class Uart(Device):
    """Eight registers of 8 bits.

    Args:
        line: call it with True to raise the interrupt line, with False to lower it.
        send: call it with the characters that go out.
    """

    name = "serial port"
    width = 1

    def __init__(self, line: Callable[[bool], None], send: Callable[[bytes], None]) -> None:
        self._line = line
        self._send = send

    def receive(self, data: bytes) -> None:
        """Characters come in from the other side."""
        raise NotImplementedError

    def read(self, offset: int, size: int) -> int:
        """The guest reads a register."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """The guest writes a register."""
        if offset == THR:
            self._send(bytes([value]))


if __name__ == "__main__":
    from pykvm.kvm import irq_line
    from pykvm.machine import Machine

    sent = bytearray()
    with Machine("1M") as machine:
        uart = Uart(lambda level: irq_line(machine.vm, 3, level), sent.extend)
        uart.receive(sys.argv[2].encode() + b"\x04")
        machine.ports.attach(0x2F8, 8, uart)
        machine.load(Path(sys.argv[1]), bios=False)
        print(machine.run(timeout=5).reason.value, bytes(sent))
