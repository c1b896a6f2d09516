"""A VGA's CRT controller in text mode: where the screen begins in its memory, and the cursor.

Nothing is drawn here.  The registers keep what they are given; whoever shows the screen asks for
`start`, `cursor` and `cursor_lines`.  The display's timing is that of mode 3 whatever they say.
They are a VGA's at its colour addresses; at 3B4 there is nothing, as there would be a second
adapter to a program that looks for one.

Sources: IBM PS/2 Hardware Interface Technical Reference, "Video Subsystem", CRT controller
registers and Input Status Register 1; the Motorola MC6845 datasheet for the cursor.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pykvm.bus import Device

# Ports, as offsets.
INDEX = 0
DATA = 1
LENGTH = 2

# Registers by index.
OVERFLOW = 0x07
CURSOR_START = 0x0A
CURSOR_END = 0x0B
START_HIGH = 0x0C
CURSOR_HIGH = 0x0E
RETRACE_END = 0x11

CURSOR_OFF = 1 << 5
"""In CURSOR_START."""
SCAN_LINE = 0x1F
"""In CURSOR_START and CURSOR_END."""
PROTECT = 1 << 7
"""In RETRACE_END: registers 0 to 7 cannot be written, but for one bit."""
LINE_COMPARE_8 = 1 << 4
"""In OVERFLOW, that bit."""

TEXT_80_BY_25 = bytes.fromhex(
    "5f 4f 50 82 55 81 bf 1f  00 4f 0d 0e 00 00 00 00  9c 8e 8f 28 1f 96 b9 a3  ff"
)
"""The registers as a VGA's BIOS sets them for mode 3: 16 scan lines a character."""

INDEX_BITS = 0x1F
_BITS = bytes.fromhex(
    "ff ff ff ff ff ff ff ff  7f ff 3f 7f ff ff ff ff  ff ff ff ff 7f ff ff ef  ff"
)
"""Those of each register that exist."""

# Bits of the status.
BLANKED = 1 << 0
VERTICAL_RETRACE = 1 << 3

# The timing, in 900ths of a scan line (of 9 dots a character and 100 characters) and lines.
DOTS_HZ = 28_322_000
LINE_DOTS = 900
SHOWN_DOTS = 720
LINES = 449
SHOWN_LINES = 400
NS = 1_000_000_000


class Crtc(Device):
    """The index register at offset 0, the one that it selects at 1.

    On a PC these are ports 3D4 and 3D5; `status` belongs at 3DA.

    Args:
        clock: a monotonic clock in nanoseconds.

    Attributes:
        status: Input Status Register 1, a device of one byte.
    """

    name = "CRT controller"

    def __init__(self, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.status: Device = InputStatus(clock)
        self._index = 0
        self._registers = bytearray(TEXT_80_BY_25)

    # The host's side, and a BIOS's, which need not select registers.

    def reset(self) -> None:
        """Set mode 3: its page at the memory's start, the cursor in its first cell."""
        self._registers[:] = TEXT_80_BY_25

    @property
    def start(self) -> int:
        """Which of the memory's cells is at the screen's upper left, 0 to 0xFFFF."""
        return self._pair(START_HIGH)

    @start.setter
    def start(self, cell: int) -> None:
        self._set_pair(START_HIGH, cell)

    @property
    def cursor(self) -> int:
        """In which of the memory's cells the cursor is, 0 to 0xFFFF."""
        return self._pair(CURSOR_HIGH)

    @cursor.setter
    def cursor(self, cell: int) -> None:
        self._set_pair(CURSOR_HIGH, cell)

    @property
    def cursor_lines(self) -> range:
        """The scan lines of a cell that the cursor fills; none for one that is off.

        A VGA shows none either that would end before it starts.
        """
        start, end = self._registers[CURSOR_START], self._registers[CURSOR_END]
        if start & CURSOR_OFF:
            return range(0)
        return range(start & SCAN_LINE, (end & SCAN_LINE) + 1)

    def set_cursor_shape(self, start: int, end: int) -> None:
        """Set the two registers of its shape, as `out` would."""
        self._set(CURSOR_START, start)
        self._set(CURSOR_END, end)

    # The guest's side.

    def read(self, offset: int, size: int) -> int:
        """The index, or the register selected; 0 for one that there is not."""
        if offset == INDEX:
            return self._index
        return self._registers[self._index] if self._index < len(self._registers) else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Select a register, or write the one selected."""
        if offset == INDEX:
            self._index = value & INDEX_BITS
        elif self._index > OVERFLOW or not self._registers[RETRACE_END] & PROTECT:
            self._set(self._index, value)
        elif self._index == OVERFLOW:
            rest = self._registers[OVERFLOW] & ~LINE_COMPARE_8
            self._set(OVERFLOW, rest | value & LINE_COMPARE_8)

    def _set(self, index: int, value: int) -> None:
        if index < len(self._registers):
            self._registers[index] = value & _BITS[index]

    def _pair(self, high: int) -> int:
        return self._registers[high] << 8 | self._registers[high + 1]

    def _set_pair(self, high: int, value: int) -> None:
        self._set(high, value >> 8 & 0xFF)
        self._set(high + 1, value & 0xFF)


class InputStatus(Device):
    """Input Status Register 1: whether the display is blanked just now, and retraces vertically.

    It follows the clock at 70 Hz, so that programs that wait by it wait as long as on a PC.  The
    vertical retrace lasts as long as the frame's blanking, 1.6 ms: a PC's 64 us are over between
    two reads that each leave the guest.

    Args:
        clock: a monotonic clock in nanoseconds.
    """

    name = "VGA input status"

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock

    def read(self, offset: int, size: int) -> int:
        """The two bits."""
        line, dot = divmod(self._clock() * DOTS_HZ // NS, LINE_DOTS)
        if line % LINES >= SHOWN_LINES:
            return BLANKED | VERTICAL_RETRACE
        return BLANKED if dot >= SHOWN_DOTS else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """The feature control register, which has no feature to control."""
