"""What a viewer sees: frames of the text screen, and the terminal output that turns one into the
next.

Everything here is pure; the caller takes a frame now and then and sends the difference.
Control sequences: ECMA-48 (CUP 8.3.21, ED 8.3.39, SGR 8.3.117), and DEC's private mode 25, the
cursor's visibility.
"""

from __future__ import annotations

from typing import NamedTuple

from pykvm.bios.bda import BLINKING, VIDEO_CONTROL, Bda
from pykvm.bios.cp437 import GLYPHS
from pykvm.bios.screen import CELL, CELLS, COLUMNS, ROW_BYTES, ROWS, Screen
from pykvm.devices.crtc import Crtc

_ANSI = (0, 4, 2, 6, 1, 5, 3, 7)
"""A PC's colours have blue as bit 0 and red as bit 2; terminals the other way round."""

HIDE_CURSOR = b"\x1b[?25l"
SHOW_CURSOR = b"\x1b[?25h"
CLEAR = b"\x1b[0m\x1b[2J"
RESET_COLOURS = b"\x1b[0m"


class Frame(NamedTuple):
    """The screen at one moment.

    Attributes:
        cells: characters and attributes, row by row.
        cursor: its row and column; None if it cannot be seen.
        blinking: an attribute's bit 7 means blinking, not a bright background.
    """

    cells: bytes
    cursor: tuple[int, int] | None
    blinking: bool

    def text(self) -> str:
        """The characters alone: 25 lines, without the blanks at their ends."""
        lines = []
        for start in range(0, len(self.cells), ROW_BYTES):
            row = self.cells[start : start + ROW_BYTES : CELL]
            lines.append("".join(GLYPHS[code] for code in row).rstrip())
        return "\n".join(lines)


def take_frame(screen: Screen, crtc: Crtc, bda: Bda) -> Frame:
    """What is shown now, with the cursor."""
    row, column = divmod((crtc.cursor - crtc.start) % CELLS, COLUMNS)
    return Frame(
        screen.snapshot(crtc.start % CELLS),
        (row, column) if row < ROWS and crtc.cursor_lines else None,
        bool(bda.byte(VIDEO_CONTROL) & BLINKING),
    )


def difference(old: Frame | None, new: Frame, *, rows: int = ROWS, columns: int = COLUMNS) -> bytes:
    """What to send to a terminal that shows `old`, so that it shows `new`; empty if it does.

    Args:
        old: None for a terminal that shows anything else: it is cleared.
        rows, columns: the terminal's size; what does not fit is left out.
    """
    changed = b"".join(
        _row_difference(old, new, row, min(columns, COLUMNS)) for row in range(min(rows, ROWS))
    )
    cursor_moved = old is None or old.cursor != new.cursor
    if not changed and not cursor_moved:
        return b""
    if old is None:
        changed = CLEAR + changed
    if changed:
        changed = HIDE_CURSOR + changed + RESET_COLOURS
    return changed + _place_cursor(new.cursor, rows, columns)


def _place_cursor(cursor: tuple[int, int] | None, rows: int, columns: int) -> bytes:
    if cursor is None or cursor[0] >= rows or cursor[1] >= columns:
        return HIDE_CURSOR
    return _move(*cursor) + SHOW_CURSOR


def _move(row: int, column: int) -> bytes:
    return b"\x1b[%d;%dH" % (row + 1, column + 1)


def _row_difference(old: Frame | None, new: Frame, row: int, columns: int) -> bytes:
    """From the first to the last cell of a row that changed."""
    start = row * ROW_BYTES
    now = new.cells[start : start + columns * CELL]
    if old is not None and old.blinking == new.blinking:
        before = old.cells[start : start + columns * CELL]
        if before == now:
            return b""
        differing = [
            column
            for column in range(columns)
            if before[column * CELL : column * CELL + CELL]
            != now[column * CELL : column * CELL + CELL]
        ]
        first, last = differing[0], differing[-1]
    else:
        first, last = 0, columns - 1
    out = [_move(row, first)]
    attribute = -1
    for column in range(first, last + 1):
        code, own = now[column * CELL], now[column * CELL + 1]
        if own != attribute:
            attribute = own
            out.append(colours(own, blinking=new.blinking))
        out.append(GLYPHS[code].encode())
    return b"".join(out)


def colours(attribute: int, *, blinking: bool) -> bytes:
    """The SGR sequence for a PC's attribute byte: 16 foregrounds, 8 or 16 backgrounds."""
    foreground = _ANSI[attribute & 7] + (90 if attribute & 8 else 30)
    bright = attribute & 0x80 and not blinking
    background = _ANSI[attribute >> 4 & 7] + (100 if bright else 40)
    blink = ";5" if attribute & 0x80 and blinking else ""
    return f"\x1b[0;{foreground};{background}{blink}m".encode()
