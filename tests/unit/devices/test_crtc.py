"""The CRT controller in text mode against its description."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pykvm.bus import PORT_SPACE, Bus
from pykvm.devices import Crtc
from pykvm.devices.crtc import TEXT_80_BY_25

FRAME = 449 * 900 / 28_322_000 * 1e9


class Rig:
    """A controller at its ports."""

    def __init__(self) -> None:
        self.now = 0
        self.crtc = Crtc(clock=lambda: self.now)
        self.ports = Bus("port", PORT_SPACE, strict=True)
        self.ports.attach(0x3D4, 2, self.crtc)
        self.ports.attach(0x3DA, 1, self.crtc.status)

    def put(self, index: int, value: int) -> None:
        self.ports.write(0x3D4, 1, index)
        self.ports.write(0x3D5, 1, value)

    def get(self, index: int) -> int:
        self.ports.write(0x3D4, 1, index)
        return self.ports.read(0x3D5, 1)

    def status_at(self, now: float) -> int:
        self.now = round(now)
        return self.ports.read(0x3DA, 1)


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_it_begins_in_mode_3(rig: Rig) -> None:
    assert bytes(rig.get(i) for i in range(25)) == TEXT_80_BY_25
    assert (rig.crtc.start, rig.crtc.cursor) == (0, 0)
    assert rig.crtc.cursor_lines == range(13, 15)


def test_the_index_is_read_back_in_five_bits(rig: Rig) -> None:
    rig.ports.write(0x3D4, 1, 0xEE)
    assert rig.ports.read(0x3D4, 1) == 0x0E


def test_one_word_writes_index_and_data(rig: Rig) -> None:
    rig.ports.write(0x3D4, 2, 0x120E)
    rig.ports.write(0x3D4, 2, 0x340F)
    assert rig.crtc.cursor == 0x1234
    assert rig.ports.read(0x3D4, 2) == 0x340F


def test_start_and_cursor_are_pairs_high_byte_first(rig: Rig) -> None:
    for index, value in ((0x0C, 0x08), (0x0D, 0x50), (0x0E, 0x0A), (0x0F, 0x01)):
        rig.put(index, value)
    assert (rig.crtc.start, rig.crtc.cursor) == (0x0850, 0x0A01)
    rig.crtc.start, rig.crtc.cursor = 0xFEDC, 0xBA98
    assert [rig.get(i) for i in range(0x0C, 0x10)] == [0xFE, 0xDC, 0xBA, 0x98]


@pytest.mark.parametrize(
    ("start", "end", "lines"),
    [
        (0x00, 0x0F, range(16)),
        (0x0F, 0x0F, range(15, 16)),
        (0x0E, 0x0D, range(0)),  # ends before it starts
        (0x20, 0x0F, range(0)),  # off
        (0x0D, 0x6E, range(13, 15)),  # the skew is none of the lines'
    ],
)
def test_the_cursor_s_lines(rig: Rig, start: int, end: int, lines: range) -> None:
    rig.put(0x0A, start)
    rig.put(0x0B, end)
    assert list(rig.crtc.cursor_lines) == list(lines)


def test_bits_that_are_none_read_0(rig: Rig) -> None:
    rig.put(0x11, 0)
    read = []
    for index in range(32):
        rig.put(index, 0xFF)
        read.append(rig.get(index))
        rig.put(0x11, 0)
    assert {i: v for i, v in enumerate(read) if v != 0xFF} == {
        **{0x08: 0x7F, 0x0A: 0x3F, 0x0B: 0x7F, 0x14: 0x7F, 0x17: 0xEF},
        **dict.fromkeys(range(25, 32), 0),
    }


def test_the_timing_is_protected_but_for_the_line_compare(rig: Rig) -> None:
    for index in range(8):
        rig.put(index, 0xE0)
    assert bytes(rig.get(i) for i in range(7)) == TEXT_80_BY_25[:7]
    assert rig.get(7) == 0x0F
    rig.put(7, 0x10)
    assert rig.get(7) == 0x1F
    rig.put(0x11, 0x0E)
    rig.put(0, 0x2D)
    assert rig.get(0) == 0x2D


def test_reset_takes_all_back_but_the_index(rig: Rig) -> None:
    rig.put(0x11, 0)
    rig.put(0x0E, 0x55)
    rig.crtc.reset()
    assert rig.ports.read(0x3D4, 1) == 0x0E
    assert bytes(rig.get(i) for i in range(25)) == TEXT_80_BY_25


def test_the_display_is_shown_blanked_and_retraced(rig: Rig) -> None:
    line = FRAME / 449
    for frame in (0, 1, 71):
        begin = frame * FRAME
        assert rig.status_at(begin + 10 * line + 0.4 * line) == 0
        assert rig.status_at(begin + 10 * line + 0.9 * line) == 1
        assert rig.status_at(begin + 399.4 * line) == 0
        assert rig.status_at(begin + 400.4 * line) == 9
        assert rig.status_at(begin + 448.9 * line) == 9


def test_a_second_has_70_retraces(rig: Rig) -> None:
    seen = [rig.status_at(tenths * 1e5) & 8 for tenths in range(10_000)]
    assert sum(now > before for before, now in pairwise(seen)) == 70


def test_the_feature_control_register_has_no_effect(rig: Rig) -> None:
    rig.ports.write(0x3DA, 1, 0xFF)
    assert rig.status_at(0) == 0
