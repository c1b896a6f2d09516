"""A model of a bus that knows single bytes only, and random devices to compare the two with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from hypothesis import strategies as st

from pykvm.bus import MEMORY_SPACE, PORT_SPACE, Device

WINDOW = 48
"""Random devices and accesses stay in so many bytes, at the bottom or the top of a space."""


class Ram(Device):
    """Bytes that read back; records what it is asked as (is_write, offset, size, value)."""

    def __init__(self, width: int, length: int, name: str = "ram") -> None:
        self.width = width
        self.name = name
        self.bytes = bytearray(length)
        self.calls: list[tuple[bool, int, int, int]] = []

    def read(self, offset: int, size: int) -> int:
        value = int.from_bytes(self.bytes[offset : offset + size], "little")
        self.calls.append((False, offset, size, value))
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        self.calls.append((True, offset, size, value))
        self.bytes[offset : offset + size] = value.to_bytes(size, "little")


@dataclass
class Model:
    """What a bus shows of a window of RAM-like devices: bytes, and holes that read 0xFF."""

    claimed: set[int]
    bytes: dict[int, int] = field(default_factory=dict)
    unclaimed: Counter[tuple[bool, int]] = field(default_factory=Counter)

    def access(self, address: int, size: int, *, is_write: bool, value: int = 0) -> int:
        got = 0
        in_hole = False
        for i in range(size):
            at = address + i
            if at in self.claimed:
                in_hole = False
                if is_write:
                    self.bytes[at] = value >> 8 * i & 0xFF
                got |= self.bytes.get(at, 0) << 8 * i
                continue
            got |= 0xFF << 8 * i
            if not in_hole:
                self.unclaimed[is_write, at] += 1
            in_hole = True
        return got


@dataclass
class Layout:
    """Devices in a window that begins at `origin`."""

    limit: int
    origin: int
    devices: list[tuple[int, int, int]]  # (base, length, width), base from the origin


@st.composite
def layouts(draw: st.DrawFn) -> Layout:
    limit = draw(st.sampled_from([PORT_SPACE, MEMORY_SPACE]))
    origin = draw(st.sampled_from([0, limit - WINDOW]))
    devices = []
    at = draw(st.integers(0, 4))
    while at < WINDOW:
        length = min(draw(st.integers(1, 12)), WINDOW - at)
        devices.append((at, length, draw(st.sampled_from([1, 2, 4, 8]))))
        at += length + draw(st.integers(0, 5))
    return Layout(limit, origin, draw(st.permutations(devices)))
