"""What the tests of the IOAPIC share: one on a bus, and the bits of its table's entries."""

from __future__ import annotations

from pykvm.bus import MEMORY_SPACE, Bus
from pykvm.devices import IoApic
from pykvm.devices.ioapic import LENGTH, Route
from pykvm.devices.ioapic_entry import Message

BASE = 0xFEC0_0000
ID, VERSION, ARBITRATION, TABLE = 0, 1, 2, 0x10
STATUS, POLARITY, REMOTE_IRR, LEVEL, MASKED, LOGICAL = (1 << i for i in (12, 13, 14, 15, 16, 11))
FIXED, LOWEST, SMI, NMI, INIT, EXTINT = (mode << 8 for mode in (0, 1, 2, 4, 5, 7))
ASSERT = 1 << 14
PIN = 9


class Rig:
    """An IOAPIC on a bus; local APICs that accept everything, unless told otherwise."""

    def __init__(self) -> None:
        self.log: list[Message | tuple[Route, ...]] = []
        self.accepts = True
        self.ioapic = IoApic(self.deliver, on_route_change=self.note_routes)
        self.bus = Bus("MMIO", MEMORY_SPACE)
        self.bus.attach(BASE, LENGTH, self.ioapic)

    def deliver(self, address: int, data: int) -> bool:
        self.log.append(Message(address, data))
        return self.accepts

    def note_routes(self) -> None:
        self.log.append(self.ioapic.routes())

    @property
    def messages(self) -> list[Message]:
        """The messages since the last look."""
        log, self.log = self.log, []
        return [entry for entry in log if isinstance(entry, Message)]

    @property
    def vectors(self) -> list[int]:
        return [data & 0xFF for _, data in self.messages]

    def read(self, register: int) -> int:
        self.bus.write(BASE, 4, register)
        return self.bus.read(BASE + 0x10, 4)

    def write(self, register: int, value: int) -> None:
        self.bus.write(BASE, 4, register)
        self.bus.write(BASE + 0x10, 4, value)

    def program(self, low: int, destination: int = 0, pin: int = PIN) -> None:
        """The high half first, as kernels do."""
        self.write(TABLE + 2 * pin + 1, destination << 24)
        self.write(TABLE + 2 * pin, low)

    def low(self, pin: int = PIN) -> int:
        return self.read(TABLE + 2 * pin)

    def drive(self, *levels: int, pin: int = PIN) -> None:
        for level in levels:
            self.ioapic.line(pin).set(bool(level))
