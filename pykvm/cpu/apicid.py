"""Each processor's own number in CPUID."""

from __future__ import annotations

from typing import Any

_HTT = 1 << 28


def number_cpuid(leaves: Any, index: int, count: int) -> None:
    """Say in CPUID leaves which of `count` processors they are for (SDM vol. 2A, CPUID).

    Args:
        leaves: a `struct kvm_cpuid2 *`; changed in place.
        index: the processor's number, which is its APIC id.
        count: of all processors, each a core of its own in one package.
    """
    shift = (count - 1).bit_length()
    for leaf in leaves.entries[0 : leaves.nent]:
        if leaf.function == 1:
            leaf.ebx = leaf.ebx & 0xFFFF | count << 16 | index << 24
            leaf.edx = leaf.edx & ~_HTT | (_HTT if count > 1 else 0)
        elif leaf.function in (0xB, 0x1F):
            leaf.edx = index
            if leaf.index < 2:
                level = leaf.index + 1  # 1: threads of a core, 2: cores
                leaf.eax = shift if level == 2 else 0
                leaf.ebx = count if level == 2 else 1
                leaf.ecx = leaf.index | level << 8
