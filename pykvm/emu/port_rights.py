"""Whether a program may access an I/O port (SDM vol. 1, 19.5).  Unicorn lets all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.x86 import Rflags

if TYPE_CHECKING:
    from pykvm.emu.descriptors import Linear
    from pykvm.emu.vectoring import Registers

_MAP_BASE = 102
"""Where a 32- or 64-bit TSS has the offset of its I/O permission bit map."""

_TSS_TYPES = (9, 11)
_IOPL_SHIFT = 12


def may_access_port(registers: Registers, memory: Linear, port: int, size: int) -> bool:
    """Whether the current program may access `size` ports from `port` on.

    In virtual-8086 mode, and where IOPL is below the privilege level, the TSS says.

    Raises:
        Fault: the TSS cannot be read.
    """
    if not registers.is_protected:
        return True
    iopl = registers.rflags >> _IOPL_SHIFT & 3
    if registers.cpl <= iopl and not registers.rflags & Rflags.VM:
        return True
    tss = registers.tr
    if not tss.present or tss.type not in _TSS_TYPES or tss.limit < _MAP_BASE + 1:
        return False
    at = memory.read(tss.base + _MAP_BASE, 2) + port // 8
    if at + 1 > tss.limit:  # two bytes are read, always
        return False
    bits = memory.read(tss.base + at, 2) >> port % 8
    return not bits & ((1 << size) - 1)
