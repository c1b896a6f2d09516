"""INT 13h, AH=41h to 48h: disks by block number, for hard disks.

Source: Phoenix, BIOS Enhanced Disk Drive Specification 3.0 (and 1.1 for the figures that it
keeps); Ralf Brown's Interrupt List, tables 00272 and 00273.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pykvm.bios import status
from pykvm.bios.geometry import SECTOR
from pykvm.bios.transfer import Operation, Transfers
from pykvm.memory import Gpa

if TYPE_CHECKING:
    from pykvm.bios.call import Call
    from pykvm.bios.image import Drive
    from pykvm.memory import GuestMemory

VERSION_3 = 0x30
PACKET_ACCESS = 1 << 0
DRIVE_PARAMETERS = 1 << 2

MAX_BLOCKS = 127
"""So many fit behind any offset below 16: no transfer reaches a segment's end."""
COUNT = 2
"""The packet's field."""

GEOMETRY_VALID = 1 << 1
NO_TABLE = 0xFFFF_FFFF
FLAT = 0xFFFF_FFFF
"""A buffer at FFFF:FFFF: the packet has a 64-bit address."""

_PACKET = struct.Struct("<BxHHHQ")
_FLAT_ADDRESS = struct.Struct("<Q")
_PARAMETERS = struct.Struct("<HHIIIQH")
_PARAMETERS_2 = struct.Struct("<HHIIIQHI")

Handler = Callable[["Call", "Drive"], int]


class Packet(NamedTuple):
    """A disk address packet: where it is, and what it asks for."""

    at: Gpa
    blocks: int
    address: int
    lba: int


class ExtendedDisk:
    """The services.

    Args:
        memory: guest RAM.
        transfers: moves sectors.

    Attributes:
        functions: by AH, 42h and above; each returns a status.
    """

    def __init__(self, memory: GuestMemory, transfers: Transfers) -> None:
        self._memory = memory
        self._transfers = transfers
        self.functions: dict[int, Handler] = {
            0x42: lambda call, drive: self._transfer(call, drive, Operation.READ),
            0x43: lambda call, drive: self._transfer(call, drive, Operation.WRITE),
            0x44: lambda call, drive: self._transfer(call, drive, Operation.VERIFY),
            0x47: self._seek,
            0x48: self._parameters,
        }

    def check(self, call: Call, drive: Drive | None) -> int:
        """AH=41h: which of these services there are; the version is its caller's to return."""
        r = call.registers
        if drive is None or drive.floppy is not None or r.bx != 0x55AA:
            return status.INVALID
        r.bx = 0xAA55
        r.cx = PACKET_ACCESS | DRIVE_PARAMETERS
        return status.OK

    def _transfer(self, call: Call, drive: Drive, operation: Operation) -> int:
        packet = self._packet(call, drive)
        if packet is None:
            return status.INVALID
        code = self._run(packet, drive, operation)
        if code != status.OK:
            self._memory.write_uint(Gpa(packet.at + COUNT), 2, 0)
        return code

    def _run(self, packet: Packet, drive: Drive, operation: Operation) -> int:
        if packet.blocks > MAX_BLOCKS:
            return status.INVALID
        if packet.blocks == 0:
            return status.OK
        return self._transfers.run(operation, drive.disk, packet.lba, packet.blocks, packet.address)

    def _seek(self, call: Call, drive: Drive) -> int:
        packet = self._packet(call, drive)
        if packet is None:
            return status.INVALID
        return status.OK if packet.lba < drive.disk.sectors else status.NOT_FOUND

    def _packet(self, call: Call, drive: Drive) -> Packet | None:
        """The packet at DS:SI; None if there is none that could be used."""
        r = call.registers
        at = call.buffer(r.ds, r.si, _PACKET.size)
        if at is None or drive.floppy is not None:
            return None
        size, count, offset, segment, lba = _PACKET.unpack(self._memory.read(at, _PACKET.size))
        if size < _PACKET.size:
            return None
        address = (segment << 4) + offset
        if segment << 16 | offset == FLAT:
            whole = call.buffer(r.ds, r.si, _PACKET.size + _FLAT_ADDRESS.size)
            if whole is None or size < _PACKET.size + _FLAT_ADDRESS.size:
                return None
            address = self._memory.read_uint(Gpa(at + _PACKET.size), 8)
        return Packet(at, count, address, lba)

    def _parameters(self, call: Call, drive: Drive) -> int:
        """AH=48h: size and geometry, into a buffer that says its size."""
        r = call.registers
        at = call.buffer(r.ds, r.si, _PARAMETERS.size)
        if at is None or drive.floppy is not None:
            return status.INVALID
        room = self._memory.read_uint(at, 2)
        if room < _PARAMETERS.size:
            return status.INVALID
        fields = (GEOMETRY_VALID, *drive.geometry, drive.disk.sectors, SECTOR)
        result = _PARAMETERS.pack(_PARAMETERS.size, *fields)
        if room >= _PARAMETERS_2.size and call.buffer(r.ds, r.si, _PARAMETERS_2.size) is not None:
            result = _PARAMETERS_2.pack(_PARAMETERS_2.size, *fields, NO_TABLE)
        self._memory.write(at, result)
        return status.OK
