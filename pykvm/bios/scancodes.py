"""IRQ 1's work: from scan codes (set 1) to keys and shift states.

Sources: IBM PC AT Technical Reference, "BIOS listing" (KB_INT); Ralf Brown's Interrupt List,
tables 00006 (keys) and MEMORY.LST 40:17, 40:18, 40:96.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.bios import bda as field
from pykvm.bios.keymap import PLAIN, SHIFTED, alt_key

if TYPE_CHECKING:
    from pykvm.bios.bda import Bda

RELEASED = 0x80
GREY, PAUSE_PREFIX = 0xE0, 0xE1

# SHIFT_FLAGS
RIGHT_SHIFT, LEFT_SHIFT, CONTROL, ALT = 1, 2, 4, 8
SCROLL_LOCK, NUM_LOCK, CAPS_LOCK, INSERT_ON = 16, 32, 64, 128
SHIFT = RIGHT_SHIFT | LEFT_SHIFT

# SHIFT_FLAGS_2
LEFT_CONTROL, LEFT_ALT = 1, 2

# KEYBOARD_STATE
LAST_WAS_PAUSE, LAST_WAS_GREY = 1, 2
RIGHT_CONTROL, RIGHT_ALT = 4, 8

_LOCKS = {0x3A: CAPS_LOCK, 0x45: NUM_LOCK, 0x46: SCROLL_LOCK, 0x52: INSERT_ON}
_SHIFTS = {0x2A: LEFT_SHIFT, 0x36: RIGHT_SHIFT}
_CONTROL, _ALT, _SCROLL, _INSERT = 0x1D, 0x38, 0x46, 0x52

_SPECIAL = {
    0x01: (0x011B, 0x011B, 0x011B, 0x0100),
    0x0E: (0x0E08, 0x0E08, 0x0E7F, 0x0E00),
    0x0F: (0x0F09, 0x0F00, 0x9400, 0xA500),
    0x1C: (0x1C0D, 0x1C0D, 0x1C0A, 0x1C00),
    0x37: (0x372A, 0x372A, 0x9600, 0x3700),
    0x39: (0x3920, 0x3920, 0x3920, 0x3920),
    0x4A: (0x4A2D, 0x4A2D, 0x8E00, 0x4A00),
    0x4E: (0x4E2B, 0x4E2B, 0x9000, 0x4E00),
    0x57: (0x8500, 0x8700, 0x8900, 0x8B00),
    0x58: (0x8600, 0x8800, 0x8A00, 0x8C00),
    **{
        0x3B + i: (0x3B00 + (i << 8), 0x5400 + (i << 8), 0x5E00 + (i << 8), 0x6800 + (i << 8))
        for i in range(10)
    },
}
"""Keys by scan code: alone, with Shift, with Ctrl, with Alt."""

_KEYPAD = {
    0x47: ("7", 0x77),
    0x48: ("8", 0x8D),
    0x49: ("9", 0x84),
    0x4B: ("4", 0x73),
    0x4C: ("5", 0x8F),
    0x4D: ("6", 0x74),
    0x4F: ("1", 0x75),
    0x50: ("2", 0x91),
    0x51: ("3", 0x76),
    0x52: ("0", 0x92),
    0x53: (".", 0x93),
}
"""The character with Num Lock, and the scan code with Ctrl."""

_CONTROL_CHARACTERS = {"2": 0x00, "6": 0x1E, "-": 0x1F, "[": 0x1B, "\\": 0x1C, "]": 0x1D}

BREAK = 0x0000
"""The key that Ctrl-Break leaves in the buffer."""


class ScanCodes:
    """Turns scan codes into keys, with the shift state in the BIOS data area.

    Args:
        bda: the BIOS data area.
    """

    def __init__(self, bda: Bda) -> None:
        self._bda = bda

    def key(self, code: int) -> int | None:
        """Take one scan code; the key that it completes, if any.  `BREAK` is Ctrl-Break."""
        state = self._bda.byte(field.KEYBOARD_STATE)
        if code in (GREY, PAUSE_PREFIX):
            prefix = LAST_WAS_GREY if code == GREY else LAST_WAS_PAUSE
            self._bda.set_byte(field.KEYBOARD_STATE, state | prefix)
            return None
        if state & LAST_WAS_PAUSE:
            # E1 1D 45 and E1 9D C5: the prefix covers both bytes
            if code & ~RELEASED != _CONTROL:
                self._bda.set_byte(field.KEYBOARD_STATE, state & ~LAST_WAS_PAUSE)
            return None
        grey = bool(state & LAST_WAS_GREY)
        self._bda.set_byte(field.KEYBOARD_STATE, state & ~LAST_WAS_GREY)
        scan, pressed = code & ~RELEASED, not code & RELEASED
        if self._shift_key(scan, grey, pressed=pressed) or not pressed:
            return None
        return self._pressed(scan, grey)

    def _shift_key(self, scan: int, grey: bool, *, pressed: bool) -> bool:
        """Keep the state of keys that are held or lock; False for all others."""
        if scan in _SHIFTS:
            # with the prefix it is what grey keys send to undo Num Lock
            if not grey:
                self._set(field.SHIFT_FLAGS, _SHIFTS[scan], pressed)
            return True
        if scan in (_CONTROL, _ALT):
            self._control_or_alt(scan, grey, pressed)
            return True
        if scan in _LOCKS and not (grey and scan == _SCROLL):
            flag = _LOCKS[scan]
            self._set(field.SHIFT_FLAGS_2, flag, pressed)
            if pressed and not self._is_digit(scan, grey):
                flags = self._bda.byte(field.SHIFT_FLAGS)
                self._bda.set_byte(field.SHIFT_FLAGS, flags ^ flag)
            return scan != _INSERT
        return False

    def _control_or_alt(self, scan: int, grey: bool, pressed: bool) -> None:
        left, right, either = (
            (LEFT_CONTROL, RIGHT_CONTROL, CONTROL)
            if scan == _CONTROL
            else (LEFT_ALT, RIGHT_ALT, ALT)
        )
        if grey:
            self._set(field.KEYBOARD_STATE, right, pressed)
        else:
            self._set(field.SHIFT_FLAGS_2, left, pressed)
        held = (
            self._bda.byte(field.SHIFT_FLAGS_2) & left
            or self._bda.byte(field.KEYBOARD_STATE) & right
        )
        self._set(field.SHIFT_FLAGS, either, bool(held))

    def _pressed(self, scan: int, grey: bool) -> int | None:
        flags = self._bda.byte(field.SHIFT_FLAGS)
        if grey and scan == _SCROLL:
            return BREAK if flags & CONTROL else None
        if scan in _KEYPAD:
            return self._keypad(scan, grey, flags)
        if grey and scan not in (0x1C, 0x35):
            return None
        column = 3 if flags & ALT else 2 if flags & CONTROL else 1 if flags & SHIFT else 0
        key = _SPECIAL[scan][column] if scan in _SPECIAL else _character(scan, column, flags)
        # the keypad's Enter and slash have E0 for a scan code
        return 0xE000 | key & 0xFF if grey and key is not None and key & 0xFF else key

    def _is_digit(self, scan: int, grey: bool) -> bool:
        """Whether a key of the keypad types a digit now."""
        flags = self._bda.byte(field.SHIFT_FLAGS)
        return scan in _KEYPAD and not grey and bool(flags & NUM_LOCK) != bool(flags & SHIFT)

    def _keypad(self, scan: int, grey: bool, flags: int) -> int | None:
        digit, with_control = _KEYPAD[scan]
        if flags & ALT:
            return scan + 0x50 << 8 if grey else None
        if flags & CONTROL:
            return with_control << 8 | (0xE0 if grey else 0)
        if self._is_digit(scan, grey):
            return scan << 8 | ord(digit)
        return scan << 8 | (0xE0 if grey else 0)

    def _set(self, place: int, flag: int, on: bool) -> None:
        value = self._bda.byte(place)
        self._bda.set_byte(place, value | flag if on else value & ~flag)


def _character(scan: int, column: int, flags: int) -> int | None:
    """A key that types a character."""
    plain = PLAIN.get(scan)
    if plain is None:
        return None
    if column == 3:
        return alt_key(scan)
    if column == 2:
        if plain.isalpha():
            return scan << 8 | ord(plain) & 0x1F
        control = _CONTROL_CHARACTERS.get(plain)
        return None if control is None else scan << 8 | control
    shifted = (column == 1) != (plain.isalpha() and bool(flags & CAPS_LOCK))
    return scan << 8 | ord(SHIFTED[scan] if shifted else plain)
