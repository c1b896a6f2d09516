"""Guest memory as a processor finds it: RAM, devices behind it, and page tables before it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from pykvm.emu.events import PAGE_FAULT, Fault
from pykvm.emu.paging import Access, PageFault, Paging, Physical
from pykvm.x86 import PAGE_SIZE

if TYPE_CHECKING:
    from pykvm.bus import Bus
    from pykvm.memory import GuestMemory

_FORMATS = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}


class Rom(NamedTuple):
    """A firmware image: where the guest sees it, and its bytes."""

    gpa: int
    view: memoryview


class PhysicalMemory:
    """RAM, a firmware's ROM, and the memory bus where there is neither.

    Not through `GuestMemory.view`: that is how the host comes in, which `on_view` hears of.

    Args:
        memory: the RAM.
        mmio: the bus.

    Attributes:
        rom: the firmware's; None without one.
    """

    def __init__(self, memory: GuestMemory, mmio: Bus) -> None:
        self._memory, self._mmio = memory, mmio
        self.rom: Rom | None = None

    def read(self, address: int, size: int) -> int:
        """The little-endian integer of `size` (1, 2, 4 or 8) bytes there."""
        for region in self._memory.regions:
            if region.gpa <= address and address + size <= region.end:
                return self._unpack(region.view, address - region.gpa, size)
        rom = self.rom
        if rom is not None and 0 <= address - rom.gpa <= len(rom.view) - size:
            return self._unpack(rom.view, address - rom.gpa, size)
        return self._mmio.read(address, size)

    def _unpack(self, view: memoryview, at: int, size: int) -> int:
        value: int = struct.unpack_from(_FORMATS[size], view, at)[0]
        return value

    def write(self, address: int, size: int, value: int) -> None:
        """Store one; what is written to ROM is lost."""
        for region in self._memory.regions:
            if region.gpa <= address and address + size <= region.end:
                struct.pack_into(_FORMATS[size], region.view, address - region.gpa, value)
                return
        rom = self.rom
        if rom is None or not 0 <= address - rom.gpa < len(rom.view):
            self._mmio.write(address, size, value)


class LinearMemory:
    """Memory by linear addresses, for `vectoring`: page faults are faults.

    Args:
        paging: how addresses are translated.
        physical: what they lead to.
    """

    def __init__(self, paging: Paging, physical: Physical) -> None:
        self._paging, self._physical = paging, physical
        self._mask = (1 << 64) - 1 if paging.is_long else 0xFFFF_FFFF

    def read(self, address: int, size: int, *, is_user: bool = False) -> int:
        """The little-endian integer of `size` (1, 2, 4, 8) bytes there; raises `Fault`."""
        value = 0
        for at, shift, part in self._parts(address, size, Access(is_user=is_user)):
            value |= self._physical.read(at, part) << shift
        return value

    def write(self, address: int, size: int, value: int, *, is_user: bool = False) -> None:
        """Store one, all or nothing; raises `Fault`."""
        for at, shift, part in self._parts(address, size, Access(is_write=True, is_user=is_user)):
            self._physical.write(at, part, value >> shift & ((1 << 8 * part) - 1))

    def _parts(self, address: int, size: int, access: Access) -> list[tuple[int, int, int]]:
        """Physical address, first bit and size of each part: one, or single bytes in two pages."""
        address &= self._mask
        if address % PAGE_SIZE + size <= PAGE_SIZE:
            return [(self._translate(address, access), 0, size)]
        return [
            (self._translate((address + i) & self._mask, access), 8 * i, 1) for i in range(size)
        ]

    def _translate(self, address: int, access: Access) -> int:
        try:
            return self._paging.translate(self._physical, address, access)
        except PageFault as fault:
            raise Fault(PAGE_FAULT, fault.error_code, fault.address) from None
