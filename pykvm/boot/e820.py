"""The machine's memory map, as firmware tells it: typed ranges of physical addresses.

The types are those of the ACPI specification 6.5, table 15.3 (address range types); all boot
protocols share them.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from pykvm.layout import (
    BIOS_AREA_END,
    EBDA,
    IOAPIC,
    KVM_PAGES,
    LOCAL_APIC,
    MIB,
    ram_ranges,
)
from pykvm.named import NamedTuple
from pykvm.x86 import PAGE_SIZE

USABLE = 1
RESERVED = 2
ACPI = 3
"""ACPI tables: the guest may use the memory once it has read them."""
NVS = 4


class Range(NamedTuple):
    """A range of physical addresses.

    Attributes:
        base: the first address.
        size: in bytes.
        type: USABLE, RESERVED, ACPI or NVS.
    """

    base: int
    size: int
    type: int

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.base + self.size


_KVM = Range(*KVM_PAGES, RESERVED)
_ALWAYS_RESERVED = (
    Range(EBDA, BIOS_AREA_END - EBDA, RESERVED),
    Range(IOAPIC, PAGE_SIZE, RESERVED),
    Range(LOCAL_APIC, PAGE_SIZE, RESERVED),
    _KVM,
)


def _ram(ram: int) -> list[Range]:
    return [Range(start, length, USABLE) for start, length in ram_ranges(ram)]


def map_for_firmware(ram: int) -> tuple[Range, ...]:
    """`ram` bytes of RAM and the pages that KVM needs, in order.  What firmware keeps for itself it
    works out, and tells the guest; for kernels that start without it, `memory_map` says that."""
    return tuple(sorted((*_ram(ram), _KVM)))


def memory_map(ram: int, reserved: Iterable[Range] = ()) -> tuple[Range, ...]:
    """The ranges of a machine with `ram` bytes of RAM, in order, none over another.

    Args:
        ram: bytes of RAM.
        reserved: what firmware keeps, in RAM or elsewhere; a later one wins over an earlier one.
    """
    layers = _ram(ram)
    layers += [r for r in (*_ALWAYS_RESERVED, *reserved) if r.size > 0]
    edges = sorted({edge for r in layers for edge in (r.base, r.end)})
    found: list[Range] = []
    for base, end in pairwise(edges):
        type_ = next((r.type for r in reversed(layers) if r.base <= base < r.end), None)
        if type_ is None:
            continue
        if found and found[-1].end == base and found[-1].type == type_:
            base = found.pop().base  # noqa: PLW2901 - it goes on where that one began
        found.append(Range(base, end - base, type_))
    return tuple(found)


def usable(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Those that a guest may use at once."""
    return tuple(r for r in ranges if r.type == USABLE)


def extended_memory(ranges: Iterable[tuple[int, int, int]]) -> int:
    """How many bytes are usable from 1 MiB on, without a gap.

    Args:
        ranges: base, size and type.
    """
    end = MIB
    for base, size, kind in sorted(ranges):
        if kind == USABLE and base <= end < base + size:
            end = base + size
    return end - MIB
