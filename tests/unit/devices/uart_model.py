"""A second, independent 16550A to compare the real one with: slow, and as the datasheet tells.

Interrupt causes are a set of names, the FIFO and the queue are lists of (character, errors).
"""

from __future__ import annotations

OE, PE, FE, BI = "OE", "PE", "FE", "BI"
LSR_BITS = {"DR": 0x01, OE: 0x02, PE: 0x04, FE: 0x08, BI: 0x10}
PRIORITY = ["line status", "data", "time-out", "thre", "modem"]
IDENTITY = {"line status": 0x06, "data": 0x04, "time-out": 0x0C, "thre": 0x02, "modem": 0x00}
ENABLE_BIT = {"data": 1, "time-out": 1, "thre": 2, "line status": 4, "modem": 8}

Character = tuple[int, frozenset[str]]


class UartModel:
    """Registers and state; `sent` is what went out on SOUT."""

    def __init__(self, queue_size: int) -> None:
        self.queue_size = queue_size
        self.queue: list[Character] = []
        self.fifo: list[Character] = []
        self.sent = bytearray()
        self.looked = False
        self.last = 0
        self.errors: set[str] = set()
        self.thre = False
        self.deltas: set[int] = set()
        self.pins = {0x10, 0x20, 0x80}  # CTS, DSR, DCD
        self.lines = set(self.pins)
        self.ier = self.lcr = self.mcr = self.scr = 0
        self.fcr = 0
        self.dll, self.dlm = 12, 0

    # What follows from the state.

    @property
    def trigger(self) -> int:
        return [1, 4, 8, 14][self.fcr // 64] if self.fcr & 1 else 1

    @property
    def loop(self) -> bool:
        return bool(self.mcr & 0x10)

    def causes(self) -> set[str]:
        found = set()
        if self.errors:
            found.add("line status")
        if len(self.fifo) >= self.trigger:
            found.add("data")
        elif self.fifo:
            found.add("time-out")
        if self.thre:
            found.add("thre")
        if self.deltas:
            found.add("modem")
        return {cause for cause in found if self.ier & ENABLE_BIT[cause]}

    def line(self) -> bool:
        return bool(self.causes()) and bool(self.mcr & 0x08) and not self.loop

    def settle(self) -> None:
        """Characters arrive; the error of the one on top shows."""
        if self.looked and not self.loop and len(self.fifo) < self.trigger:
            space = (16 if self.fcr & 1 else 1) - len(self.fifo)
            self.fifo += self.queue[:space]
            self.queue = self.queue[space:]
        if self.fifo:
            character, errors = self.fifo[0]
            self.errors |= errors
            self.fifo[0] = (character, frozenset())
        lines = set(self.pins)
        if self.loop:
            wires = {0x02: 0x10, 0x01: 0x20, 0x04: 0x40, 0x08: 0x80}
            lines = {line for output, line in wires.items() if self.mcr & output}
        for line in lines ^ self.lines:
            if line != 0x40 or line in self.lines:
                self.deltas.add(line >> 4)
        self.lines = lines

    # The host.

    def receive(self, characters: list[Character]) -> int:
        """Queue what fits; some arrives and makes room, so queue what fits then."""
        taken = 0
        while fits := characters[taken : taken + self.queue_size - len(self.queue)]:
            self.queue += fits
            taken += len(fits)
            self.settle()
        return taken

    # The guest.

    def read(self, offset: int) -> int:
        if offset in (0, 1) and self.lcr & 0x80:
            return (self.dll, self.dlm)[offset]
        if offset == 0:
            self.looked = True
            self.settle()
            if self.fifo:
                self.last = self.fifo.pop(0)[0]
                self.settle()
            return self.last
        if offset == 2:
            value = 0xC0 if self.fcr & 1 else 0
            for cause in PRIORITY:
                if cause in self.causes():
                    if cause == "thre":
                        self.thre = False
                    return value | IDENTITY[cause]
            return value | 0x01
        if offset == 5:
            self.looked = True
            self.settle()
            value = 0x60 | (1 if self.fifo else 0) | sum(LSR_BITS[e] for e in self.errors)
            bad = self.errors - {OE} or any(errors for _, errors in self.fifo)
            if self.fcr & 1 and bad:
                value |= 0x80
            self.errors = set()
            return value
        if offset == 6:
            value = sum(self.lines) | sum(self.deltas)
            self.deltas = set()
            return value
        return {1: self.ier, 3: self.lcr, 4: self.mcr, 7: self.scr}[offset]

    def write(self, offset: int, value: int) -> None:
        if offset == 0 and self.lcr & 0x80:
            self.dll = value
        elif offset == 1 and self.lcr & 0x80:
            self.dlm = value
        elif offset == 0:
            self.thre = True
            if self.loop:
                self.wrap(value % 2 ** (5 + self.lcr % 4))
            elif not self.lcr & 0x40:
                self.sent.append(value)
        elif offset == 1:
            if value & 2 and not self.ier & 2:
                self.thre = True
            self.ier = value % 16
            self.looked = self.looked or bool(value & 1)
        elif offset == 2:
            if (value ^ self.fcr) & 1:
                self.thre = True
            if (value ^ self.fcr) & 1 or value & 3 == 3:
                self.fifo = []
                self.looked = bool(self.ier & 1)
            self.fcr = value if value & 1 else 0
        elif offset == 3:
            self.lcr = value
        elif offset == 4:
            self.mcr = value % 32
        elif offset == 7:
            self.scr = value
        self.settle()

    def wrap(self, character: int) -> None:
        """Loop-back."""
        if self.fcr & 1:
            if len(self.fifo) == 16:
                self.errors.add(OE)
            else:
                self.fifo.append((character, frozenset()))
        else:
            if self.fifo:
                self.errors.add(OE)
            self.fifo = [(character, frozenset())]
