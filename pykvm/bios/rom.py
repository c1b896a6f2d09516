"""The BIOS's ROM: stubs and tables at the addresses that programs know, and the vectors to them.

The entry points are those of the IBM PC AT BIOS that later BIOSes kept, since programs jump to
some of them without asking the vector table (IBM PC AT Technical Reference, "BIOS listing").
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from pykvm.bios import stubs
from pykvm.bios.geometry import Geometry
from pykvm.layout import BIOS_AREA_END, BIOS_ROM

SEGMENT = 0xF000
POWER_ON = 0xE05B
NMI = 0xE2C3
HARD_DISK_TABLES = 0xE401
NO_SYSTEM = 0xE480
BOOTSTRAP = 0xE4A0
SYSTEM_TABLE = 0xE6F5
END_OF_INTERRUPT = 0xE600
SECOND_END_OF_INTERRUPT = 0xE610
CLOCK = 0xE620
FLOPPY_TABLE = 0xEFC7
VIDEO_TABLE = 0xF0A4
UNUSED = 0xFF53
RESET = 0xFFF0
DATE = 0xFFF5
MODEL = 0xFFFE

SERVICES = {
    0x08: 0xFEA5,
    0x09: 0xE987,
    0x10: 0xF065,
    0x11: 0xF84D,
    0x12: 0xF841,
    0x13: 0xE3FE,
    0x14: 0xE739,
    0x15: 0xF859,
    0x16: 0xE82E,
    0x17: 0xEFD2,
    0x18: NO_SYSTEM,
    0x19: 0xE6F2,
    0x1A: 0xFE6E,
}
"""Vectors and the offsets of their stubs."""

FLOPPY_SERVICE = 0xEC59
FIRST_IRQS = range(0x0A, 0x10)
SECOND_IRQS = range(0x71, 0x78)
NOT_IN_USE = range(0x60, 0x68)
"""Left to programs, which take a vector of 0 for free."""

MODEL_AT = 0xFC
SYSTEM_FEATURES = 0x74
"""A second interrupt controller, a real-time clock, INT 15h AH=4Fh, an extended data area."""

_CRTC = (
    "38 28 2d 0a 1f 06 19 1c 02 07 06 07 00 00 00 00"
    "71 50 5a 0a 1f 06 19 1c 02 07 06 07 00 00 00 00"
    "38 28 2d 0a 7f 06 64 70 02 01 06 07 00 00 00 00"
    "61 50 52 0f 19 06 19 19 02 0d 0b 0c 00 00 00 00"
)
"""What the 6845 takes for 40 and 80 columns, graphics and the monochrome adapter."""

_FLOPPY_TABLE = "df 02 25 02 12 1b ff 6c f6 0f 08"
"""Step rate and timing for a 1.44 MB drive; its fifth byte is the sectors a track."""


class Entry(NamedTuple):
    """Bytes of the ROM and where they are in its segment."""

    offset: int
    data: bytes


def build_rom(
    *, interrupts: bool, hard_disks: tuple[Geometry, ...] = (), floppy: Geometry | None = None
) -> bytes:
    """The last 8 KiB below 1 MiB.

    Args:
        interrupts: the machine has interrupt controllers and a timer.
        hard_disks: their geometries, for the tables of the first two.
        floppy: of the first floppy drive.
    """
    base = BIOS_ROM - (SEGMENT << 4)
    rom = bytearray(BIOS_AREA_END - BIOS_ROM)
    end = base
    for entry in sorted(_entries(interrupts, hard_disks, floppy)):
        assert end <= entry.offset, f"something reaches beyond {entry.offset:#x}"
        end = entry.offset + len(entry.data)
        rom[entry.offset - base : end - base] = entry.data
    return bytes(rom)


def _entries(
    interrupts: bool, hard_disks: tuple[Geometry, ...], floppy: Geometry | None
) -> list[Entry]:
    special = {
        0x08: stubs.timer(),
        0x09: stubs.keyboard(),
        0x18: stubs.no_system(),
        0x19: _jump(SERVICES[0x19], BOOTSTRAP),
    }
    entries = [
        Entry(POWER_ON, stubs.power_on(interrupts=interrupts)),
        Entry(NMI, stubs.IRET),
        Entry(BOOTSTRAP, stubs.bootstrap()),
        Entry(END_OF_INTERRUPT, stubs.end_of_interrupt()),
        Entry(SECOND_END_OF_INTERRUPT, stubs.second_end_of_interrupt()),
        Entry(CLOCK, stubs.clock()),
        Entry(SYSTEM_TABLE, struct.pack("<HBBBBI", 8, MODEL_AT, 1, 0, SYSTEM_FEATURES, 0)),
        Entry(FLOPPY_SERVICE, stubs.service(0x13)),
        Entry(FLOPPY_TABLE, _floppy_table(floppy)),
        Entry(VIDEO_TABLE, bytes.fromhex(_CRTC)),
        Entry(UNUSED, stubs.IRET),
        Entry(RESET, stubs.reset_vector(SEGMENT, POWER_ON)),
        Entry(DATE, b"01/01/26"),
        Entry(MODEL, bytes((MODEL_AT,))),
    ]
    for number, geometry in enumerate(hard_disks[:2]):
        entries.append(Entry(HARD_DISK_TABLES + 16 * number, hard_disk_table(geometry)))
    for vector, offset in SERVICES.items():
        if vector in special:
            data = special[vector]
        elif vector in stubs.MAY_WAIT:
            data = stubs.waiting_service(vector, halt=interrupts)
        else:
            data = stubs.service(vector)
        entries.append(Entry(offset, data))
    return entries


def hard_disk_table(geometry: Geometry) -> bytes:
    """The fixed disk parameter table, to which INT 41h and 46h point."""
    control = 0x08 if geometry.heads > 8 else 0
    return struct.pack(
        "<HBHHBB3xHBx",
        geometry.cylinders,
        min(geometry.heads, 255),
        0,
        0,
        0,
        control,
        geometry.cylinders,
        geometry.sectors,
    )


def _floppy_table(floppy: Geometry | None) -> bytes:
    table = bytearray.fromhex(_FLOPPY_TABLE)
    if floppy is not None:
        table[4] = floppy.sectors
    return bytes(table)


def _jump(source: int, target: int) -> bytes:
    """A near jump from one offset to another."""
    return b"\xe9" + struct.pack("<h", target - source - 3)


def build_vectors(*, hard_disks: int = 0) -> bytes:
    """The interrupt vector table, 1 KiB for address 0."""
    offsets: dict[int, int] = dict.fromkeys(range(256), UNUSED)
    offsets.update(dict.fromkeys(FIRST_IRQS, END_OF_INTERRUPT))
    offsets.update(dict.fromkeys(SECOND_IRQS, SECOND_END_OF_INTERRUPT))
    offsets.update(SERVICES)
    offsets.update(
        {
            0x02: NMI,
            0x1D: VIDEO_TABLE,
            0x1E: FLOPPY_TABLE,
            0x40: FLOPPY_SERVICE,
            0x42: SERVICES[0x10],
            0x70: CLOCK,
        }
    )
    if hard_disks > 0:
        offsets[0x41] = HARD_DISK_TABLES
    if hard_disks > 1:
        offsets[0x46] = HARD_DISK_TABLES + 16
    return b"".join(_vector(offsets, number) for number in range(256))


def _vector(offsets: Mapping[int, int], number: int) -> bytes:
    if number in NOT_IN_USE or number in (0x1F, 0x43):  # fonts, of which there are none
        return bytes(4)
    return struct.pack("<HH", offsets[number], SEGMENT)
