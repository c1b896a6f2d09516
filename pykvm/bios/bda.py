"""The BIOS data area at 0040:0000: its fields, their first contents, and access to it.

Those that kernels find without a BIOS, too, are in `pykvm.boot.bios_data`.

Source of the fields: IBM PC AT Technical Reference, "BIOS listing" (DATA segment); those of the
enhanced keyboard and the EGA, from 0x84 on, as Ralf Brown's MEMORY.LST names them.
"""

from __future__ import annotations

from pykvm.boot.bios_data import (
    COM_PORTS,
    EBDA_SEGMENT,
    EQUIPMENT,
    EQUIPMENT_FPU,
    EQUIPMENT_ONE_SERIAL,
    MEMORY_KIB,
    SIZE,
)
from pykvm.layout import BIOS_DATA, COM1, CRTC, EBDA, KIB
from pykvm.memory import Gpa, GuestMemory

SHIFT_FLAGS = 0x17
SHIFT_FLAGS_2 = 0x18
KEY_HEAD = 0x1A
KEY_TAIL = 0x1C
KEY_BUFFER = 0x1E
KEY_BUFFER_DEFAULT_END = 0x3E
FLOPPY_STATUS = 0x41
VIDEO_MODE = 0x49
VIDEO_COLUMNS = 0x4A
VIDEO_PAGE_SIZE = 0x4C
VIDEO_PAGE_START = 0x4E
CURSORS = 0x50
"""Of eight pages: column, row."""
CURSOR_SHAPE = 0x60
VIDEO_PAGE = 0x62
CRTC_PORT = 0x63
VIDEO_CONTROL = 0x65
TICKS = 0x6C
MIDNIGHT = 0x70
DISK_STATUS = 0x74
DISK_COUNT = 0x75
PRINTER_TIMEOUTS = 0x78
SERIAL_TIMEOUTS = 0x7C
KEY_BUFFER_START = 0x80
KEY_BUFFER_END = 0x82
VIDEO_ROWS = 0x84
"""Less one."""
CHARACTER_HEIGHT = 0x85
VIDEO_OPTIONS = 0x87
VIDEO_SWITCHES = 0x88
VIDEO_STATE = 0x89
KEYBOARD_STATE = 0x96
WAIT_ACTIVE = 0xA0

EQUIPMENT_FLOPPY = 1 << 0
EQUIPMENT_COLOR_80 = 1 << 5
EQUIPMENT_FLOPPIES_SHIFT = 6

BLINKING = 1 << 5
"""In VIDEO_CONTROL: an attribute's bit 7 blinks; else it brightens the background."""

DEFAULT_CURSOR = 0x0607
"""Scan lines 6 to 7 of 8, as programs since the CGA expect it."""

ENHANCED_KEYBOARD = 1 << 4
"""In KEYBOARD_STATE."""


class Bda:
    """Reads and writes fields of the BIOS data area, by their offset.

    The guest may have put anything there.
    """

    __slots__ = ("_memory",)

    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory

    def byte(self, field: int) -> int:
        """A byte."""
        return self._memory.read_uint(Gpa(BIOS_DATA + field), 1)

    def word(self, field: int) -> int:
        """A 16-bit word."""
        return self._memory.read_uint(Gpa(BIOS_DATA + field), 2)

    def dword(self, field: int) -> int:
        """A 32-bit word."""
        return self._memory.read_uint(Gpa(BIOS_DATA + field), 4)

    def set_byte(self, field: int, value: int) -> None:
        """Store a byte (0 to 255)."""
        self._memory.write_uint(Gpa(BIOS_DATA + field), 1, value)

    def set_word(self, field: int, value: int) -> None:
        """Store a 16-bit word."""
        self._memory.write_uint(Gpa(BIOS_DATA + field), 2, value)

    def set_dword(self, field: int, value: int) -> None:
        """Store a 32-bit word."""
        self._memory.write_uint(Gpa(BIOS_DATA + field), 4, value)


def initial_bda(*, floppies: int, hard_disks: int) -> bytes:
    """The data area as the power-on self-test leaves it.

    Args:
        floppies: how many floppy drives there are, 0 to 4.
        hard_disks: how many hard disks, 0 to 255.
    """
    equipment = EQUIPMENT_FPU | EQUIPMENT_COLOR_80 | EQUIPMENT_ONE_SERIAL
    if floppies:
        equipment |= EQUIPMENT_FLOPPY | (floppies - 1) << EQUIPMENT_FLOPPIES_SHIFT
    area = bytearray(SIZE)

    def put(field: int, value: int, size: int = 2) -> None:
        area[field : field + size] = value.to_bytes(size, "little")

    put(COM_PORTS, COM1)
    put(EBDA_SEGMENT, EBDA >> 4)
    put(EQUIPMENT, equipment)
    put(MEMORY_KIB, EBDA // KIB)
    for field in (KEY_HEAD, KEY_TAIL, KEY_BUFFER_START):
        put(field, KEY_BUFFER)
    put(KEY_BUFFER_END, KEY_BUFFER_DEFAULT_END)
    put(VIDEO_MODE, 3, 1)
    put(VIDEO_COLUMNS, 80)
    put(VIDEO_PAGE_SIZE, 0x1000)
    put(CURSOR_SHAPE, DEFAULT_CURSOR)
    put(CRTC_PORT, CRTC)
    put(VIDEO_CONTROL, 0x29, 1)
    put(DISK_COUNT, hard_disks, 1)
    put(PRINTER_TIMEOUTS, 0x1414_1414, 4)
    put(SERIAL_TIMEOUTS, 0x0101_0101, 4)
    put(VIDEO_ROWS, 24, 1)
    put(CHARACTER_HEIGHT, 16)
    put(VIDEO_OPTIONS, 0x60, 1)
    put(VIDEO_SWITCHES, 0xF9, 1)
    put(VIDEO_STATE, 0x51, 1)
    put(KEYBOARD_STATE, ENHANCED_KEYBOARD, 1)
    return bytes(area)
