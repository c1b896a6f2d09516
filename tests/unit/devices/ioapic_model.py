"""A second, independent IOAPIC to compare the real one with: slow, and as the datasheet tells.

An entry is a dictionary of its fields; which pins are due is worked out anew after each step.
"""

from __future__ import annotations

PINS = 24
FIELDS = {
    "vector": (0, 8),
    "mode": (8, 3),
    "logical": (11, 1),
    "polarity": (13, 1),
    "irr": (14, 1),
    "level": (15, 1),
    "masked": (16, 1),
    "destination": (56, 8),
}
READ_ONLY = ("irr",)
FIXED, LOWEST, SMI, NMI, INIT, EXTINT = 0, 1, 2, 4, 5, 7

Entry = dict[str, int]


def is_sent(entry: Entry) -> bool:
    if entry["mode"] in (FIXED, LOWEST):
        return entry["vector"] >= 16
    return entry["mode"] in (SMI, NMI, INIT, EXTINT)


def awaits_eoi(entry: Entry) -> bool:
    return entry["level"] == 1 and entry["mode"] in (FIXED, LOWEST)


def message(entry: Entry) -> tuple[int, int]:
    lowest = entry["mode"] == LOWEST
    address = 0xFEE00000 + entry["destination"] * 0x1000 + lowest * 8 + entry["logical"] * 4
    data = entry["vector"] + entry["mode"] * 0x100 + entry["logical"] * 0x800 + 0x4000
    return address, data + awaits_eoi(entry) * 0x8000


class IoApicModel:
    """Registers and lines; `sent` is every message so far."""

    def __init__(self) -> None:
        self.select = 0
        self.identity = 0
        self.entries: list[Entry] = [
            {name: int(name == "masked") for name in FIELDS} for _ in range(PINS)
        ]
        self.lines = [False] * PINS
        self.sent: list[tuple[int, int]] = []

    def drive(self, pin: int, level: bool) -> None:
        rise = level and not self.lines[pin]
        self.lines[pin] = level
        entry = self.entries[pin]
        if rise and not awaits_eoi(entry) and not entry["masked"] and is_sent(entry):
            self.sent.append(message(entry))
        self.settle()

    def settle(self) -> None:
        """Send what level-triggered entries are due, the lowest pin first."""
        for pin, entry in enumerate(self.entries):
            if not awaits_eoi(entry):
                entry["irr"] = 0
            elif self.lines[pin] and not entry["masked"] and not entry["irr"] and is_sent(entry):
                entry["irr"] = 1
                self.sent.append(message(entry))

    def end(self, vector: int) -> None:
        for entry in self.entries:
            if entry["vector"] == vector:
                entry["irr"] = 0
        self.settle()

    def write(self, offset: int, value: int) -> None:
        if offset == 0x00:
            self.select = value % 256
        elif offset == 0x40:
            self.end(value % 256)
        elif offset == 0x10:
            if self.select == 0:
                self.identity = value // (1 << 24) % 16
            if 0x10 <= self.select < 0x10 + 2 * PINS:
                self.store((self.select - 0x10) // 2, self.select % 2 * 32, value)
            self.settle()

    def store(self, pin: int, shift: int, value: int) -> None:
        for name, (start, width) in FIELDS.items():
            if name not in READ_ONLY and shift <= start < shift + 32:
                self.entries[pin][name] = value >> (start - shift) & (1 << width) - 1

    def read(self, offset: int) -> int:
        if offset == 0x00:
            return self.select
        if offset != 0x10:
            return 0xFFFFFFFF
        if self.select in (0, 2):
            return self.identity << 24
        if self.select == 1:
            return 0x00170020
        if 0x10 <= self.select < 0x10 + 2 * PINS:
            entry = self.entries[(self.select - 0x10) // 2]
            whole = sum(entry[name] << start for name, (start, _) in FIELDS.items())
            return whole >> self.select % 2 * 32 & 0xFFFFFFFF
        return 0xFFFFFFFF

    def routes(self) -> list[tuple[int, int, int]]:
        return [
            (pin, *message(entry))
            for pin, entry in enumerate(self.entries)
            if is_sent(entry) and (entry["irr"] or not entry["masked"])
        ]
