"""The BIOS data area: what kernels of PCs read there without asking whether there is a BIOS.

Multiboot Specification 0.6.96, 3.2: a boot loader leaves the machine as its BIOS initialised it.
Xen, for one, takes the end of its low memory from here, and Linux looks for ACPI where this says.

Source of the offsets: Ralf Brown's Interrupt List, MEMORY.LST, segment 40h.
"""

from __future__ import annotations

import struct

from pykvm.boot.room import Room
from pykvm.boot.state import Piece
from pykvm.layout import BIOS_DATA, COM1, EBDA, KIB

SIZE = 0x100
COM_PORTS = 0x00
"""Four words: I/O addresses."""
EBDA_SEGMENT = 0x0E
EQUIPMENT = 0x10
MEMORY_KIB = 0x13

EQUIPMENT_FPU = 1 << 1
EQUIPMENT_ONE_SERIAL = 1 << 9


def put_bios_data(room: Room, ram: int) -> None:
    """Put it where PCs have it, unless that is taken.

    Args:
        room: where there is room.
        ram: bytes of RAM.
    """
    if not room.is_free(BIOS_DATA, BIOS_DATA + SIZE):
        return
    base = min(ram, EBDA)
    area = bytearray(SIZE)
    for offset, value in (
        (COM_PORTS, COM1),
        (EBDA_SEGMENT, EBDA >> 4 if base == EBDA else 0),
        (EQUIPMENT, EQUIPMENT_FPU | EQUIPMENT_ONE_SERIAL),
        (MEMORY_KIB, base // KIB),
    ):
        struct.pack_into("<H", area, offset, value)
    room.put(Piece(BIOS_DATA, bytes(area), SIZE, "the BIOS data area"))
