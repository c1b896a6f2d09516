"""Lab 7: see what is on your canvas.  Complete.

    python easel.py                               pokes at it as a guest would, without a guest
    python easel.py draw.bin64 [96x64 [accesses]] has a guest draw on it; tells each access

Either way the picture is shown in the terminal, and kept as picture.png.
"""

import struct
import sys
import zlib
from pathlib import Path

from canvas import Canvas

from pykvm.bus import MEMORY_SPACE, Bus, Device
from pykvm.errors import GuestCrash, PykvmError

ORIGIN, EXTENT, FILL, FLIP, FAULTS, PIXELS = 0x08, 0x0C, 0x10, 0x14, 0x18, 0x1000
BASE = 0xD000_0000
"""Where the guest has the canvas: no RAM is there."""
LENGTH = PIXELS + 0x1_0000
TIMEOUT = 10
TOLD = 40
"""How many accesses are told."""
LARGE = 6
"""Columns and rows that a pixel has in picture.png."""


def rgb(pixel: int) -> bytes:
    """Red, green and blue of a pixel: its bits 7:5, 4:2 and 1:0."""
    return bytes([(pixel >> 5) * 255 // 7, (pixel >> 2 & 7) * 255 // 7, (pixel & 3) * 85])


def rows_of(pixels: bytes, columns: int) -> list[bytes]:
    """A picture's rows."""
    return [pixels[at : at + columns] for at in range(0, len(pixels), columns)]


def show(pixels: bytes, columns: int) -> None:
    """Print a picture: two rows in each line of the terminal, as the halves of a character."""
    rows = rows_of(pixels, columns)
    for upper, lower in zip(rows[::2], [*rows[1::2], bytes(columns)], strict=False):
        for over, under in zip(upper, lower, strict=True):
            ink = ";".join(map(str, rgb(over)))
            paper = ";".join(map(str, rgb(under)))
            print(f"\033[38;2;{ink};48;2;{paper}m▀", end="")
        print("\033[0m")


def save(pixels: bytes, columns: int, path: Path) -> None:
    """Write a picture as PNG, enlarged."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = rows_of(pixels, columns)
    lines = (b"\0" + b"".join(rgb(pixel) * LARGE for pixel in row) for row in rows)
    header = struct.pack(">IIBBBBB", columns * LARGE, len(rows) * LARGE, 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(line * LARGE for line in lines))
    chunks = (b"IHDR", header), (b"IDAT", data), (b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))


def poke(canvas: Canvas, columns: int, rows: int) -> None:
    """Draw without a guest: a filled rectangle, and a row of each access width."""
    bus = Bus("MMIO", MEMORY_SPACE)
    bus.attach(BASE, LENGTH, canvas)
    bus.write(BASE + ORIGIN, 4, 12 << 16 | 8)
    bus.write(BASE + EXTENT, 4, rows << 16 | columns // 2)  # longer than the picture
    bus.write(BASE + FILL, 4, 0x1C)
    for row, size in enumerate((1, 2, 4, 8), 1):
        value = 0x1F_FC_E3_03_92_F0_E0_FF & (1 << 8 * size) - 1
        for at in range(0, columns - 7, 2 * size):
            bus.write(BASE + PIXELS + 2 * row * columns + at, size, value)
    bus.write(BASE + FLIP, 4, 0)


class Told(Device):
    """A canvas whose first accesses are printed."""

    name = "canvas"
    width = Canvas.width

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._left = TOLD

    def read(self, offset: int, size: int) -> int:
        """As the canvas."""
        value = self._canvas.read(offset, size)
        self._tell(f"read  {size} at {offset:#06x} = {value:#0{2 * size + 2}x}")
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """As the canvas."""
        self._tell(f"write {size} at {offset:#06x} = {value:#0{2 * size + 2}x}")
        self._canvas.write(offset, size, value)

    def _tell(self, words: str) -> None:
        self._left -= 1
        if self._left >= 0:
            print(words if self._left else "...")


def run(canvas: Canvas, image: Path, tell: bool) -> None:
    """Have a guest draw, in 64-bit mode."""
    from pykvm.machine import Machine
    from pykvm.x86 import Mode

    with Machine("1M", irqchip="none", stats=True) as machine:
        machine.mmio.attach(BASE, LENGTH, Told(canvas) if tell else canvas)
        machine.load(image, mode=Mode.LONG, bios=False)
        try:
            end = machine.run(timeout=TIMEOUT).reason.value
        except GuestCrash as error:
            end = f"crashed ({error.cause})"
        exits = machine.stats().exits.get("KVM_EXIT_MMIO", 0)
    print(f"{end} after {exits} MMIO exits; FAULTS says {canvas.read(FAULTS, 4)}")


def main(image: str = "", size: str = "64x48", accesses: str = "") -> None:
    """What the command line says."""
    wide, _, high = size.partition("x")
    columns, rows = (int(text) if text.isdecimal() else 0 for text in (wide, high))
    if not 0 < columns * rows <= LENGTH - PIXELS or max(columns, rows) > 0xFFFF:
        sys.exit(f"easel: {size}: a size is COLUMNSxROWS, at most 65536 pixels in all")
    canvas = Canvas(columns, rows)
    if image:
        run(canvas, Path(image), accesses == "accesses")
    else:
        poke(canvas, columns, rows)
    pixels = canvas.front()
    if sys.stdout.isatty():
        show(pixels, columns)
    save(pixels, columns, Path("picture.png"))
    print("picture.png")


if __name__ == "__main__":
    if len(sys.argv) > 4:
        sys.exit("python easel.py [IMAGE [COLUMNSxROWS [accesses]]]")
    try:
        main(*sys.argv[1:])
    except (PykvmError, OSError) as error:
        sys.exit(f"easel: {error}")
