"""Lab 7: a frame buffer that a guest draws on by memory-mapped I/O.

Write the class.  `python easel.py` shows it, `python easel.py draw.bin64` has a guest draw on it.
"""

from pykvm.bus import Device

MAGIC = 0x564E4143  # what ID reads: "CANV", little-endian

ID = 0x00  # read: MAGIC
SIZE = 0x04  # read: columns | rows << 16
ORIGIN = 0x08  # x | y << 16, the upper left corner of what FILL fills
EXTENT = 0x0C  # columns | rows << 16 of what FILL fills
FILL = 0x10  # write: fill that rectangle with the colour in bits 7:0
FLIP = 0x14  # write: the two buffers change places; read: how often they have
FAULTS = 0x18  # read: accesses refused since it was last read

PIXELS = 0x1000  # from here on: a byte a pixel, row by row


class Canvas(Device):
    """Two buffers of pixels: the front one is seen, the guest draws on the back one.

    Args:
        columns, rows: the size of the picture; columns * rows is 65536 at most.
    """

    name = "canvas"
    width = 8  # the widest access in bytes that `read` and `write` take; not the picture's

    def __init__(self, columns: int, rows: int) -> None:
        self._columns = columns
        self._rows = rows

    def front(self) -> bytes:
        """What is seen: columns * rows bytes, row by row.  At the beginning all are 0."""
        return bytes(self._columns * self._rows)

    def read(self, offset: int, size: int) -> int:
        """The guest reads `size` bytes (1, 2, 4 or 8) at `offset`."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """The guest writes `size` bytes (1, 2, 4 or 8) at `offset`: `value`, little-endian."""
