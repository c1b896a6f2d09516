"""INT 16h, and keys that the host types."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pykvm.bios import bda as field
from pykvm.bios.keyboard import TYPED_AHEAD
from pykvm.bios.keymap import keys_from
from pykvm.memory import Gpa
from tests.unit.bios.rig import Rig


def read_all(rig: Rig, function: int = 0x10) -> list[int]:
    keys: list[int] = []
    while not (result := rig.call(0x16, ax=function << 8)).signal:
        keys.append(result.r.ax)
    return keys


def press(rig: Rig, text: bytes) -> None:
    """Type, and have a tick come."""
    rig.bios.keyboard.type(text)
    rig.bios.keyboard.refill()


@pytest.mark.parametrize("function", [0x00, 0x10])
def test_reading_waits_for_a_key(rig: Rig, function: int) -> None:
    for _ in range(3):
        result = rig.call(0x16, ax=function << 8 | 0x55)
        assert (result.signal, result.waits, result.r.ax) == (True, True, function << 8 | 0x55)
    press(rig, b"a")
    result = rig.call(0x16, ax=function << 8 | 0x55)
    assert (result.signal, result.waits, result.r.ax) == (False, False, 0x1E61)
    assert rig.call(0x16, ax=function << 8).signal


@pytest.mark.parametrize("function", [0x01, 0x11])
def test_looking_leaves_the_key_there(rig: Rig, function: int) -> None:
    result = rig.call(0x16, ax=function << 8 | 0x55)
    assert (result.zero, result.signal, result.r.ax) == (True, False, function << 8 | 0x55)
    press(rig, b"ab")
    for _ in range(2):
        result = rig.call(0x16, ax=function << 8, flags=0x43)
        assert (result.zero, result.carry, result.r.ax) == (False, True, 0x1E61)
    assert read_all(rig) == [0x1E61, 0x3062]


def test_typed_ahead_keys_wait_on_the_host(rig: Rig) -> None:
    text = bytes(b"abcdefghij"[i % 10] for i in range(100))
    assert rig.bios.keyboard.type(text) == 0
    rig.bios.keyboard.refill()
    assert rig.bios.keyboard.room == TYPED_AHEAD - 85
    assert bytes(key & 0xFF for key in read_all(rig)) == text
    assert rig.bios.keyboard.room == TYPED_AHEAD
    assert rig.bios.keyboard.type(b"x" * (TYPED_AHEAD + 20)) == 20
    rig.bios.keyboard.refill()
    # what went into the guest's buffer makes room again
    assert rig.bios.keyboard.type(b"y" * 20) == 5


def test_a_guest_that_takes_keys_itself_gets_the_next_ones_at_a_poll(rig: Rig) -> None:
    press(rig, b"abcdefghijklmnopqr")
    head, tail = rig.bda.word(field.KEY_HEAD), rig.bda.word(field.KEY_TAIL)
    assert (head, tail) == (0x1E, 0x3C)
    assert rig.bda.word(0x1E) == 0x1E61
    rig.bda.set_word(field.KEY_HEAD, tail)
    rig.bios.poll()
    assert rig.bda.word(tail) == 0x1970  # p
    assert len(read_all(rig)) == 3


def test_the_guest_puts_keys_back(rig: Rig) -> None:
    for n in range(15):
        assert rig.call(0x16, ax=0x0500, cx=0x1234 + n).r.al == 0
    assert rig.call(0x16, ax=0x0500, cx=0x1234).r.al == 1
    assert read_all(rig) == [0x1234 + n for n in range(15)]


def test_the_buffer_s_place_can_be_changed(rig: Rig) -> None:
    for place, value in (
        (field.KEY_BUFFER_START, 0x200),
        (field.KEY_BUFFER_END, 0x300),
        (field.KEY_HEAD, 0x2FE),
        (field.KEY_TAIL, 0x2FE),
    ):
        rig.bda.set_word(place, value)
    press(rig, b"a" * 127 + b"z")
    assert rig.bda.word(0x2FE) == rig.bda.word(0x200) == 0x1E61
    assert len(read_all(rig)) == 128


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (field.KEY_HEAD, 0x1F),
        (field.KEY_HEAD, 0x3E),
        (field.KEY_TAIL, 0x0000),
        (field.KEY_TAIL, 0xFFFE),
        (field.KEY_BUFFER_START, 0x40),
        (field.KEY_BUFFER_START, 0x00),
        (field.KEY_BUFFER_END, 0x1E),
        (field.KEY_BUFFER_END, 0x3D),
    ],
)
def test_pointers_without_sense_empty_the_buffer(rig: Rig, place: int, value: int) -> None:
    press(rig, b"a")
    rig.bda.set_word(place, value)
    press(rig, b"b")
    assert read_all(rig) == [0x3062]
    assert rig.bda.word(field.KEY_BUFFER_START) == 0x1E
    assert rig.bda.word(field.KEY_BUFFER_END) == 0x3E


@pytest.mark.parametrize(
    ("stored", "old", "new"),
    [
        (0x48E0, 0x4800, 0x48E0),  # grey cursor up
        (0x4800, 0x4800, 0x4800),
        (0xE00D, 0x1C0D, 0xE00D),  # the keypad's Enter
        (0xE02F, 0x352F, 0xE02F),  # and its slash
        (0x8500, None, 0x8500),  # F11
        (0x8D00, None, 0x8D00),  # Ctrl-Up
        (0x8400, 0x8400, 0x8400),  # Ctrl-PgUp
        (0x00E0, 0x00E0, 0x00E0),  # a character typed by its number
        (0x1E61, 0x1E61, 0x1E61),
    ],
)
def test_the_old_services_know_the_old_keys(
    rig: Rig, stored: int, old: int | None, new: int
) -> None:
    rig.call(0x16, ax=0x0500, cx=stored)
    assert rig.call(0x16, ax=0x1100).r.ax == new
    result = rig.call(0x16, ax=0x0100)
    if old is None:
        assert (result.zero, read_all(rig)) == (True, [])
    else:
        assert (result.zero, result.r.ax) == (False, old)
        assert read_all(rig, 0x00) == [old]


def test_shift_flags(rig: Rig) -> None:
    rig.bda.set_byte(field.SHIFT_FLAGS, 0xA5)
    rig.bda.set_byte(field.SHIFT_FLAGS_2, 0x77)
    rig.bda.set_byte(field.KEYBOARD_STATE, 0x18)
    assert rig.call(0x16, ax=0x0200).r.ax == 0x02A5
    assert rig.call(0x16, ax=0x1200).r.ax == 0xFBA5


@pytest.mark.parametrize("ax", [0x0300, 0x0305, 0x0900, 0x2055, 0xFFFF])
def test_what_is_not_there_changes_nothing(rig: Rig, ax: int) -> None:
    result = rig.call(0x16, ax=ax, flags=0x43)
    assert (result.r.ax, result.carry, result.zero, result.signal) == (ax, True, True, False)


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (b"aZ1! ", [0x1E61, 0x2C5A, 0x0231, 0x0221, 0x3920]),
        (b"~`_-\\|?", [0x297E, 0x2960, 0x0C5F, 0x0C2D, 0x2B5C, 0x2B7C, 0x353F]),
        (b"\r\n\t", [0x1C0D, 0x1C0D, 0x0F09]),
        (b"\x7f\x08", [0x0E08, 0x0E08]),
        (b"\x01\x03\x1a", [0x1E01, 0x2E03, 0x2C1A]),
        (b"\x00\x1c\x1d\x1e\x1f", [0x0300, 0x2B1C, 0x1B1D, 0x071E, 0x0C1F]),
        (b"\x1b", [0x011B]),
        (b"\x1b\x1b", [0x011B, 0x011B]),
        (b"\x1b[A\x1b[B\x1b[C\x1b[D", [0x48E0, 0x50E0, 0x4DE0, 0x4BE0]),
        (b"\x1bOA\x1bOH", [0x48E0, 0x47E0]),
        (b"\x1b[2~\x1b[3~\x1b[5~\x1b[6~", [0x52E0, 0x53E0, 0x49E0, 0x51E0]),
        (b"\x1bOP\x1bOS\x1b[15~\x1b[17~\x1b[21~", [0x3B00, 0x3E00, 0x3F00, 0x4000, 0x4400]),
        (b"\x1b[23~\x1b[24~", [0x8500, 0x8600]),
        (b"\x1bx\x1b1\x1bQ", [0x2D00, 0x7800, 0x1000]),
        (b"\x1b[A1", [0x48E0, 0x0231]),
        (b"\x1b[9", [0x011B, 0x1A5B, 0x0A39]),  # not a sequence: as if typed
        ("é☺".encode(), [0x0082, 0x0001]),
        ("€a".encode(), [0x1E61]),
        (b"\xff\xc3a", [0x1E61]),
    ],
)
def test_keys_from_a_terminal(sent: bytes, keys: list[int]) -> None:
    assert keys_from(sent) == keys


def test_every_character_of_ascii_is_a_key() -> None:
    for byte in range(0x80):
        (key,) = keys_from(bytes((byte,)))
        assert key >> 8
        if byte not in (0x0A, 0x7F):
            assert key & 0xFF == byte


def test_scan_codes_reach_the_buffer_from_irq_1(rig: Rig) -> None:
    for code in (0x2A, 0x1E, 0x9E, 0xAA, 0x1E):
        assert not rig.call(0x09, ax=code).signal
    assert read_all(rig) == [0x1E41, 0x1E61]


def test_ctrl_break_is_signalled_and_empties_the_buffer(rig: Rig) -> None:
    press(rig, b"abc")
    rig.call(0x09, ax=0x1D)
    assert not rig.call(0x09, ax=0xE0).signal
    result = rig.call(0x09, ax=0x46)
    assert (result.signal, result.waits) == (True, False)
    assert rig.memory.read(Gpa(0x471), 1) == b"\x80"
    assert read_all(rig) == [0x0000]


def test_it_tells_when_all_that_was_typed_is_in_the_guests_buffer(rig: Rig) -> None:
    told: list[int] = []
    keyboard = rig.bios.keyboard
    keyboard.on_room = lambda: told.append(keyboard.room)
    keyboard.type(b"abc")
    keyboard.refill()
    assert told == [TYPED_AHEAD]
    keyboard.type(b"x" * 20)
    keyboard.refill()
    read_all(rig)
    keyboard.refill()
    assert told == [TYPED_AHEAD] * 2


def test_what_was_not_read_goes_to_another_guest(make_rig: Callable[..., Rig]) -> None:
    """The keys in the guest's buffer, then those that wait on the host."""
    old, new = make_rig(), make_rig()
    old.bios.keyboard.type(b"ab")
    old.bios.keyboard.refill()
    old.bios.keyboard.type(b"cd")
    new.bios.keyboard.give(old.bios.keyboard.take(from_guest=True))
    assert old.bios.keyboard.take(from_guest=True) == []
    assert bytes(new.call(0x16, ax=0).r.al for _ in range(4)) == b"abcd"


def test_a_guest_s_own_buffer_may_be_left_alone(rig: Rig) -> None:
    rig.bios.keyboard.type(b"a")
    rig.bios.keyboard.refill()
    rig.bios.keyboard.type(b"b")
    assert [key & 0xFF for key in rig.bios.keyboard.take(from_guest=False)] == [ord("b")]
    assert rig.call(0x16, ax=0).r.al == ord("a")


def test_no_more_is_taken_than_another_keyboard_has_room_for(rig: Rig) -> None:
    """A guest whose buffer is as large as its segment."""
    for pointer, value in ((0x80, 0x1E), (0x82, 0xFFFE), (0x1A, 0x1E), (0x1C, 0xFFFC)):
        rig.bda.set_word(pointer, value)
    rig.bios.keyboard.type(b"a")
    assert len(rig.bios.keyboard.take(from_guest=True)) == 4096
