"""Frames and the terminal output between them, against a small terminal that obeys it."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm.bios.cp437 import GLYPHS, encode
from pykvm.bios.frame import Frame, colours, difference
from pykvm.bios.screen import PAGE_BYTES

BLANK = Frame(b"\x20\x07" * 2000, (0, 0), True)
SEQUENCE = re.compile(r"\x1b\[(\?25[lh]|[0-9;]*[HJm])|(.)", re.DOTALL)


class Terminal:
    """Obeys CUP, ED, SGR (as opaque words) and DECTCEM; autowrap is not relied on."""

    def __init__(self, rows: int = 25, columns: int = 80) -> None:
        self.rows, self.columns = rows, columns
        self.cells: dict[tuple[int, int], tuple[str, str]] = {}
        self.row = self.column = 0
        self.sgr = "0"
        self.visible = True

    def feed(self, data: bytes) -> None:
        text = data.decode()
        assert "".join(m.group(0) for m in SEQUENCE.finditer(text)) == text
        for match in SEQUENCE.finditer(text):
            control, character = match.groups()
            if character is not None:
                assert character.isprintable()
                assert self.row < self.rows
                assert self.column < self.columns
                self.cells[self.row, self.column] = (character, self.sgr)
                self.column += 1
            elif control.startswith("?"):
                self.visible = control[-1] == "h"
            elif control.endswith("H"):
                row, column = control[:-1].split(";")
                self.row, self.column = int(row) - 1, int(column) - 1
            elif control.endswith("J"):
                self.cells.clear()
            else:
                self.sgr = control[:-1]

    def shows(self, frame: Frame) -> None:
        """Assert that it does."""
        for row in range(min(self.rows, 25)):
            for column in range(min(self.columns, 80)):
                at = (row * 80 + column) * 2
                code, attribute = frame.cells[at : at + 2]
                sgr = colours(attribute, blinking=frame.blinking)[2:-1].decode()
                assert self.cells[row, column] == (GLYPHS[code], sgr)
        seen = frame.cursor
        if seen is not None and seen[0] < self.rows and seen[1] < self.columns:
            assert (self.visible, (self.row, self.column)) == (True, seen)
        else:
            assert not self.visible


def changed(frame: Frame, changes: list[tuple[int, int]]) -> Frame:
    cells = bytearray(frame.cells)
    for at, value in changes:
        cells[at] = value
    return frame._replace(cells=bytes(cells))


changes = st.lists(st.tuples(st.integers(0, PAGE_BYTES - 1), st.integers(0, 255)), max_size=30)
cursors = st.none() | st.tuples(st.integers(0, 24), st.integers(0, 79))
frames = st.builds(
    lambda edits, cursor, blinking: changed(BLANK, edits)._replace(
        cursor=cursor, blinking=blinking
    ),
    changes,
    cursors,
    st.booleans(),
)


@settings(max_examples=60)
@given(shown=st.lists(frames, min_size=1, max_size=4))
def test_a_terminal_that_gets_the_differences_shows_the_last_frame(shown: list[Frame]) -> None:
    terminal = Terminal()
    old = None
    for frame in shown:
        terminal.feed(difference(old, frame))
        terminal.shows(frame)
        old = frame


@settings(max_examples=20)
@given(frame=frames, rows=st.integers(1, 30), columns=st.integers(1, 100))
def test_a_smaller_terminal_gets_what_fits(frame: Frame, rows: int, columns: int) -> None:
    terminal = Terminal(rows, columns)
    for new, old in ((BLANK, None), (frame, BLANK)):
        terminal.feed(difference(old, new, rows=rows, columns=columns))
        terminal.shows(new)


def test_nothing_is_sent_for_the_same_frame() -> None:
    assert difference(BLANK, BLANK) == b""


def test_only_what_changed_is_sent() -> None:
    new = changed(BLANK, [(2 * (3 * 80 + 5), ord("A")), (2 * (3 * 80 + 7), ord("B"))])
    assert difference(BLANK, new) == (
        b"\x1b[?25l\x1b[4;6H\x1b[0;37;40mA B\x1b[0m\x1b[1;1H\x1b[?25h"
    )
    moved = BLANK._replace(cursor=(1, 2))
    assert difference(BLANK, moved) == b"\x1b[2;3H\x1b[?25h"
    assert difference(BLANK, BLANK._replace(cursor=None)) == b"\x1b[?25l"


def test_colours() -> None:
    assert colours(0x07, blinking=True) == b"\x1b[0;37;40m"
    assert colours(0x1C, blinking=True) == b"\x1b[0;91;44m"  # light red on blue
    assert colours(0x9E, blinking=True) == b"\x1b[0;93;44;5m"
    assert colours(0x9E, blinking=False) == b"\x1b[0;93;104m"


def test_code_page_437() -> None:
    assert len(GLYPHS) == 256
    assert [
        GLYPHS[code] for code in (0x00, 0x01, 0x1B, 0x41, 0x7F, 0x80, 0xB0, 0xE1, 0xFF)
    ] == list(" ☺←A⌂Ç░ß ")
    assert [encode(glyph) for glyph in "A☺Ç€ "] == [0x41, 0x01, 0x80, None, 0x20]
    assert all(glyph.isprintable() for glyph in GLYPHS)
