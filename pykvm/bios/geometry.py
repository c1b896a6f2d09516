"""Disk geometries: how many cylinders, heads and sectors a disk of some size pretends to have."""

from __future__ import annotations

import struct
from typing import NamedTuple

from pykvm.layout import KIB

SECTOR = 512
MAX_CYLINDERS = 1024
MAX_SECTORS = 63
HEADS = (16, 32, 64, 128, 255)

_PARTITIONS = 446
_SIGNATURE = b"\x55\xaa"


class Geometry(NamedTuple):
    """Cylinders and heads count from 0, sectors of a track from 1."""

    cylinders: int
    heads: int
    sectors: int

    @property
    def total(self) -> int:
        """How many sectors cylinder, head and sector can name."""
        return self.cylinders * self.heads * self.sectors


class FloppyFormat(NamedTuple):
    """A floppy's geometry, and the type of drive that INT 13h, AH=08h returns in BL for it."""

    geometry: Geometry
    drive_type: int


FLOPPIES = {
    size * KIB: FloppyFormat(Geometry(*geometry), drive_type)
    for size, geometry, drive_type in (
        (160, (40, 1, 8), 1),
        (180, (40, 1, 9), 1),
        (320, (40, 2, 8), 1),
        (360, (40, 2, 9), 1),
        (720, (80, 2, 9), 3),
        (1200, (80, 2, 15), 2),
        (1440, (80, 2, 18), 4),
        (2880, (80, 2, 36), 6),
    )
}
"""The standard formats by size in bytes."""


def floppy_format(size: int) -> FloppyFormat | None:
    """What floppy has exactly `size` bytes; None if none has."""
    return FLOPPIES.get(size)


def hard_disk_geometry(sectors: int, boot_sector: bytes) -> Geometry:
    """A hard disk's geometry as its partition table implies, else as BIOSes translate its size.

    Partitions customarily end at a cylinder's end, so that the last head and sector of one tell
    how the disk was divided by whoever wrote addresses into the boot code.  Otherwise it has 63
    sectors a track and as few heads as reach its end with 1024 cylinders, 255 at the most
    (what is called LBA-assisted translation).

    Args:
        sectors: its size.
        boot_sector: its first 512 bytes.
    """
    heads, track = _partitioned_for(boot_sector) or (
        next((h for h in HEADS if sectors <= MAX_CYLINDERS * h * MAX_SECTORS), HEADS[-1]),
        MAX_SECTORS,
    )
    cylinders = sectors // (heads * track)
    return Geometry(min(max(cylinders, 1), MAX_CYLINDERS), heads, track)


def _partitioned_for(boot_sector: bytes) -> tuple[int, int] | None:
    """Heads and sectors a track, from the first partition that says so."""
    if len(boot_sector) < SECTOR or boot_sector[510:512] != _SIGNATURE:
        return None
    # of each: status, first head/sector/cylinder, type, last ones, first LBA, count
    partitions = [
        struct.unpack_from("<B3xBBBx4xI", boot_sector, _PARTITIONS + 16 * place)
        for place in range(4)
    ]
    if any(status & 0x7F for status, *_ in partitions):
        return None  # code, not a table
    for _, kind, head, sector, count in partitions:
        if kind and count and 0 < head < 255 and sector & 0x3F:
            return head + 1, sector & 0x3F
    return None
