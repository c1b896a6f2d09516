"""What CPUID tells on an emulated processor: what Unicorn can play, without an APIC.

Unicorn plays an Intel processor of the Haswell family without AVX.  It also says that a hypervisor
is there (leaf 1, ECX bit 31), so leaf 0x40000000 tells which: QEMU's TCG, which Unicorn is made of.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

_APIC = 1 << 9  # leaf 1 EDX
_HYPERVISOR = 0x4000_0000
_SIGNATURE = b"TCGTCGTCGTCG"

Leaf = tuple[int, int, int, int]
"""EAX, EBX, ECX and EDX."""


def cpuid(leaf: int, subleaf: int) -> Leaf:
    """The registers after CPUID."""
    if _HYPERVISOR <= leaf < _HYPERVISOR + 0x100:
        return _hypervisor_leaf(leaf)
    eax, ebx, ecx, edx = _unicorns_own(leaf, subleaf)
    return (eax, ebx, ecx, edx & ~_APIC) if leaf == 1 else (eax, ebx, ecx, edx)


def _hypervisor_leaf(leaf: int) -> Leaf:
    if leaf != _HYPERVISOR:
        return 0, 0, 0, 0
    words = [int.from_bytes(_SIGNATURE[at : at + 4], "little") for at in (0, 4, 8)]
    return _HYPERVISOR, words[0], words[1], words[2]


@cache
def _asking() -> Any:
    """A processor that executes CPUID and nothing else."""
    from pykvm.emu.hooks import new_uc

    uc = new_uc()
    uc.mem_map(0, 0x1000)
    uc.mem_write(0, b"\x0f\xa2")  # cpuid
    return uc


@lru_cache(256)  # a guest may ask for more than a host can keep
def _unicorns_own(leaf: int, subleaf: int) -> Leaf:
    from unicorn import x86_const as x86

    uc = _asking()
    registers = x86.UC_X86_REG_EAX, x86.UC_X86_REG_EBX, x86.UC_X86_REG_ECX, x86.UC_X86_REG_EDX
    uc.reg_write(x86.UC_X86_REG_RAX, leaf)
    uc.reg_write(x86.UC_X86_REG_RCX, subleaf)
    uc.emu_start(0, 2)
    eax, ebx, ecx, edx = (uc.reg_read(register) for register in registers)
    return eax, ebx, ecx, edx
