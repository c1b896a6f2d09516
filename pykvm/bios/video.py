"""INT 10h: video services for text mode 3 (80 by 25 in 16 colours).

Sources: IBM PC AT and PS/2 BIOS references; Ralf Brown's Interrupt List, INT 10h.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.bios import bda as field
from pykvm.bios.cp437 import GLYPHS
from pykvm.bios.screen import CELL, COLUMNS, PAGE_CELLS, PAGES, ROWS, WHOLE, Screen, Window
from pykvm.devices.crtc import SCAN_LINE

if TYPE_CHECKING:
    from pykvm.bios.bda import Bda
    from pykvm.bios.call import Call
    from pykvm.devices.crtc import Crtc
    from pykvm.devices.sinks import Sink
    from pykvm.memory import GuestMemory

TEXT_MODES = (2, 3)
KEEP_SCREEN = 0x80
"""In the mode number: do not clear."""

BELL, BACKSPACE, LINE_FEED, RETURN = 0x07, 0x08, 0x0A, 0x0D
_CONTROL = (BELL, BACKSPACE, LINE_FEED, RETURN)

UPDATE_CURSOR = 1 << 0
WITH_ATTRIBUTES = 1 << 1

TEXT_MODE_SET = 0x30
"""What AL holds after setting a text mode."""

CGA_HEIGHT = 8
"""Scan lines of a character."""

VGA_COLOUR = 0x08
FUNCTION_SUPPORTED = 0x1A


class Video:
    """The services, and the teletype.

    Args:
        memory: guest RAM.
        screen: its video memory.
        crtc: shows a page of it, and the cursor.
        bda: the BIOS data area, where cursors and the page shown are.
        sink: gets what is written as on a teletype (AH=0Eh, 13h), in UTF-8.
    """

    def __init__(
        self, memory: GuestMemory, screen: Screen, crtc: Crtc, bda: Bda, sink: Sink
    ) -> None:
        self._memory = memory
        self._screen = screen
        self._crtc = crtc
        self._bda = bda
        self._sink = sink
        self._functions = {
            0x00: self._set_mode,
            0x01: self._set_cursor_shape,
            0x02: self._set_cursor,
            0x03: self._get_cursor,
            0x04: self._light_pen,
            0x05: self._set_page,
            0x06: self._scroll,
            0x07: self._scroll,
            0x08: self._read_cell,
            0x09: self._write_cells,
            0x0A: self._write_cells,
            0x0E: self._teletype,
            0x0F: self._get_mode,
            0x10: self._palette,
            0x12: self._adapter,
            0x13: self._write_string,
            0x1A: self._display_combination,
        }

    def interrupt(self, call: Call) -> None:
        """INT 10h, by AH.  What is not there changes nothing, as on a PC."""
        function = self._functions.get(call.registers.ah)
        if function is not None:
            function(call)

    def write(self, text: bytes) -> None:
        """Write at the cursor of the page shown, as on a teletype."""
        page = self._page_shown
        for character in text:
            self._type(page, character)

    @property
    def _page_shown(self) -> int:
        return self._bda.byte(field.VIDEO_PAGE) % PAGES

    def _cursor(self, page: int) -> tuple[int, int]:
        """Row and column, cut to the screen: the guest may have set any."""
        position = self._bda.word(field.CURSORS + 2 * page)
        return min(position >> 8, ROWS - 1), min(position & 0xFF, COLUMNS - 1)

    def _move(self, page: int, row: int, column: int) -> None:
        self._bda.set_word(field.CURSORS + 2 * page, row << 8 | column)
        if page == self._page_shown:
            self._crtc.cursor = page * PAGE_CELLS + row * COLUMNS + column

    def _type(self, page: int, character: int, attribute: int | None = None) -> None:
        """Obey BEL, BS, LF and CR; write anything else and advance, scrolling at the end."""
        control = character in _CONTROL
        self._sink.write(bytes((character,)) if control else GLYPHS[character].encode())
        row, column = self._cursor(page)
        if character == BACKSPACE:
            column = max(column - 1, 0)
        elif character == RETURN:
            column = 0
        elif character == LINE_FEED:
            row += 1
        elif character != BELL:
            self._screen.put(page, (row, column), character, attribute)
            column += 1
            if column == COLUMNS:
                column, row = 0, row + 1
        if row == ROWS:
            row = ROWS - 1
            _, colour = self._screen.cell(page, row, column)
            self._screen.scroll(page, WHOLE, 1, colour, down=False)
        self._move(page, row, column)

    def _set_mode(self, call: Call) -> None:
        mode = call.registers.al
        if mode & ~KEEP_SCREEN not in TEXT_MODES:
            return
        bda = self._bda
        bda.set_byte(field.VIDEO_MODE, mode & ~KEEP_SCREEN)
        bda.set_word(field.VIDEO_COLUMNS, COLUMNS)
        bda.set_word(field.VIDEO_PAGE_SIZE, 0x1000)
        bda.set_word(field.VIDEO_PAGE_START, 0)
        bda.set_word(field.CURSOR_SHAPE, field.DEFAULT_CURSOR)
        bda.set_byte(field.VIDEO_PAGE, 0)
        bda.set_byte(field.VIDEO_CONTROL, 0x29)
        bda.set_byte(field.VIDEO_ROWS, ROWS - 1)
        options = bda.byte(field.VIDEO_OPTIONS) & ~KEEP_SCREEN
        bda.set_byte(field.VIDEO_OPTIONS, options | mode & KEEP_SCREEN)
        self._crtc.reset()
        for page in range(PAGES):
            self._move(page, 0, 0)
        if not mode & KEEP_SCREEN:
            self._screen.clear()
        call.registers.al = TEXT_MODE_SET

    def _set_cursor_shape(self, call: Call) -> None:
        r = call.registers
        self._bda.set_word(field.CURSOR_SHAPE, r.cx)
        self._crtc.set_cursor_shape(*_in_sixteenths(r.ch, r.cl))

    def _set_cursor(self, call: Call) -> None:
        r = call.registers
        if r.bh < PAGES:
            self._move(r.bh, r.dh, r.dl)

    def _get_cursor(self, call: Call) -> None:
        r = call.registers
        r.cx = self._bda.word(field.CURSOR_SHAPE)
        r.dx = self._bda.word(field.CURSORS + 2 * (r.bh % PAGES))

    def _light_pen(self, call: Call) -> None:
        call.registers.ah = 0  # not triggered

    def _set_page(self, call: Call) -> None:
        page = call.registers.al
        if page < PAGES:
            self._bda.set_byte(field.VIDEO_PAGE, page)
            self._bda.set_word(field.VIDEO_PAGE_START, page * 0x1000)
            self._crtc.start = page * PAGE_CELLS
            position = self._bda.word(field.CURSORS + 2 * page)
            self._move(page, position >> 8, position & 0xFF)

    def _scroll(self, call: Call) -> None:
        r = call.registers
        window = Window(r.ch, r.cl, r.dh, r.dl)
        self._screen.scroll(self._page_shown, window, r.al, r.bh, down=r.ah == 0x07)

    def _read_cell(self, call: Call) -> None:
        r = call.registers
        page = r.bh % PAGES
        r.al, r.ah = self._screen.cell(page, *self._cursor(page))

    def _write_cells(self, call: Call) -> None:
        r = call.registers
        page = r.bh % PAGES
        attribute = r.bl if r.ah == 0x09 else None
        self._screen.put(page, self._cursor(page), r.al, attribute, count=r.cx)

    def _teletype(self, call: Call) -> None:
        # on the page shown, whatever BH says: boot sectors leave anything there
        self._type(self._page_shown, call.registers.al)

    def _get_mode(self, call: Call) -> None:
        r = call.registers
        keep = self._bda.byte(field.VIDEO_OPTIONS) & KEEP_SCREEN
        r.al = self._bda.byte(field.VIDEO_MODE) | keep
        r.ah = COLUMNS
        r.bh = self._page_shown

    def _palette(self, call: Call) -> None:
        """Only AL=03h, blinking or bright backgrounds: there are no other colours."""
        r = call.registers
        if r.al == 0x03:
            rest = self._bda.byte(field.VIDEO_CONTROL) & ~field.BLINKING
            self._bda.set_byte(field.VIDEO_CONTROL, rest | (field.BLINKING if r.bl & 1 else 0))

    def _adapter(self, call: Call) -> None:
        """Only BL=10h, by which programs find out that this is an EGA or better."""
        r = call.registers
        if r.bl == 0x10:
            r.bx = 0x0003  # colour, 256 KiB
            r.cx = 0x0009

    def _write_string(self, call: Call) -> None:
        r = call.registers
        mode, page = r.al, r.bh
        cell = CELL if mode & WITH_ATTRIBUTES else 1
        address = call.buffer(r.es, r.bp, r.cx * cell)
        if page >= PAGES or address is None:
            return
        string = self._memory.read(address, r.cx * cell)
        attributes = string[1::2] if cell == CELL else bytes((r.bl,)) * r.cx
        before = self._bda.word(field.CURSORS + 2 * page)
        self._move(page, r.dh, r.dl)
        for character, attribute in zip(string[::cell], attributes, strict=True):
            self._type(page, character, attribute)
        if not mode & UPDATE_CURSOR:
            self._move(page, before >> 8, before & 0xFF)

    def _display_combination(self, call: Call) -> None:
        r = call.registers
        if r.al == 0x00:
            r.bx = VGA_COLOUR
        if r.al in (0x00, 0x01):
            r.al = FUNCTION_SUPPORTED


def _in_sixteenths(start: int, end: int) -> tuple[int, int]:
    """A cursor's shape for cells of 16 scan lines, from one for the CGA's of 8.

    What has higher lines is for 16 already.  Lines 6 and 7 become 13 and 14, where a VGA's own
    underline is.
    """
    first = start & SCAN_LINE
    if not first <= end < CGA_HEIGHT:
        return start, end
    return start & ~SCAN_LINE | 2 * first + 1, max(2 * end, 2 * first + 1)
