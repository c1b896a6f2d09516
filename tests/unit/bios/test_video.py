"""INT 10h against its description."""

from __future__ import annotations

import pytest

from pykvm.bios import bda as field
from pykvm.layout import TEXT_SCREEN
from pykvm.memory import Gpa
from tests.unit.bios.rig import Rig

TEXT = 0x5000


def cell(rig: Rig, row: int, column: int, page: int = 0) -> tuple[int, int]:
    at = TEXT_SCREEN + page * 0x1000 + (row * 80 + column) * 2
    character, attribute = rig.memory.read(Gpa(at), 2)
    return character, attribute


def row_text(rig: Rig, row: int) -> str:
    return rig.bios.frame().text().split("\n")[row]


def cursor(rig: Rig, page: int = 0) -> tuple[int, int]:
    r = rig.call(0x10, ax=0x0300, bx=page << 8).r
    return r.dh, r.dl


def type_text(rig: Rig, text: bytes) -> None:
    for character in text:
        rig.call(0x10, ax=0x0E00 | character, bx=0x0007)


def place(rig: Rig, row: int, column: int, page: int = 0) -> None:
    rig.call(0x10, ax=0x0200, bx=page << 8, dx=row << 8 | column)


def test_power_on_is_mode_3_and_blank(rig: Rig) -> None:
    r = rig.call(0x10, ax=0x0F00).r
    assert (r.al, r.ah, r.bh) == (3, 80, 0)
    assert cell(rig, 0, 0) == cell(rig, 24, 79) == (0x20, 0x07)
    assert rig.bios.frame().text().strip() == ""
    assert rig.bios.frame().cursor == (0, 0)


@pytest.mark.parametrize("mode", [2, 3])
def test_setting_the_mode_clears(rig: Rig, mode: int) -> None:
    type_text(rig, b"x")
    rig.call(0x10, ax=0x0502)
    rig.call(0x10, ax=0x0100, cx=0x2000)
    assert rig.call(0x10, ax=mode).r.ax == 0x0030
    assert rig.bda.byte(field.VIDEO_MODE) == mode
    assert cell(rig, 0, 0) == (0x20, 0x07)
    assert cursor(rig) == (0, 0)
    assert rig.bios.frame().cursor == (0, 0)


def test_setting_the_mode_can_keep_the_screen(rig: Rig) -> None:
    type_text(rig, b"x")
    rig.call(0x10, ax=0x0083)
    assert cell(rig, 0, 0)[0] == ord("x")
    assert rig.call(0x10, ax=0x0F00).r.al == 0x83
    rig.call(0x10, ax=0x0003)
    assert rig.call(0x10, ax=0x0F00).r.al == 0x03


@pytest.mark.parametrize("mode", [0x00, 0x07, 0x12, 0x13, 0x92, 0x7F])
def test_other_modes_change_nothing(rig: Rig, mode: int) -> None:
    type_text(rig, b"x")
    assert rig.call(0x10, ax=mode).r.ax == mode
    assert rig.bda.byte(field.VIDEO_MODE) == 3
    assert cell(rig, 0, 0)[0] == ord("x")


def test_cursor_position_and_shape(rig: Rig) -> None:
    place(rig, 5, 70)
    rig.call(0x10, ax=0x0100, cx=0x0B0C)
    r = rig.call(0x10, ax=0x0300).r
    assert (r.cx, r.dx) == (0x0B0C, 0x0546)
    assert rig.bda.word(field.CURSORS) == 0x0546
    assert rig.bios.frame().cursor == (5, 70)
    rig.call(0x10, ax=0x0100, cx=0x2000)
    assert rig.bios.frame().cursor is None


def test_each_page_has_its_cursor_and_cells(rig: Rig) -> None:
    place(rig, 1, 2, page=3)
    rig.call(0x10, ax=0x0941, bx=0x031E, cx=1)
    assert cell(rig, 1, 2, page=3) == (0x41, 0x1E)
    assert cursor(rig, 3) == (1, 2)
    assert cursor(rig, 0) == (0, 0)
    assert row_text(rig, 1) == ""
    rig.call(0x10, ax=0x0503)
    assert row_text(rig, 1) == "  A"
    assert rig.bios.frame().cursor == (1, 2)
    assert rig.bda.word(field.VIDEO_PAGE_START) == 0x3000
    rig.call(0x10, ax=0x0508)  # there is none
    assert rig.call(0x10, ax=0x0F00).r.bh == 3


def test_read_what_was_written(rig: Rig) -> None:
    place(rig, 2, 78)
    rig.call(0x10, ax=0x0958, bx=0x004F, cx=4)  # two go on in the next row
    assert [cell(rig, 2, 77), cell(rig, 2, 78), cell(rig, 3, 1), cell(rig, 3, 2)] == [
        (0x20, 0x07),
        (0x58, 0x4F),
        (0x58, 0x4F),
        (0x20, 0x07),
    ]
    assert rig.call(0x10, ax=0x0800).r.ax == 0x4F58
    assert cursor(rig) == (2, 78)
    rig.call(0x10, ax=0x0A59, bx=0x00FF, cx=1)
    assert cell(rig, 2, 78) == (0x59, 0x4F)


@pytest.mark.parametrize("function", [0x09, 0x0A])
def test_a_huge_count_stays_in_the_page(rig: Rig, function: int) -> None:
    rig.call(0x10, ax=0x0200, dx=0x184F)
    rig.call(0x10, ax=function << 8 | 0x41, bx=0x0007, cx=0xFFFF)
    rig.call(0x10, ax=function << 8 | 0x41, bx=0x0007, cx=0)
    assert cell(rig, 24, 79) == (0x41, 0x07)
    assert cell(rig, 24, 78) == (0x20, 0x07)
    assert cell(rig, 0, 0, page=1) == (0x20, 0x07)
    assert rig.memory.read(Gpa(TEXT_SCREEN + 4000), 96) == bytes(96)


def test_teletype_obeys_control_characters(rig: Rig) -> None:
    type_text(rig, b"one\r\ntwo\bW\x07!")
    assert row_text(rig, 0) == "one"
    assert row_text(rig, 1) == "twW!"
    assert cursor(rig) == (1, 4)
    assert rig.teletype.data == b"one\r\ntwo\bW\x07!"
    type_text(rig, b"\r\b\b")
    assert cursor(rig) == (1, 0)


def test_teletype_wraps_and_scrolls(rig: Rig) -> None:
    type_text(rig, b"first")
    rig.call(0x10, ax=0x0200, dx=0x184F)
    rig.call(0x10, ax=0x0920, bx=0x0017, cx=1)
    type_text(rig, b"z")
    assert row_text(rig, 23) == " " * 79 + "z"
    assert cursor(rig) == (24, 0)
    assert cell(rig, 23, 79) == (ord("z"), 0x17)
    type_text(rig, b"\n" * 23)
    assert row_text(rig, 0) == " " * 79 + "z"
    type_text(rig, b"\n" * 300)
    assert rig.bios.frame().text().strip() == ""
    assert cursor(rig) == (24, 0)


def test_teletype_writes_to_the_page_shown_whatever_bh(rig: Rig) -> None:
    rig.call(0x10, ax=0x0E41, bx=0xFF07)
    assert cell(rig, 0, 0)[0] == 0x41


def test_the_teletype_s_sink_gets_utf_8_and_no_escape_sequences(rig: Rig) -> None:
    type_text(rig, b"\x1b[2J\x01\xdb\x00")
    assert rig.teletype.data.decode() == "←[2J☺█ "


@pytest.mark.parametrize(("dh", "dl"), [(25, 0), (255, 255)])
def test_a_cursor_beyond_the_screen_hides_and_is_brought_back(rig: Rig, dh: int, dl: int) -> None:
    place(rig, dh, dl)
    assert rig.bios.frame().cursor is None
    assert cursor(rig) == (dh, dl)
    type_text(rig, b"x")
    assert rig.bios.frame().cursor is not None


def test_a_cursor_beyond_a_row_is_in_the_next(rig: Rig) -> None:
    """As the controller counts; the column stays for the BIOS to tell."""
    place(rig, 0, 82)
    assert rig.bios.frame().cursor == (1, 2)
    assert cursor(rig) == (0, 82)


def test_scroll_a_window_up_and_down(rig: Rig) -> None:
    for row in range(25):
        place(rig, row, 0)
        rig.call(0x10, ax=0x0961 + row, bx=0x0007, cx=80)
    rig.call(0x10, ax=0x0602, bx=0x7000, cx=0x0201, dx=0x054E)
    assert [row_text(rig, r)[:2] for r in range(1, 7)] == ["bb", "ce", "df", "e ", "f ", "gg"]
    assert cell(rig, 4, 1) == (0x20, 0x70)
    assert cell(rig, 4, 0x4E) == (0x20, 0x70)
    assert cell(rig, 4, 79) == (ord("e"), 0x07)
    rig.call(0x10, ax=0x0701, bx=0x1000, cx=0x0201, dx=0x054E)
    assert [row_text(rig, r)[:2] for r in range(1, 7)] == ["bb", "c ", "de", "ef", "f ", "gg"]
    assert cell(rig, 2, 1) == (0x20, 0x10)


@pytest.mark.parametrize("lines", [0, 4, 25, 255])
@pytest.mark.parametrize("function", [0x06, 0x07])
def test_scrolling_all_of_a_window_blanks_it(rig: Rig, lines: int, function: int) -> None:
    rig.call(0x10, ax=0x0941, bx=0x0007, cx=2000)
    rig.call(0x10, ax=function << 8 | lines, bx=0x2000, cx=0x0100, dx=0x0409)
    assert cell(rig, 1, 0) == cell(rig, 4, 9) == (0x20, 0x20)
    assert cell(rig, 0, 0) == cell(rig, 5, 0) == cell(rig, 1, 10) == (0x41, 0x07)


@pytest.mark.parametrize(
    ("cx", "dx"), [(0x0502, 0x0400), (0x0005, 0x1804), (0xFFFF, 0xFFFF), (0x1900, 0x2000)]
)
def test_a_window_that_is_none_changes_nothing(rig: Rig, cx: int, dx: int) -> None:
    rig.call(0x10, ax=0x0941, bx=0x0007, cx=2000)
    before = rig.memory.read(Gpa(TEXT_SCREEN), 0x8000)
    rig.call(0x10, ax=0x0600, bx=0x2000, cx=cx, dx=dx)
    assert rig.memory.read(Gpa(TEXT_SCREEN), 0x8000) == before


def test_a_window_is_cut_to_the_screen(rig: Rig) -> None:
    rig.call(0x10, ax=0x0600, bx=0x2000, cx=0x1010, dx=0xFFFF)
    assert cell(rig, 24, 79) == cell(rig, 16, 16) == (0x20, 0x20)
    assert cell(rig, 0, 0, page=1) == (0x20, 0x07)


@pytest.mark.parametrize(("mode", "after"), [(0, (9, 9)), (1, (4, 1)), (2, (9, 9)), (3, (4, 1))])
def test_write_string(rig: Rig, mode: int, after: tuple[int, int]) -> None:
    string = b"ab\r\nc"
    if mode & 2:
        string = bytes(b for i, c in enumerate(string) for b in (c, 0x30 + i))
    rig.memory.write(Gpa(TEXT), string)
    place(rig, 9, 9)
    rig.call(0x10, ax=0x1300 | mode, bx=0x001F, cx=5, dx=0x0310, es=TEXT >> 4)
    first, last = (0x30, 0x34) if mode & 2 else (0x1F, 0x1F)
    assert cell(rig, 3, 16) == (ord("a"), first)
    assert cell(rig, 4, 0) == (ord("c"), last)
    assert cursor(rig) == after
    assert rig.teletype.data == b"ab\r\nc"


@pytest.mark.parametrize(
    ("es", "bp", "cx", "bh"),
    [
        (0, 0xFFFF, 2, 0),  # beyond the segment's end
        (0xFFFF, 0, 0xFFFF, 8),  # there is no page 8
        (0, 0, 0, 0),  # no characters
    ],
)
def test_strings_that_are_none(rig: Rig, es: int, bp: int, cx: int, bh: int) -> None:
    before = rig.memory.read(Gpa(TEXT_SCREEN), 0x8000)
    rig.call(0x10, ax=0x1301, bx=bh << 8, cx=cx, dx=0, es=es, bp=bp)
    assert rig.teletype.data == b""
    assert rig.memory.read(Gpa(TEXT_SCREEN), 0x8000) == before


def test_what_programs_find_out_by(rig: Rig) -> None:
    r = rig.call(0x10, ax=0x1A00, bx=0xFFFF).r
    assert (r.al, r.bx) == (0x1A, 0x0008)
    r = rig.call(0x10, ax=0x1200, bx=0xFF10).r
    assert r.bx == 0x0003
    assert rig.call(0x10, ax=0x0400).r.ah == 0
    assert rig.call(0x10, ax=0x4F00, es=0x5000).r.ax == 0x4F00  # no VESA


def test_bright_backgrounds_instead_of_blinking(rig: Rig) -> None:
    assert rig.bios.frame().blinking
    rig.call(0x10, ax=0x1003, bx=0)
    assert not rig.bios.frame().blinking
    rig.call(0x10, ax=0x1003, bx=1)
    assert rig.bios.frame().blinking
    rig.call(0x10, ax=0x1003, bx=0)
    rig.call(0x10, ax=0x0003)
    assert rig.bios.frame().blinking
