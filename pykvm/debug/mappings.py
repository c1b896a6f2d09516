"""All that a guest's page tables map to RAM, for a file that is read without them.

Source: SDM vol. 3A, chapter 4 (32-bit, PAE, 4-level and 5-level paging).  The tables are the
guest's: they may point anywhere, at themselves too, so the work and the result are bounded.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from pykvm.memory import Gpa
from pykvm.x86 import Cr4, Efer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykvm.kvm.registers import Sregs
    from pykvm.memory import GuestMemory

MOST_TABLES = 8192
"""How many tables are read; in pages of 4 KiB they map 16 GiB."""

MOST_RANGES = 16384
"""How many contiguous ranges are told."""

_PRESENT, _LARGE = 1 << 0, 1 << 7
_FRAME = 0x000F_FFFF_FFFF_F000
_PAE_POINTERS = 4


class Range(NamedTuple):
    """Contiguous linear addresses that are mapped to contiguous RAM."""

    linear: int
    gpa: int
    size: int


class Mappings(NamedTuple):
    """What page tables map.

    Attributes:
        ranges: in the order of their linear addresses.
        complete: those are all; False where there was too much to look at.
    """

    ranges: list[Range]
    complete: bool


class _Format(NamedTuple):
    """A kind of paging: how a table's entries are packed, and what each level maps."""

    entries: struct.Struct
    shifts: tuple[int, ...]
    """Of the addresses that an entry of each level stands for, the top one first."""
    large: tuple[int, ...]
    """At which of them an entry may be a page."""


_32_BIT = _Format(struct.Struct("<1024I"), (22, 12), (22,))
_PAE = _Format(struct.Struct("<512Q"), (30, 21, 12), (21,))
_4_LEVEL = _Format(struct.Struct("<512Q"), (39, 30, 21, 12), (30, 21))
_5_LEVEL = _Format(struct.Struct("<512Q"), (48, 39, 30, 21, 12), (30, 21))


def find_mappings(sregs: Sregs, memory: GuestMemory) -> Mappings:
    """The linear addresses that lead to RAM, with paging on.

    Args:
        sregs: the processor's CR3, CR4 and EFER say where its tables are and what they look like.
        memory: RAM, in which they are.
    """
    walk = _Walk(sregs, memory)
    ranges: list[Range] = []
    for found in walk.ranges():
        last = ranges[-1] if ranges else None
        if last and found.linear == last.linear + last.size and found.gpa == last.gpa + last.size:
            ranges[-1] = Range(last.linear, last.gpa, last.size + found.size)
        elif len(ranges) < MOST_RANGES:
            ranges.append(found)
        else:
            return Mappings(ranges, False)
    return Mappings(ranges, walk.tables_left > 0)


class _Walk:
    def __init__(self, sregs: Sregs, memory: GuestMemory) -> None:
        self._memory = memory
        self._pse = bool(sregs.cr4 & Cr4.PSE)
        self._root = sregs.cr3 & _FRAME
        self.tables_left = MOST_TABLES
        if sregs.efer & Efer.LMA:
            self._format = _5_LEVEL if sregs.cr4 & Cr4.LA57 else _4_LEVEL
        elif sregs.cr4 & Cr4.PAE:
            self._format = _PAE
            self._root = sregs.cr3 & 0xFFFF_FFE0
        else:
            self._format = _32_BIT
            self._root &= 0xFFFF_FFFF

    def ranges(self) -> Iterator[Range]:
        """What is mapped, each range cut to the RAM it reaches; some could be joined."""
        return self._table(self._root, 0, 0)

    def _table(self, gpa: int, level: int, base: int) -> Iterator[Range]:
        shift = self._format.shifts[level]
        entries = self._entries(gpa, level)
        if shift == 12:
            for first, frame, pages in _runs(entries, self._memory.end):
                yield from self._in_ram(base + (first << 12), frame, pages << 12)
            return
        for number, entry in entries:
            linear = base + (number << shift)
            if self._is_page(entry, shift):
                yield from self._in_ram(linear, self._large_frame(entry, shift), 1 << shift)
            else:
                yield from self._table(entry & _FRAME, level + 1, linear)
            if not self.tables_left:
                return

    def _entries(self, gpa: int, level: int) -> list[tuple[int, int]]:
        """The entries that are present, with their numbers."""
        self.tables_left -= 1
        layout = self._format.entries
        is_pae_root = self._format is _PAE and level == 0
        if is_pae_root:
            layout = struct.Struct(f"<{_PAE_POINTERS}Q")
        if not self._memory.contains(gpa, layout.size):
            return []
        entries = layout.unpack(self._memory.read(Gpa(gpa), layout.size))
        return [(i, entry) for i, entry in enumerate(entries) if entry & _PRESENT]

    def _is_page(self, entry: int, shift: int) -> bool:
        allowed = shift in self._format.large and (self._format is not _32_BIT or self._pse)
        return allowed and bool(entry & _LARGE)

    def _large_frame(self, entry: int, shift: int) -> int:
        if self._format is _32_BIT:  # PSE-36: bits 13 to 20 are bits 32 to 39
            return entry & 0xFFC0_0000 | (entry >> 13 & 0xFF) << 32
        return entry & _FRAME & -(1 << shift)

    def _in_ram(self, linear: int, gpa: int, size: int) -> Iterator[Range]:
        top = self._format.shifts[0] + 9
        if self._format.shifts[0] > 30 and linear >> top - 1 & 1:  # canonical addresses
            linear |= -(1 << top) & (1 << 64) - 1
        for region in self._memory.regions:
            start, end = max(gpa, region.gpa), min(gpa + size, region.end)
            if start < end:
                yield Range(linear + start - gpa, start, end - start)


def _runs(entries: list[tuple[int, int]], end: int) -> Iterator[tuple[int, int, int]]:
    """Entries of a page table that map contiguous memory: number and frame of the first, count.

    Most of a guest's pages are found here, four million in 16 GiB.

    Args:
        entries: those that are present, with their numbers.
        end: of RAM; pages behind it are left out.
    """
    first = frame = pages = 0
    for number, entry in entries:
        if pages and number == first + pages and entry & _FRAME == frame + (pages << 12):
            pages += 1
        elif entry & _FRAME < end:
            if pages:
                yield first, frame, pages
            first, frame, pages = number, entry & _FRAME, 1
    if pages:
        yield first, frame, pages
