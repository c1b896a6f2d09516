"""CPUID tables as KVM_GET_SUPPORTED_CPUID gives them, with the host's own topology in them."""

from __future__ import annotations

from typing import Any

from pykvm.kvm.cpuid import CpuidEntry, CpuidFlag, to_entries, to_table

INDEXED = int(CpuidFlag.SIGNIFICANT_INDEX)
Table = dict[tuple[int, int], CpuidEntry]


def leaf(function: int, *registers: int) -> CpuidEntry:
    return CpuidEntry(function, 0, 0, *registers)


def sub(function: int, index: int, *registers: int) -> CpuidEntry:
    return CpuidEntry(function, index, INDEXED, *registers)


KVM_LEAVES = [
    leaf(0x40000000, 0x40000001, 0x4B4D564B, 0x564B4D56, 0x4D),
    leaf(0x40000001, 0x01007EFB),
]

# processor 37 of a host with two threads a core and 32 cores a package; AVX-512, PKU, AMX, CET
INTEL = [
    leaf(0x0, 0x20, 0x756E6547, 0x6C65746E, 0x49656E69),
    leaf(0x1, 0x000806F8, 37 << 24 | 64 << 16 | 0x0800, 0xF7FA3223, 0x0F8BFBFF),
    sub(0x4, 0, 0xFC004121, 0x02C0003F, 0x0000003F, 0),
    sub(0x4, 1, 0xFC004122, 0x01C0003F, 0x0000003F, 0),
    sub(0x4, 2, 0xFC01C143, 0x03C0003F, 0x000007FF, 0),
    sub(0x4, 3, 0xFC0FC163, 0x0380003F, 0x00009FFF, 4),
    sub(0x4, 4),
    leaf(0x6, 0x4),
    sub(0x7, 0, 2, 0xF1BF07AB, 0x1B415FEE, 0xBC814410),
    sub(0x7, 1, 0x00001C30),
    sub(0xB, 0, 1, 2, 0x100, 37),
    sub(0xB, 1, 6, 64, 0x201, 37),
    sub(0xB, 2, 0, 0, 0x002, 37),
    sub(0xD, 0, 0x000602E7, 0x2B00, 0x2B00, 0),
    sub(0xD, 1, 0x1F, 0x2B00, 0x1800, 0),
    sub(0xD, 2, 0x100, 0x240, 0, 0),
    sub(0xD, 5, 0x40, 0x440, 0, 0),
    sub(0xD, 6, 0x200, 0x480, 0, 0),
    sub(0xD, 7, 0x400, 0x680, 0, 0),
    sub(0xD, 9, 0x8, 0xA80, 0, 0),
    sub(0xD, 11, 0x10, 0, 1, 0),
    sub(0xD, 12, 0x18, 0, 1, 0),
    sub(0xD, 17, 0x40, 0xAC0, 2, 0),
    sub(0xD, 18, 0x2000, 0xB00, 6, 0),
    sub(0x1F, 0, 1, 2, 0x100, 37),
    sub(0x1F, 1, 6, 64, 0x201, 37),
    sub(0x1F, 2, 0, 0, 0x002, 37),
    leaf(0x80000000, 0x80000008),
    leaf(0x80000001, 0, 0, 0x121, 0x2C100800),
    leaf(0x80000007, 0, 0, 0, 0x100),
    leaf(0x80000008, 0x3934, 0x200),
    *KVM_LEAVES,
]

# processor 5 of a host with 64 of them, as an older kernel leaks it
AMD = [
    leaf(0x0, 0x10, 0x68747541, 0x444D4163, 0x69746E65),
    leaf(0x1, 0x00A10F11, 5 << 24 | 64 << 16 | 0x0800, 0x76F83203, 0x178BFBFF),
    sub(0x7, 0, 1, 0x219C07AB, 0x0040069C, 0x10),
    sub(0xB, 0, 0, 0, 0, 5),
    sub(0xD, 0, 0x207, 0x988, 0x988, 0),
    sub(0xD, 1, 0xF, 0x348, 0, 0),
    sub(0xD, 2, 0x100, 0x240, 0, 0),
    sub(0xD, 9, 0x8, 0x980, 0, 0),
    leaf(0x80000000, 0x80000026, 0x68747541, 0x444D4163, 0x69746E65),
    leaf(0x80000001, 0x00A10F11, 0x40000000, 0x004003F3, 0x2FD3FBFF),
    leaf(0x80000007, 0, 0, 0, 0x100),
    leaf(0x80000008, 0x3030, 0x0100D205, 0x0002703F, 0),
    sub(0x8000001D, 0, 0x00004121, 0x01C0003F, 0x3F, 0),
    sub(0x8000001D, 1, 0x00004122, 0x01C0003F, 0x3F, 0),
    sub(0x8000001D, 2, 0x00004143, 0x01C0003F, 0x3FF, 2),
    sub(0x8000001D, 3, 0x0003C163, 0x03C0003F, 0x7FFF, 1),
    sub(0x8000001D, 4),
    leaf(0x8000001E, 5, 0x0102, 0x0301, 0),
    leaf(0x80000021, 0x45),
    sub(0x80000026, 0, 1, 2, 0x100, 5),
    sub(0x80000026, 1, 6, 64, 0x201, 5),
    *KVM_LEAVES,
]

# from before leaf 0xB was
OLD_INTEL = [
    *(entry for entry in INTEL if 0x1 <= entry.function <= 0x4 or entry.function >= 0x80000000),
    leaf(0x0, 0xA, 0x756E6547, 0x6C65746E, 0x49656E69),
]

ALL = {"intel": INTEL, "amd": AMD, "old intel": OLD_INTEL}


def supported(entries: list[CpuidEntry]) -> Any:
    """As `System.supported_cpuid_raw` gives it."""
    return to_table(entries)


def by_leaf(table: Any) -> Table:
    """The entries of a `struct kvm_cpuid2 *`, each of which must be there once."""
    entries = to_entries(table)
    found = {(entry.function, entry.index): entry for entry in entries}
    assert len(found) == len(entries)
    return found
