"""The text screen as the CRT controller shows it, and what the video services tell that."""

from __future__ import annotations

import pytest

from pykvm.layout import TEXT_SCREEN
from pykvm.memory import Gpa
from tests.unit.bios.rig import Rig
from tests.unit.bios.test_video import TEXT, place, row_text, type_text


@pytest.fixture(autouse=True)
def _attached(rig: Rig) -> None:
    rig.ports.attach(0x3D4, 2, rig.bios.crtc)


def out(rig: Rig, index: int, value: int) -> None:
    """Write a register of the CRT controller as a guest does."""
    rig.ports.write(0x3D4, 2, value << 8 | index)


def registers(rig: Rig, *indices: int) -> list[int]:
    values = []
    for index in indices:
        rig.ports.write(0x3D4, 1, index)
        values.append(rig.ports.read(0x3D5, 1))
    return values


def test_a_guest_moves_the_cursor(rig: Rig) -> None:
    out(rig, 0x0E, (12 * 80 + 34) >> 8)
    out(rig, 0x0F, (12 * 80 + 34) & 0xFF)
    assert rig.bios.frame().cursor == (12, 34)
    out(rig, 0x0E, 0x07)
    out(rig, 0x0F, 0xD0)  # one behind the last
    assert rig.bios.frame().cursor is None


def test_a_guest_hides_and_shows_the_cursor(rig: Rig) -> None:
    out(rig, 0x0A, 0x2D)
    assert rig.bios.frame().cursor is None
    out(rig, 0x0A, 0x00)
    assert rig.bios.frame().cursor == (0, 0)


def test_a_guest_scrolls_by_the_start(rig: Rig) -> None:
    place(rig, 2, 3)
    rig.call(0x10, ax=0x0941, bx=0x001E, cx=1)
    out(rig, 0x0D, 2 * 80)
    assert row_text(rig, 0) == "   A"
    assert rig.bios.frame().cursor == (0, 3)
    out(rig, 0x0D, 3 * 80)
    assert rig.bios.frame().cursor is None


@pytest.mark.parametrize("start", [0x3FF0, 0xFFF0])
def test_the_memory_s_first_cell_follows_its_last(rig: Rig, start: int) -> None:
    rig.memory.write(Gpa(TEXT_SCREEN + 0x7FFE), b"Z\x07")
    rig.memory.write(Gpa(TEXT_SCREEN), b"A\x07")
    out(rig, 0x0C, start >> 8)
    out(rig, 0x0D, start & 0xFF)
    assert row_text(rig, 0)[15:17] == "ZA"
    assert rig.bios.frame().cursor == (0, 16)
    assert len(rig.bios.frame().cells) == 4000


def test_the_services_tell_the_controller(rig: Rig) -> None:
    place(rig, 1, 2, page=3)
    assert registers(rig, 0x0C, 0x0D, 0x0E, 0x0F) == [0, 0, 0, 0]
    rig.call(0x10, ax=0x0503)
    assert registers(rig, 0x0C, 0x0D, 0x0E, 0x0F) == [0x18, 0, 0x18, 82]
    type_text(rig, b"x")
    assert registers(rig, 0x0F) == [83]
    rig.call(0x10, ax=0x0003)
    assert registers(rig, 0x0C, 0x0D, 0x0E, 0x0F) == [0, 0, 0, 0]


def test_write_string_leaves_the_cursor_where_it_was(rig: Rig) -> None:
    rig.memory.write(Gpa(TEXT), b"ab")
    place(rig, 1, 0)
    rig.call(0x10, ax=0x1300, bx=0x0007, cx=2, dx=0x0310, es=TEXT >> 4)
    assert rig.bios.frame().cursor == (1, 0)


@pytest.mark.parametrize(
    ("cx", "start", "end"),
    [
        (0x0607, 0x0D, 0x0E),
        (0x0007, 0x01, 0x0E),
        (0x0707, 0x0F, 0x0F),
        (0x2607, 0x2D, 0x0E),
        (0x0D0E, 0x0D, 0x0E),
        (0x0706, 0x07, 0x06),
    ],
)
def test_a_shape_for_a_cga_s_cells_is_stretched(rig: Rig, cx: int, start: int, end: int) -> None:
    rig.call(0x10, ax=0x0100, cx=cx)
    assert registers(rig, 0x0A, 0x0B) == [start, end]
    assert rig.call(0x10, ax=0x0300).r.cx == cx
