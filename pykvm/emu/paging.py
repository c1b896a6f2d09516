"""From a linear to a physical address, as a processor gets there (SDM vol. 3A, chapter 4).

The emulator has a walk of its own for what instructions access.  This one is for the accesses that
go with an interrupt or exception, which `vectoring` makes, and for whoever shows memory.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from pykvm.x86 import Cr0, Cr4, Efer

PHYSICAL_BITS = 40
"""The emulated processor's, as CPUID leaf 0x80000008 tells."""

_PRESENT, _WRITE, _USER, _ACCESSED, _DIRTY, _LARGE = 1, 2, 4, 0x20, 0x40, 0x80
_NO_EXECUTE = 1 << 63
_FRAME = (1 << 52) - (1 << 12)
_RESERVED = (1 << 52) - (1 << PHYSICAL_BITS)
_PSE36 = 0x1F_E000
"""Bits 20:13 of a 4 MiB page's entry: bits 39:32 of its address."""

_FAULT_PRESENT, _FAULT_WRITE, _FAULT_USER, _FAULT_RESERVED = 1, 2, 4, 8


class PageFault(Exception):
    """A page fault.

    Attributes:
        address: the linear address, for CR2.
        error_code: as the processor pushes it (SDM vol. 3A, figure 4-12).
    """

    def __init__(self, address: int, error_code: int) -> None:
        super().__init__(f"page fault at {address:#x}, error code {error_code:#x}")
        self.address = address
        self.error_code = error_code


class Physical(Protocol):
    """Physical memory."""

    def read(self, address: int, size: int) -> int:
        """The little-endian integer of `size` (1, 2, 4 or 8) bytes there."""

    def write(self, address: int, size: int, value: int) -> None:
        """Store one."""


class Access(NamedTuple):
    """What is to be done at a linear address.

    Attributes:
        is_write: it writes.
        is_user: with a user's rights (CPL 3).
        marks: it sets accessed and dirty bits, as a processor does and an onlooker must not.
    """

    is_write: bool = False
    is_user: bool = False
    marks: bool = True


LOOK = Access(marks=False)
"""An onlooker's read."""


class Paging(NamedTuple):
    """The control registers that say how addresses are translated.

    Attributes:
        cr0, cr3, cr4, efer: those registers.
        ac: RFLAGS.AC, which lets a supervisor access user pages in spite of CR4.SMAP.
    """

    cr0: int
    cr3: int
    cr4: int
    efer: int
    ac: bool = False

    @property
    def is_on(self) -> bool:
        """CR0.PG."""
        return bool(self.cr0 & Cr0.PG)

    @property
    def is_long(self) -> bool:
        """EFER.LMA."""
        return bool(self.efer & Efer.LMA)

    def translate(self, memory: Physical, linear: int, access: Access = LOOK) -> int:
        """The physical address of a linear one.

        Raises:
            PageFault: there is none, or not for that.
        """
        if not self.is_on:
            return linear if self.is_long else linear & 0xFFFF_FFFF
        if not self.cr4 & Cr4.PAE:
            return _Walk(self, memory, linear & 0xFFFF_FFFF, access).legacy()
        if not self.is_long:
            return _Walk(self, memory, linear & 0xFFFF_FFFF, access).pae()
        return _Walk(self, memory, linear, access).long()


class _Walk:
    """One translation under way: what the entries so far allow."""

    def __init__(self, paging: Paging, memory: Physical, linear: int, access: Access) -> None:
        self._paging, self._memory = paging, memory
        self._linear, self._access = linear, access
        self._rights = _WRITE | _USER
        self._entries: list[tuple[int, int, int]] = []  # address, size, value

    def legacy(self) -> int:
        entry = self._entry((self._paging.cr3 & 0xFFFF_F000) + (self._linear >> 22) * 4, 4)
        if entry & _LARGE and self._paging.cr4 & Cr4.PSE:
            if entry & 1 << 21:
                raise self._fault(_FAULT_PRESENT | _FAULT_RESERVED)
            base = entry & 0xFFC0_0000 | (entry & _PSE36) << 19
            return self._page(base, 22)
        index = self._linear >> 12 & 0x3FF
        entry = self._entry((entry & 0xFFFF_F000) + index * 4, 4)
        return self._page(entry & 0xFFFF_F000, 12)

    def pae(self) -> int:
        # these four entries have no rights and no accessed bit (SDM vol. 3A, 4.4.1)
        address = (self._paging.cr3 & 0xFFFF_FFE0) + (self._linear >> 30) * 8
        entry = self._memory.read(address, 8)
        if not entry & _PRESENT:
            raise self._fault(0)
        return self._levels(entry & _FRAME, (21, 12))

    def long(self) -> int:
        levels: tuple[int, ...] = (39, 30, 21, 12)
        if self._paging.cr4 & Cr4.LA57:
            levels = (48, *levels)
        return self._levels(self._paging.cr3 & _FRAME, levels)

    def _levels(self, table: int, shifts: tuple[int, ...]) -> int:
        for shift in shifts:
            entry = self._entry(table + (self._linear >> shift & 0x1FF) * 8, 8)
            if shift == 12:
                break
            if entry & _LARGE:
                if shift > 30 or entry & (1 << shift) - 1 & _FRAME & ~(1 << 12):
                    raise self._fault(_FAULT_PRESENT | _FAULT_RESERVED)
                break
            table = entry & _FRAME
        return self._page(entry & _FRAME & ~((1 << shift) - 1), shift)

    def _entry(self, address: int, size: int) -> int:
        entry = self._memory.read(address, size)
        if not entry & _PRESENT:
            raise self._fault(0)
        reserved = 0
        if size == 8:
            reserved = _RESERVED
            if not self._paging.efer & Efer.NX:
                reserved |= _NO_EXECUTE
        if entry & reserved:
            raise self._fault(_FAULT_PRESENT | _FAULT_RESERVED)
        self._rights &= entry
        self._entries.append((address, size, entry))
        return entry

    def _page(self, base: int, shift: int) -> int:
        self._check_rights()
        if self._access.marks:
            last = len(self._entries) - 1
            for number, (address, size, entry) in enumerate(self._entries):
                dirty = _DIRTY if number == last and self._access.is_write else 0
                marked = entry | _ACCESSED | dirty
                if marked != entry:
                    self._memory.write(address, size, marked)
        return base | self._linear & ((1 << shift) - 1)

    def _check_rights(self) -> None:
        access, paging = self._access, self._paging
        if not access.marks:
            return  # an onlooker sees all
        is_user_page = bool(self._rights & _USER)
        forbidden = access.is_write and not self._rights & _WRITE
        if access.is_user:
            forbidden |= not is_user_page
        else:
            forbidden &= bool(paging.cr0 & Cr0.WP)
            forbidden |= is_user_page and bool(paging.cr4 & Cr4.SMAP) and not paging.ac
        if forbidden:
            raise self._fault(_FAULT_PRESENT)

    def _fault(self, code: int) -> PageFault:
        code |= _FAULT_WRITE if self._access.is_write else 0
        code |= _FAULT_USER if self._access.is_user else 0
        return PageFault(self._linear, code)
