"""A canvas that is right, pixel by pixel; and the picture that a driver is to draw on one."""

from __future__ import annotations

from random import Random

from pykvm.bus import Device

BASE = 0xD000_0000
"""Where guests have it."""
PIXELS = 0x1000
LENGTH = PIXELS + 0x1_0000
MAGIC = 0x564E4143
ID, SIZE, ORIGIN, EXTENT, FILL, FLIP, FAULTS = range(0, 0x1C, 4)
NAMES = ("ID", "SIZE", "ORIGIN", "EXTENT", "FILL", "FLIP", "FAULTS")

WHITE, BLUE = 0xFF, 0x02
TILE, TILE_AT = 32, 4


def place(offset: int) -> str:
    """An offset in words."""
    name = ""
    if offset < 4 * len(NAMES):
        name = f" ({NAMES[offset // 4]}{f' + {offset % 4}' if offset % 4 else ''})"
    elif offset >= PIXELS:
        name = f" (pixel {offset - PIXELS})"
    return f"{offset:#x}{name}"


def nbytes(size: int) -> str:
    """A size in words."""
    return "1 byte" if size == 1 else f"{size} bytes"


def both(low: int, high: int) -> int:
    """What registers have that are two numbers of 16 bits."""
    return low | high << 16


class Model(Device):
    """The checker's own.

    Args:
        columns, rows: its size.
        random: where what is in both buffers at the beginning comes from; None for black.

    Attributes:
        flips: how often the buffers have changed places.
        accesses: how many there were.
        refused: the first access that had no effect, or not all of its effect; empty if none.
    """

    name = "canvas"
    width = 8

    def __init__(self, columns: int, rows: int, random: Random | None = None) -> None:
        self.columns, self.rows = columns, rows
        length = columns * rows
        self._buffers = [
            bytearray(random.randbytes(length) if random is not None else length) for _ in range(2)
        ]
        self._kept = {ORIGIN: 0, EXTENT: 0}
        self._faults = 0
        self.flips = self.accesses = 0
        self.refused = ""

    def front(self) -> bytes:
        """What is seen."""
        return bytes(self._buffers[1 - self.flips % 2])

    @property
    def _back(self) -> bytearray:
        return self._buffers[self.flips % 2]

    def _refuse(self, what: str, offset: int, size: int) -> None:
        self._faults += 1
        self.refused = self.refused or f"{what} of {nbytes(size)} at {place(offset)}"

    def read(self, offset: int, size: int) -> int:
        """As the text says."""
        self.accesses += 1
        if offset >= PIXELS:
            return self._read_pixels(offset, size)
        words = [self._read_register(offset + at, min(size, 4)) for at in range(0, size, 4)]
        return sum(word << 32 * i for i, word in enumerate(words))

    def write(self, offset: int, size: int, value: int) -> None:
        """As the text says."""
        self.accesses += 1
        if offset >= PIXELS:
            self._write_pixels(offset, size, value)
            return
        for at in range(0, size, 4):
            self._write_register(offset + at, min(size, 4), value >> 8 * at & 0xFFFF_FFFF)

    def _read_pixels(self, offset: int, size: int) -> int:
        found = [
            self._back[at] << 8 * i
            for i, at in enumerate(range(offset - PIXELS, offset - PIXELS + size))
            if at < len(self._back)
        ]
        if len(found) < size:
            self._refuse("a read", offset, size)
        return sum(found)

    def _write_pixels(self, offset: int, size: int, value: int) -> None:
        for i in range(size):
            at = offset - PIXELS + i
            if at < len(self._back):
                self._back[at] = value >> 8 * i & 0xFF
        if offset - PIXELS + size > len(self._back):
            self._refuse("a write", offset, size)

    def _read_register(self, offset: int, size: int) -> int:
        if size == 4 and offset == FAULTS:
            faults, self._faults = self._faults, 0
            return faults
        values = {
            **self._kept,
            ID: MAGIC,
            SIZE: both(self.columns, self.rows),
            FILL: 0,
            FLIP: self.flips,
        }
        if size == 4 and offset in values:
            return values[offset]
        self._refuse("a read", offset, size)
        return 0

    def _write_register(self, offset: int, size: int, value: int) -> None:
        if size != 4 or offset not in (ORIGIN, EXTENT, FILL, FLIP):
            self._refuse("a write", offset, size)
        elif offset == FLIP:
            self.flips += 1
        elif offset == FILL:
            self._fill(value & 0xFF)
        else:
            self._kept[offset] = value

    def _fill(self, colour: int) -> None:
        left, top = self._kept[ORIGIN] & 0xFFFF, self._kept[ORIGIN] >> 16
        columns, rows = self._kept[EXTENT] & 0xFFFF, self._kept[EXTENT] >> 16
        for y in range(top, min(top + rows, self.rows)):
            for x in range(left, min(left + columns, self.columns)):
                self._back[y * self.columns + x] = colour


def picture(columns: int, rows: int) -> bytes:
    """What a driver draws on a canvas of that size."""

    def pixel(x: int, y: int) -> int:
        i, j = x - TILE_AT, y - TILE_AT
        if 0 <= i < TILE and 0 <= j < TILE:
            return (i ^ j) * 8
        return WHITE if x in (0, columns - 1) or y in (0, rows - 1) else BLUE

    return bytes(pixel(x, y) for y in range(rows) for x in range(columns))


def difference(got: bytes, right: bytes, columns: int) -> str:
    """How two pictures differ, in words; empty if they do not."""
    if len(got) != len(right):
        return f"it has {len(got)} pixels, not {len(right)}"
    wrong = [i for i, (one, other) in enumerate(zip(got, right, strict=True)) if one != other]
    if not wrong:
        return ""
    y, x = divmod(wrong[0], columns)
    return (
        f"the pixel in column {x}, row {y} is {got[wrong[0]]:#04x}, it should be "
        f"{right[wrong[0]]:#04x} ({len(wrong)} of {len(right)} pixels differ)"
    )
