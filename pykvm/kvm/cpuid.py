"""CPUID: what the processor tells the guest about itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag
from typing import Any

from pykvm._shim import ffi
from pykvm.kvm.structs import load, store


class CpuidFlag(IntFlag):
    """How a leaf is looked up (KVM API 4.46)."""

    SIGNIFICANT_INDEX = 1
    STATEFUL_FUNC = 2
    STATE_READ_NEXT = 4


@dataclass(frozen=True, slots=True)
class CpuidEntry:
    """One CPUID leaf (`struct kvm_cpuid_entry2`).

    Attributes:
        function: EAX on input.
        index: ECX on input, if `flags` has SIGNIFICANT_INDEX.
        flags: `CpuidFlag`.
        eax, ebx, ecx, edx: the output.
    """

    function: int
    index: int = 0
    flags: int = 0
    eax: int = 0
    ebx: int = 0
    ecx: int = 0
    edx: int = 0


def to_entries(table: Any) -> list[CpuidEntry]:
    """The leaves in a `struct kvm_cpuid2 *`."""
    return [load(CpuidEntry, entry) for entry in table.entries[0 : table.nent]]


def to_table(entries: list[CpuidEntry]) -> Any:
    """A `struct kvm_cpuid2 *` of these leaves."""
    table = ffi.new("struct kvm_cpuid2 *", {"nent": len(entries), "entries": len(entries)})
    for i, entry in enumerate(entries):
        store(entry, table.entries[i])
    return table
