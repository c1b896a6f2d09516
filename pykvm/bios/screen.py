"""The text screen: 80 by 25 cells of character and attribute at B8000, in eight pages.

It is plain guest RAM: what a guest stores there is on the screen at once.  The CRT controller
says which of its cells comes first.
"""

from __future__ import annotations

from typing import NamedTuple

from pykvm.layout import TEXT_SCREEN
from pykvm.memory import Gpa, GuestMemory

COLUMNS = 80
ROWS = 25
CELL = 2
ROW_BYTES = COLUMNS * CELL
PAGE_BYTES = ROWS * ROW_BYTES
PAGE_DISTANCE = 0x1000
PAGE_CELLS = PAGE_DISTANCE // CELL
"""How far apart in cells, as the CRT controller counts."""
PAGES = 8
CELLS = PAGES * PAGE_CELLS
BLANK = 0x20
NORMAL = 0x07
"""Light grey on black."""


class Window(NamedTuple):
    """A rectangle of cells, its corners included."""

    top: int
    left: int
    bottom: int
    right: int


def blank_page() -> bytes:
    """A page's cells after power-on or a change of mode."""
    return bytes((BLANK, NORMAL)) * (ROWS * COLUMNS)


WHOLE = Window(0, 0, ROWS - 1, COLUMNS - 1)


class Screen:
    """The video memory.

    Rows are 0 to 24, columns 0 to 79, pages 0 to 7: callers see to it.

    Args:
        memory: guest RAM.
    """

    __slots__ = ("_memory",)

    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory

    def clear(self) -> None:
        """Blank all pages."""
        for page in range(PAGES):
            with self._page(page) as view:
                view[:] = blank_page()

    def snapshot(self, start: int) -> bytes:
        """A screenful of cells from one of the memory's on, 0 to 16383; the first of them follows
        the last."""
        with self._memory.view(Gpa(TEXT_SCREEN), CELLS * CELL) as view:
            cells = view[start * CELL : start * CELL + PAGE_BYTES].tobytes()
            return cells + view[: PAGE_BYTES - len(cells)].tobytes()

    def cell(self, page: int, row: int, column: int) -> tuple[int, int]:
        """The character and the attribute at a place."""
        with self._page(page) as view:
            at = row * ROW_BYTES + column * CELL
            return view[at], view[at + 1]

    def put(
        self,
        page: int,
        place: tuple[int, int],
        character: int,
        attribute: int | None,
        *,
        count: int = 1,
    ) -> None:
        """Write a character several times, on to the next rows, to the page's end at the most.

        Args:
            place: row and column.
            attribute: None leaves each cell's own.
            count: 0 to 65535.
        """
        row, column = place
        at = row * ROW_BYTES + column * CELL
        count = min(count, (PAGE_BYTES - at) // CELL)
        with self._page(page) as view:
            if attribute is None:
                view[at : at + count * CELL : CELL] = bytes((character,)) * count
            else:
                view[at : at + count * CELL] = bytes((character, attribute)) * count

    def scroll(self, page: int, window: Window, lines: int, attribute: int, *, down: bool) -> None:
        """Move a window's rows up or down and blank those that come in.

        Args:
            window: what lies beyond the screen's edges is left out.
            lines: how far; 0, or more than there are, blanks all.
        """
        top, left = window.top, window.left
        bottom, right = min(window.bottom, ROWS - 1), min(window.right, COLUMNS - 1)
        height, width = bottom - top + 1, right - left + 1
        if height <= 0 or width <= 0:
            return
        lines = min(lines or height, height)
        blank = bytes((BLANK, attribute)) * width
        rows = [row * ROW_BYTES + left * CELL for row in range(top, bottom + 1)]
        if down:
            rows.reverse()
        size = width * CELL
        with self._page(page) as view:
            for target, source in zip(rows, rows[lines:], strict=False):
                view[target : target + size] = view[source : source + size]
            for at in rows[height - lines :]:
                view[at : at + size] = blank

    def _page(self, page: int) -> memoryview:
        return self._memory.view(Gpa(TEXT_SCREEN + page * PAGE_DISTANCE), PAGE_BYTES)
