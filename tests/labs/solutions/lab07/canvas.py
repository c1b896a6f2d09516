"""Lab 7, solved."""

from pykvm.bus import Device

MAGIC = 0x564E4143

ID = 0x00
SIZE = 0x04
ORIGIN = 0x08
EXTENT = 0x0C
FILL = 0x10
FLIP = 0x14
FAULTS = 0x18

PIXELS = 0x1000


class Canvas(Device):
    name = "canvas"
    width = 8

    def __init__(self, columns: int, rows: int) -> None:
        self._columns = columns
        self._rows = rows
        self._front = bytearray(columns * rows)
        self._back = bytearray(columns * rows)
        self._origin = self._extent = 0
        self._flips = self._faults = 0

    def front(self) -> bytes:
        return bytes(self._front)

    def read(self, offset: int, size: int) -> int:
        if offset >= PIXELS:
            start, inside = self._inside(offset, size)
            return int.from_bytes(self._back[start : start + inside], "little")
        if size == 8:
            return self.read(offset, 4) | self.read(offset + 4, 4) << 32
        if size == 4:
            if offset == FAULTS:
                faults, self._faults = self._faults, 0
                return faults
            values = {
                ID: MAGIC,
                SIZE: self._columns | self._rows << 16,
                ORIGIN: self._origin,
                EXTENT: self._extent,
                FILL: 0,
                FLIP: self._flips,
            }
            if offset in values:
                return values[offset]
        self._faults += 1
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        if offset >= PIXELS:
            start, inside = self._inside(offset, size)
            self._back[start : start + inside] = value.to_bytes(size, "little")[:inside]
        elif size == 8:
            self.write(offset, 4, value & 0xFFFFFFFF)
            self.write(offset + 4, 4, value >> 32)
        elif size == 4 and offset == ORIGIN:
            self._origin = value
        elif size == 4 and offset == EXTENT:
            self._extent = value
        elif size == 4 and offset == FILL:
            self._fill(value & 0xFF)
        elif size == 4 and offset == FLIP:
            self._front, self._back = self._back, self._front
            self._flips = (self._flips + 1) & 0xFFFFFFFF
        else:
            self._faults += 1

    def _inside(self, offset: int, size: int) -> tuple[int, int]:
        """Where pixels begin, and how many there are of those that an access asks for."""
        start = offset - PIXELS
        inside = max(0, min(size, len(self._back) - start))
        if inside < size:
            self._faults += 1
        return start, inside

    def _fill(self, colour: int) -> None:
        left, top = self._origin & 0xFFFF, self._origin >> 16
        right = min(left + (self._extent & 0xFFFF), self._columns)
        bottom = min(top + (self._extent >> 16), self._rows)
        if left >= right:
            return
        for y in range(top, bottom):
            row = y * self._columns
            self._back[row + left : row + right] = bytes([colour]) * (right - left)
