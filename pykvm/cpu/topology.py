"""Which processor of how many CPUID says one is: a single package, one thread a core.

What KVM_GET_SUPPORTED_CPUID gives in these leaves is of the host, by kernel more or less of it,
and nothing to rely on (KVM API, "KVM_GET_SUPPORTED_CPUID issues"): none of it reaches a guest.
An APIC id is the processor's number, as in `Vcpu`.

Sources: SDM vol. 2A, CPUID, table 3-8, and vol. 3A, 9.9 "Programming Considerations for Hardware
Multi-Threading Capable Processors"; APM vol. 3, appendix E.
"""

from __future__ import annotations

from collections.abc import Container

from pykvm._shim import ffi
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

SPARE_ENTRIES = 4
"""How many entries more than it has `set_topology` may need in a table."""

MAX_COUNT = 4096
"""More than any kernel's KVM_CAP_MAX_VCPUS, and all that leaf 4 can tell of."""

SIGNIFICANT_INDEX = 1
"""KVM_CPUID_FLAG_SIGNIFCANT_INDEX, written out: `CpuidFlag` would bring enum and dataclasses."""

_ENTRY_SIZE: int = ffi.sizeof("struct kvm_cpuid_entry2")

_AMD = {
    (0x68747541, 0x69746E65, 0x444D4163),  # AuthenticAMD
    (0x6F677948, 0x6E65476E, 0x656E6975),  # HygonGenuine
}
"""EBX, EDX and ECX of leaf 0, for the vendors who count as AMD does."""

_X2APIC_LEAF, _V2_LEAF, _AMD_EXTENDED_LEAF = 0xB, 0x1F, 0x80000026
_STALE = frozenset({_X2APIC_LEAF, _V2_LEAF, _AMD_EXTENDED_LEAF})
_TOUCHED = frozenset({0, 1, 4, 0x80000001, 0x80000008, 0x8000001D, 0x8000001E})

_HTT = 1 << 28  # leaf 1 EDX
_CMP_LEGACY = 1 << 1  # leaf 0x80000001 ECX
_SMT_LEVEL, _CORE_LEVEL = 1 << 8, 2 << 8  # leaf 0xB ECX[15:8]
_SHARED_CACHE_LEVEL = 3


def find_leaves(table: Any, functions: Container[int]) -> list[tuple[int, Any]]:
    """Where in a `struct kvm_cpuid2 *` those leaves are, and the entries themselves."""
    entries = table.entries
    # an attribute of each of some 80 structs would take most of the time of a whole `cpuid_for`
    words = memoryview(ffi.buffer(entries, table.nent * _ENTRY_SIZE)).cast("I")
    found = words[:: _ENTRY_SIZE // 4].tolist()  # `function` is an entry's first word
    return [(at, entries[at]) for at, function in enumerate(found) if function in functions]


def set_topology(table: Any, index: int, count: int) -> None:
    """Write into `table` what processor `index` of `count` is told about where it is.

    Args:
        table: `struct kvm_cpuid2 *` with room for `SPARE_ENTRIES` more than its `nent`.
        index: from 0; it is the APIC id.
        count: processors in the machine, 1 to `MAX_COUNT`.
    """
    stale = [at for at, _ in find_leaves(table, _STALE)]
    touched = [(entry.function, entry) for _, entry in find_leaves(table, _TOUCHED)]
    leaf_0 = next((entry for function, entry in touched if function == 0), None)
    is_amd = leaf_0 is not None and (leaf_0.ebx, leaf_0.edx, leaf_0.ecx) in _AMD
    for function, entry in touched:
        _set_leaf(function, entry, index, count, is_amd=is_amd)
    for at in reversed(stale):
        table.nent -= 1
        table.entries[at] = table.entries[table.nent]
    if leaf_0 is not None:
        _add_levels(table, leaf_0, index, count)


def _set_leaf(function: int, entry: Any, index: int, count: int, *, is_amd: bool) -> None:
    addressable = 1 << (count - 1).bit_length()
    if function == 1:
        entry.ebx = entry.ebx & 0xFFFF | min(count, 0xFF) << 16 | (index & 0xFF) << 24
        entry.edx = _with(entry.edx, _HTT, count > 1)
    elif function == 4:
        _share_cache(entry, addressable)
        if entry.eax & 0x1F:
            entry.eax = entry.eax & 0x03FF_FFFF | (min(addressable, 64) - 1) << 26
    elif function == 0x80000001:
        # with it, Linux takes leaf 1's count for cores; Intel has no such bit
        entry.ecx = _with(entry.ecx, _CMP_LEGACY, is_amd and count > 1)
    elif function == 0x80000008 and is_amd:
        size = (count - 1).bit_length()
        entry.ecx = entry.ecx & ~0xF0FF | size << 12 | min(count - 1, 0xFF)
    elif function == 0x8000001D:
        _share_cache(entry, addressable)
    elif function == 0x8000001E and is_amd:
        entry.eax = index
        entry.ebx = index & 0xFF  # the core; one thread in it
        entry.ecx = 0  # node 0, the only one


def _share_cache(entry: Any, addressable: int) -> None:
    """Give each processor its own caches up to level 2, and one of level 3 to all of them."""
    kind, level = entry.eax & 0x1F, entry.eax >> 5 & 7
    if kind:
        sharers = addressable if level >= _SHARED_CACHE_LEVEL else 1
        entry.eax = entry.eax & ~(0xFFF << 14) | (sharers - 1) << 14


def _add_levels(table: Any, leaf_0: Any, index: int, count: int) -> None:
    """Leaf 0xB, on processors without it, too: an APIC id above 254 has no other place."""
    leaf_0.eax = max(leaf_0.eax, _X2APIC_LEAF)
    shift = (count - 1).bit_length()
    for function in (_X2APIC_LEAF, _V2_LEAF):
        if leaf_0.eax < function:
            continue
        for level, (eax, ebx, kind) in enumerate(((0, 1, _SMT_LEVEL), (shift, count, _CORE_LEVEL))):
            entry = table.entries[table.nent]
            table.nent += 1
            entry.function, entry.index, entry.flags = function, level, SIGNIFICANT_INDEX
            entry.eax, entry.ebx, entry.ecx, entry.edx = eax, ebx, kind | level, index


def _with(value: int, bit: int, on: bool) -> int:
    return value | bit if on else value & ~bit
