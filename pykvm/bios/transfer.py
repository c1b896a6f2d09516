"""Moving sectors between an image and guest RAM, with everything that can be wrong with it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from pykvm.bios import status
from pykvm.bios.geometry import SECTOR
from pykvm.memory import Gpa

if TYPE_CHECKING:
    from pykvm.bios.image import Disk
    from pykvm.memory import GuestMemory


class Operation(Enum):
    """What to do with sectors."""

    READ = "read"
    WRITE = "write"
    VERIFY = "verify"


class Transfers:
    """Does transfers for INT 13h.

    Args:
        memory: guest RAM.
    """

    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory

    def run(self, operation: Operation, disk: Disk, lba: int, count: int, address: int) -> int:
        """Read, write or verify sectors; nothing is moved unless all can be.

        Args:
            lba: the first block.
            count: how many, 1 to 255.
            address: of the buffer, guest-physical; a verification has none.

        Returns:
            a status for AH.
        """
        if lba + count > disk.sectors:
            return status.NOT_FOUND
        if operation is Operation.WRITE and disk.readonly:
            return status.WRITE_PROTECTED
        length = count * SECTOR
        try:
            if operation is Operation.VERIFY:
                disk.read(lba, memoryview(bytearray(length)))
                return status.OK
            if not self._memory.contains(address, length):
                return status.BOUNDARY
            with self._memory.view(Gpa(address), length) as view:
                if operation is Operation.READ:
                    disk.read(lba, view)
                else:
                    disk.write(lba, view)
        except OSError:
            return status.WRITE_FAULT if operation is Operation.WRITE else status.NOT_FOUND
        return status.OK
