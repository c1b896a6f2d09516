"""All that a guest's page tables map to RAM, for a file that is read without them.

The tables are the guest's: they may point anywhere, at themselves too, so the work and the result
are bounded.  Where `paging.translate` walks to one address, this walks to all.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from pykvm.debug.page_entries import (
    FRAME,
    EntryBits,
    canonical,
    maps_page,
    page_address,
    reserved_bits,
)
from pykvm.memory import Gpa

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykvm.debug.page_entries import Controls, Step
    from pykvm.memory import GuestMemory

MOST_TABLES = 8192
"""How many tables are read; in pages of 4 KiB they map 16 GiB."""

MOST_RANGES = 16384
"""How many contiguous ranges are told."""


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


def find_mappings(controls: Controls, memory: GuestMemory) -> Mappings:
    """The linear addresses that lead to RAM, with paging on.

    Args:
        controls: the processor's.
        memory: RAM, in which its tables are.
    """
    walk = _Walk(controls, memory)
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
    def __init__(self, controls: Controls, memory: GuestMemory) -> None:
        self._controls = controls
        self._memory = memory
        self.tables_left = MOST_TABLES
        packed = "I" if controls.entry_size == 4 else "Q"
        self._levels = [
            _Level(
                step,
                struct.Struct(f"<{1 << step.bits}{packed}"),
                reserved_bits(step, controls, maps=False),
                reserved_bits(step, controls, maps=True),
            )
            for step in controls.steps
        ]

    def ranges(self) -> Iterator[Range]:
        """What is mapped, each range cut to the RAM it reaches; some could be joined."""
        return self._table(self._controls.root, 0, 0)

    def _table(self, gpa: int, depth: int, base: int) -> Iterator[Range]:
        level, controls = self._levels[depth], self._controls
        step = level.step
        entries = self._entries(gpa, level)
        if depth + 1 == len(self._levels):
            reserved = level.reserved_of_page
            valid = [entry for entry in entries if not entry[1] & reserved] if reserved else entries
            for first, frame, pages in _runs(valid, self._memory.end):
                yield from self._in_ram(base + (first << 12), frame, pages << 12)
            return
        for number, entry in entries:
            linear = base + (number << step.shift)
            maps = maps_page(step, entry, controls)
            if entry & (level.reserved_of_page if maps else level.reserved_of_table):
                continue
            if maps:
                page = page_address(step, entry, controls)
                yield from self._in_ram(linear, page, 1 << step.shift)
            else:
                yield from self._table(entry & FRAME, depth + 1, linear)
            if not self.tables_left:
                return

    def _entries(self, gpa: int, level: _Level) -> list[tuple[int, int]]:
        """The entries that are present, with their numbers."""
        self.tables_left -= 1
        size = level.entries.size
        if not self._memory.contains(gpa, size):
            return []
        entries = level.entries.unpack(self._memory.read(Gpa(gpa), size))
        return [(i, entry) for i, entry in enumerate(entries) if entry & EntryBits.P]

    def _in_ram(self, linear: int, gpa: int, size: int) -> Iterator[Range]:
        linear = canonical(linear, self._controls)
        for region in self._memory.regions:
            start, end = max(gpa, region.gpa), min(gpa + size, region.end)
            if start < end:
                yield Range(linear + start - gpa, start, end - start)


class _Level(NamedTuple):
    """How the tables of a level are packed, and which bits of their entries must be clear."""

    step: Step
    entries: struct.Struct
    reserved_of_table: int
    reserved_of_page: int


def _runs(entries: list[tuple[int, int]], end: int) -> Iterator[tuple[int, int, int]]:
    """Entries of a page table that map contiguous memory: number and frame of the first, count.

    Most of a guest's pages are found here, four million in 16 GiB.

    Args:
        entries: those that are present, with their numbers.
        end: of RAM; pages behind it are left out.
    """
    first = frame = pages = 0
    for number, entry in entries:
        if pages and number == first + pages and entry & FRAME == frame + (pages << 12):
            pages += 1
        elif entry & FRAME < end:
            if pages:
                yield first, frame, pages
            first, frame, pages = number, entry & FRAME, 1
    if pages:
        yield first, frame, pages
