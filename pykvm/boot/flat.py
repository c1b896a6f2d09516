"""Flat images: no header, loaded and entered where told."""

from __future__ import annotations

from collections.abc import Sequence

from pykvm.boot.state import BootState, Piece
from pykvm.errors import ImageError
from pykvm.layout import BOOT_DRIVE, BOOT_SECTOR_ADDRESS, FLAT_LOAD_ADDRESS, GIB, HIGH_RAM_BASE, MIB
from pykvm.named import TYPE_CHECKING
from pykvm.x86 import SEGMENT_SIZE, Mode, real_segment

if TYPE_CHECKING:
    from pykvm.boot.e820 import Range

SECTOR = 512
REAL_MODE_REACH = MIB
PROTECTED_MODE_REACH = 4 * GIB


def is_boot_sector(image: bytes, size: int | None = None) -> bool:
    """Whether a BIOS would boot it: whole sectors, the first one ending in 55 AA.

    Args:
        image: its bytes, or the first of them.
        size: of how many, if these are not all.
    """
    return (
        len(image) >= SECTOR
        and (len(image) if size is None else size) % SECTOR == 0
        and image[SECTOR - 2 : SECTOR] == b"\x55\xaa"
    )


def boot_flat(
    image: bytes,
    ram: int,
    mode: Mode,
    *,
    load_address: int | None = None,
    entry: int | None = None,
    reserved: Sequence[Range] = (),
) -> BootState:
    """A flat image, entered at `entry` in `mode`.

    The stack begins just below the image and grows down.  Where no RAM is below the image, at 0
    and at 4 GiB, it begins at the top of the segment (real mode) or below the boot tables.

    Args:
        image: the bytes.
        ram: bytes of RAM.
        mode: how to enter it.
        load_address: guest-physical; default 0x1000.
        entry: guest-physical; default where it is loaded.
        reserved: where boot tables must not lie.

    Raises:
        ImageError: the image is empty, or the entry is outside of it or out of the mode's reach.
    """
    if not image:
        raise ImageError("the image is empty")
    load = FLAT_LOAD_ADDRESS if load_address is None else load_address
    start = load if entry is None else entry
    if not load <= start < load + len(image):
        raise ImageError(
            f"entry {start:#x} is outside the image, which is at "
            f"{load:#x}-{load + len(image) - 1:#x}"
        )
    piece = Piece(load, image, len(image), "the image")
    stack = 0 if load == HIGH_RAM_BASE else load
    if mode is Mode.REAL:
        _check_reach(start, REAL_MODE_REACH, mode)
        return _real_state(piece, start)
    from pykvm.boot.tables import long_state, protected_state

    if mode is Mode.LONG:
        return long_state(ram, (piece,), start, stack, reserved=reserved)
    _check_reach(start, PROTECTED_MODE_REACH, mode)
    return protected_state(ram, (piece,), start, stack, reserved=reserved)


def boot_sector(image: bytes) -> BootState:
    """A boot sector as a BIOS starts it: at 0000:7C00, the drive's number in DL.

    There is no disk to read the rest from, so further sectors follow the first one in memory.
    """
    piece = Piece(BOOT_SECTOR_ADDRESS, image, len(image), "the boot sector")
    return BootState(
        mode=Mode.REAL,
        pieces=(piece,),
        rip=BOOT_SECTOR_ADDRESS,
        rsp=BOOT_SECTOR_ADDRESS,
        rdx=BOOT_DRIVE,
    )


def _check_reach(start: int, end: int, mode: Mode) -> None:
    if start >= end:
        raise ImageError(
            f"entry {start:#x} is out of {mode.value} mode's reach, which ends at {end:#x}"
        )


def _real_state(piece: Piece, start: int) -> BootState:
    """Real mode: segments 0 while the entry is in reach of them, else all at the entry's.

    The stack stays in segment 0, so that it ends below the image wherever that is; SP 0 is the
    segment's top, since the first push makes it 0xFFFE.
    """
    stack = min(piece.gpa, SEGMENT_SIZE) & 0xFFFF
    if start < SEGMENT_SIZE:
        return BootState(mode=Mode.REAL, pieces=(piece,), rip=start, rsp=stack)
    selector = start >> 4
    return BootState(
        mode=Mode.REAL,
        pieces=(piece,),
        rip=start & 0xF,
        rsp=stack,
        cs=real_segment(selector, code=True),
        data=real_segment(selector),
    )
