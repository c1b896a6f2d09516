"""INT 13h: disks by cylinder, head and sector; `pykvm.bios.edd` has those by block number.

Sources: IBM PC AT Technical Reference, "BIOS listing" (DISKETTE_IO, DISK_IO); Ralf Brown's
Interrupt List, INT 13h.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pykvm.bios import bda as field
from pykvm.bios import status
from pykvm.bios.edd import VERSION_3, ExtendedDisk
from pykvm.bios.geometry import SECTOR
from pykvm.bios.image import FIRST_HARD_DISK
from pykvm.bios.rom import FLOPPY_TABLE, SEGMENT
from pykvm.bios.transfer import Operation, Transfers
from pykvm.x86 import SEGMENT_SIZE

if TYPE_CHECKING:
    from pykvm.bios.bda import Bda
    from pykvm.bios.call import Call
    from pykvm.bios.image import Drive
    from pykvm.memory import GuestMemory

FUNCTION_STATUS = 0x01
FUNCTION_TYPE = 0x15
FUNCTION_EXTENSIONS = 0x41

FLOPPY_WITHOUT_CHANGE_LINE = 1
HARD_DISK = 3

Handler = Callable[["Call", "Drive"], int]


class DiskServices:
    """The services.

    Args:
        memory: guest RAM.
        bda: the BIOS data area.
        drives: by BIOS drive number.
    """

    def __init__(self, memory: GuestMemory, bda: Bda, drives: Mapping[int, Drive]) -> None:
        self._bda = bda
        self._drives = drives
        self._transfers = Transfers(memory)
        self._extended = ExtendedDisk(memory, self._transfers)
        self._functions: dict[int, Handler] = {
            0x00: _nothing,  # reset
            0x02: lambda call, drive: self._transfer(call, drive, Operation.READ),
            0x03: lambda call, drive: self._transfer(call, drive, Operation.WRITE),
            0x04: lambda call, drive: self._transfer(call, drive, Operation.VERIFY),
            0x08: self._parameters,
            0x09: _nothing,  # set the controller's drive parameters
            0x0C: self._seek,
            0x0D: _nothing,  # alternate reset
            0x10: _nothing,  # test whether it is ready
            0x11: _nothing,  # recalibrate
            0x14: _nothing,  # controller diagnostic
            0x16: _nothing,  # has the floppy been changed: no
            **self._extended.functions,
        }

    def interrupt(self, call: Call) -> None:
        """INT 13h, by AH; the drive is in DL."""
        r = call.registers
        number = r.dl
        drive = self._drives.get(number)
        if r.ah == FUNCTION_STATUS:
            r.ah = self._bda.byte(_status_field(number))
            call.set_carry(r.ah != status.OK)
        elif r.ah == FUNCTION_TYPE:
            self._type(call, drive)
        elif r.ah == FUNCTION_EXTENSIONS:
            self._finish(call, number, self._extended.check(call, drive), success=VERSION_3)
        else:
            function = self._functions.get(r.ah)
            if function is None or drive is None:
                self._finish(call, number, status.INVALID)
            else:
                self._finish(call, number, function(call, drive))

    def _finish(self, call: Call, number: int, code: int, *, success: int = status.OK) -> None:
        """Keep the status for AH=01h, and return it; `success` is what AH says then."""
        self._bda.set_byte(_status_field(number), code)
        if code == status.OK:
            call.succeed(success)
        else:
            call.fail(code)

    def _transfer(self, call: Call, drive: Drive, operation: Operation) -> int:
        r = call.registers
        count = r.al
        r.al = 0  # sectors transferred
        lba = _lba(call, drive)
        if lba is None or count == 0:
            return status.INVALID
        # as the AT's DMA check: from the paragraph on that the buffer begins in
        if operation is not Operation.VERIFY and r.bx % 16 + count * SECTOR > SEGMENT_SIZE:
            return status.BOUNDARY
        code = self._transfers.run(operation, drive.disk, lba, count, r.es.base + r.bx)
        if code == status.OK:
            r.al = count
        return code

    def _seek(self, call: Call, drive: Drive) -> int:
        return status.INVALID if _lba(call, drive) is None else status.OK

    def _parameters(self, call: Call, drive: Drive) -> int:
        """AH=08h: the last cylinder, head and sector, and how many drives there are."""
        r = call.registers
        first = r.dl & FIRST_HARD_DISK
        cylinders, heads, sectors = drive.geometry
        last = cylinders - 1
        r.al = 0
        r.ch = last & 0xFF
        r.cl = sectors | (last >> 2 & 0xC0)
        r.dh = heads - 1
        r.dl = sum(number & FIRST_HARD_DISK == first for number in self._drives)
        if drive.floppy is not None:
            r.bx = drive.floppy.drive_type
            r.load_es(SEGMENT)
            r.di = FLOPPY_TABLE
        return status.OK

    def _type(self, call: Call, drive: Drive | None) -> None:
        """AH=15h: the kind of drive is in AH, for hard disks the size in CX:DX."""
        r = call.registers
        if drive is None:
            r.ah = 0
        elif drive.floppy is not None:
            r.ah = FLOPPY_WITHOUT_CHANGE_LINE
        else:
            r.ah = HARD_DISK
            total = min(drive.disk.sectors, 0xFFFF_FFFF)
            r.cx, r.dx = total >> 16, total & 0xFFFF
        call.set_carry(False)


def _lba(call: Call, drive: Drive) -> int | None:
    """The block that CH, CL and DH name; None if the disk has no such cylinder, head or sector."""
    r = call.registers
    cylinder, head, sector = r.ch | (r.cl & 0xC0) << 2, r.dh, r.cl & 0x3F
    cylinders, heads, sectors = drive.geometry
    if cylinder >= cylinders or head >= heads or not 1 <= sector <= sectors:
        return None
    return (cylinder * heads + head) * sectors + sector - 1


def _nothing(call: Call, drive: Drive) -> int:
    """For what an image has always done already."""
    return status.OK


def _status_field(number: int) -> int:
    return field.DISK_STATUS if number & FIRST_HARD_DISK else field.FLOPPY_STATUS
