"""SYSCALL and SYSENTER, which Unicorn leaves to others (SDM vol. 2B, under their names)."""

from __future__ import annotations

from typing import NamedTuple

from pykvm.emu.events import GENERAL_PROTECTION, INVALID_OPCODE, Event, exception
from pykvm.emu.vectoring import Registers
from pykvm.x86 import FLAT_LIMIT, Efer, Rflags, Segment

MSRS = {
    "star": 0xC000_0081,
    "lstar": 0xC000_0082,
    "fmask": 0xC000_0084,
    "sysenter_cs": 0x174,
    "sysenter_esp": 0x175,
    "sysenter_eip": 0x176,
}
"""IA32_STAR and the others (SDM vol. 4, table 2-2)."""


class SyscallMsrs(NamedTuple):
    """What says where a program's calls lead, by the names of `MSRS`."""

    star: int
    lstar: int
    fmask: int
    sysenter_cs: int
    sysenter_esp: int
    sysenter_eip: int


class Saved(NamedTuple):
    """What SYSCALL leaves in general registers."""

    rcx: int
    r11: int


def _code(selector: int, *, is_64_bit: bool) -> Segment:
    bits = {"l": 1, "db": 0} if is_64_bit else {"l": 0, "db": 1}
    return Segment(limit=FLAT_LIMIT, selector=selector & 0xFFFC, type=0xB, g=1, **bits)


def _stack(selector: int) -> Segment:
    return Segment(limit=FLAT_LIMIT, selector=selector, type=3, db=1, g=1)


def syscall(registers: Registers, msrs: SyscallMsrs, behind: int) -> Saved | Event:
    """Enter the kernel by SYSCALL.

    Args:
        registers: are changed.
        msrs: where to.
        behind: the address of the next instruction.

    Returns:
        what to leave in registers, or the exception that it is.
    """
    if not (registers.is_long and registers.cs.l and registers.efer & Efer.SCE):
        return exception(INVALID_OPCODE, 0)
    saved = Saved(behind, registers.rflags & ~Rflags.RF)
    selector = msrs.star >> 32 & 0xFFFC
    registers.cs, registers.ss = _code(selector, is_64_bit=True), _stack(selector + 8)
    registers.rip = msrs.lstar
    registers.rflags = registers.rflags & ~(msrs.fmask | Rflags.RF) | Rflags.FIXED
    return saved


def sysenter(registers: Registers, msrs: SyscallMsrs) -> Event | None:
    """Enter the kernel by SYSENTER; returns the exception that it is instead."""
    selector = msrs.sysenter_cs & 0xFFFC
    if not registers.is_protected or not selector:
        return exception(GENERAL_PROTECTION, 0)
    registers.cs = _code(selector, is_64_bit=registers.is_long)
    registers.ss = _stack(selector + 8)
    mask = (1 << 64) - 1 if registers.is_long else FLAT_LIMIT
    registers.rip, registers.rsp = msrs.sysenter_eip & mask, msrs.sysenter_esp & mask
    registers.rflags &= ~(Rflags.VM | Rflags.IF | Rflags.RF)
    return None
