"""Scan codes of set 1: keys and shift states."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm.bios import bda as field
from pykvm.bios.bda import Bda
from pykvm.bios.scancodes import BREAK, ScanCodes
from pykvm.memory import GuestMemory


class Keys:
    """The translation with a data area of its own."""

    def __init__(self, memory: GuestMemory) -> None:
        self.bda = Bda(memory)
        self.codes = ScanCodes(self.bda)

    def send(self, hexadecimal: str) -> list[int]:
        """The keys that scan codes make."""
        keys = [self.codes.key(code) for code in bytes.fromhex(hexadecimal)]
        return [key for key in keys if key is not None]


@pytest.fixture
def keys() -> Iterator[Keys]:
    with GuestMemory(4096) as memory:
        yield Keys(memory)


SHIFT, CTRL, ALT = "2a", "1d", "38"


@pytest.mark.parametrize(
    ("held", "code", "key"),
    [
        ("", "1e", 0x1E61),
        (SHIFT, "1e", 0x1E41),
        ("36", "02", 0x0221),
        (CTRL, "1e", 0x1E01),
        (ALT, "1e", 0x1E00),
        ("e0 38", "10", 0x1000),
        (CTRL, "03", 0x0300),
        (CTRL, "07", 0x071E),
        (CTRL, "0c", 0x0C1F),
        (CTRL, "1a", 0x1A1B),
        (ALT, "02", 0x7800),
        (ALT, "0d", 0x8300),
        ("", "1c", 0x1C0D),
        (CTRL, "1c", 0x1C0A),
        ("", "e0 1c", 0xE00D),
        (CTRL, "e0 1c", 0xE00A),
        ("", "e0 35", 0xE02F),
        ("", "0e", 0x0E08),
        (CTRL, "0e", 0x0E7F),
        (SHIFT, "0f", 0x0F00),
        ("", "01", 0x011B),
        ("", "3b", 0x3B00),
        (SHIFT, "44", 0x5D00),
        (CTRL, "3b", 0x5E00),
        (ALT, "44", 0x7100),
        ("", "57", 0x8500),
        (ALT, "58", 0x8C00),
        ("", "48", 0x4800),
        (SHIFT, "48", 0x4838),
        ("", "e0 48", 0x48E0),
        (SHIFT, "e0 48", 0x48E0),
        (CTRL, "e0 4b", 0x73E0),
        (CTRL, "47", 0x7700),
        (ALT, "e0 48", 0x9800),
        ("", "4a", 0x4A2D),
        ("", "39", 0x3920),
    ],
)
def test_keys(keys: Keys, held: str, code: str, key: int) -> None:
    assert keys.send(held) == []
    assert keys.send(code) == [key]


@pytest.mark.parametrize(
    "codes",
    [
        "9e",  # a key is released
        "2a aa 1d 9d 38 b8 36 b6",
        "e0 2a e0 aa e0 b6",  # what grey keys send around themselves
        "e0 37",  # Print Screen
        "45 c5 46 c6 3a ba 3a ba",  # locks
        "e1 1d 45 e1 9d c5",  # Pause
        "1d 33",  # Ctrl-comma
        "54 59 7f",  # nothing has these
        "38 47",  # Alt and the keypad: a character by its number, which is not done
    ],
)
def test_what_makes_no_key(keys: Keys, codes: str) -> None:
    assert keys.send(codes) == []
    assert keys.send("9d b8 1e") == [0x1E61]


def test_caps_lock_is_for_letters(keys: Keys) -> None:
    assert keys.send("3a ba 1e 02") == [0x1E41, 0x0231]
    assert keys.send("2a 1e aa") == [0x1E61]
    assert keys.send("3a ba 1e") == [0x1E61]


def test_num_lock_is_for_the_keypad(keys: Keys) -> None:
    assert keys.send("45 c5 48 e0 48 52 53") == [0x4838, 0x48E0, 0x5230, 0x532E]
    assert keys.send("2a 48 aa") == [0x4800]


def test_shift_states(keys: Keys) -> None:
    def flags() -> tuple[int, int, int]:
        places = (field.SHIFT_FLAGS, field.SHIFT_FLAGS_2, field.KEYBOARD_STATE)
        first, second, third = (keys.bda.byte(place) for place in places)
        return first, second, third

    keys.send("36 2a")
    assert flags() == (0x03, 0, 0)
    keys.send("b6 aa 1d e0 1d")
    assert flags() == (0x04, 1, 4)
    keys.send("9d")
    assert flags() == (0x04, 0, 4)
    keys.send("e0 9d 38 e0 38 b8")
    assert flags() == (0x08, 0, 8)
    keys.send("e0 b8 3a 45 46")
    assert flags() == (0x70, 0x70, 0)
    keys.send("ba c5 c6 e0 52")
    assert flags() == (0xF0, 0x80, 0)
    keys.send("3a 45 46 e0 d2 e0 52")
    assert flags()[0] == 0x00


def test_ctrl_break(keys: Keys) -> None:
    assert keys.send("e0 46 e0 c6") == []
    assert keys.send("1d e0 46") == [BREAK]


@settings(max_examples=100)
@given(codes=st.binary(max_size=60), state=st.binary(min_size=256, max_size=256))
def test_any_codes_in_any_state_make_keys_or_none(codes: bytes, state: bytes) -> None:
    with GuestMemory(4096) as memory:
        for place, value in enumerate(state):
            Bda(memory).set_byte(place, value)
        for key in Keys(memory).send(codes.hex()):
            assert 0 <= key <= 0xFFFF
