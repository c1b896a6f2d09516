"""What Linux makes of CPUID, in a few lines of this project's own.

It knows three ways; which one a kernel takes depends on its version and the vendor, so all of
them must come to the same.  `arch/x86/kernel/cpu/topology_*.c` and `cacheinfo.c` are the model.
"""

from __future__ import annotations

from typing import NamedTuple

from pykvm.kvm.cpuid import CpuidEntry
from tests.unit.cpu.cpuid_tables import Table


class Place(NamedTuple):
    """Where a processor finds itself, and how many there are in its package."""

    package: int
    core: int
    thread: int
    processors: int


def cpuid(table: Table, function: int, index: int = 0) -> CpuidEntry:
    """As KVM answers: a leaf that was not set is 0."""
    return table.get((function, index), CpuidEntry(function, index))


def order(count: int) -> int:
    """The smallest n with 1 << n at least `count`."""
    n = 0
    while 1 << n < count:
        n += 1
    return n


def place(apic_id: int, thread_bits: int, package_bits: int, processors: int) -> Place:
    core = (apic_id >> thread_bits) % (1 << (package_bits - thread_bits))
    thread = apic_id % (1 << thread_bits)
    return Place(apic_id >> package_bits, core, thread, processors)


def by_levels(table: Table, function: int) -> Place | None:
    """Leaves 0xB and 0x1F; None if there is no such leaf."""
    if cpuid(table, 0).eax < function:
        return None
    first = cpuid(table, function)
    if first.ebx == 0 or first.ecx >> 8 & 0xFF != 1:
        return None
    shifts = {}
    processors = 0
    for index in range(8):
        level = cpuid(table, function, index)
        kind = level.ecx >> 8 & 0xFF
        if kind == 0:
            break
        assert level.ecx & 0xFF == index
        assert level.edx == first.edx
        shifts[kind] = level.eax & 0x1F
        processors = level.ebx & 0xFFFF
    return place(first.edx, shifts[1], max(shifts.values()), processors)


def by_legacy_intel(table: Table) -> Place:
    """Leaves 1 and 4, for up to 64 cores."""
    one = cpuid(table, 1)
    threads = one.ebx >> 16 & 0xFF if one.edx >> 28 & 1 else 1
    caches = cpuid(table, 4)
    cores = (caches.eax >> 26) + 1 if caches.eax & 0x1F else 1
    thread_bits = order(threads) - order(cores)
    assert thread_bits >= 0
    return place(one.ebx >> 24, thread_bits, order(threads), threads)


def by_amd(table: Table) -> Place:
    """Leaves 0x80000008 and 0x8000001E."""
    sizes = cpuid(table, 0x80000008).ecx
    processors = (sizes & 0xFF) + 1
    package_bits = sizes >> 12 & 0xF or order(processors)
    place_in_node = cpuid(table, 0x8000001E)
    threads = (place_in_node.ebx >> 8 & 0xFF) + 1
    return place(place_in_node.eax, order(threads), package_bits, processors)


def cache_sharers(entry: CpuidEntry, apic_id: int, count: int) -> list[int]:
    """The processors that share a cache of leaf 4 or 0x8000001D with `apic_id`."""
    bits = order((entry.eax >> 14 & 0xFFF) + 1)
    return [other for other in range(count) if other >> bits == apic_id >> bits]
