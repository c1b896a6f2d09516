"""The processor's registers as a BIOS service sees and changes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

GENERAL = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "rflags")
SEGMENTS = ("cs", "ds", "es", "ss")


class SegmentValue(NamedTuple):
    """A segment register: the visible selector and the linear base address behind it."""

    selector: int
    base: int


BIOS_CODE = SegmentValue(0xF000, 0xF_0000)
NULL = SegmentValue(0, 0)


class Part:
    """A part of a general register under its own name: AL, AH, AX, EAX."""

    def __init__(self, register: str, shift: int, bits: int) -> None:
        self._register = register
        self._shift = shift
        self._mask = (1 << bits) - 1

    def __get__(self, registers: Registers, owner: type[Registers]) -> int:
        value: int = getattr(registers, self._register)
        return value >> self._shift & self._mask

    def __set__(self, registers: Registers, value: int) -> None:
        rest: int = getattr(registers, self._register) & ~(self._mask << self._shift)
        setattr(registers, self._register, rest | (value & self._mask) << self._shift)


class Registers:
    """What a service takes and returns its values in.

    RIP is not there on purpose: at the exit it may be at the `out` or behind it, and KVM itself
    finishes that instruction.  Whoever keeps these in a processor writes the general registers
    and `rflags` back always, and ES if `es_changed` says so.

    Args:
        general: the general registers and `rflags` by name, 64 bits each; 0 where not given.
        cs, ds, es, ss: by default as in the BIOS's own code, with the other segments at 0.

    Attributes:
        es_changed: ES was loaded by `load_es`.
    """

    __slots__ = (*GENERAL, *SEGMENTS, "es_changed")

    rax: int
    rbx: int
    rcx: int
    rdx: int
    rsi: int
    rdi: int
    rbp: int
    rsp: int
    rflags: int

    al, ah = Part("rax", 0, 8), Part("rax", 8, 8)
    bl, bh = Part("rbx", 0, 8), Part("rbx", 8, 8)
    cl, ch = Part("rcx", 0, 8), Part("rcx", 8, 8)
    dl, dh = Part("rdx", 0, 8), Part("rdx", 8, 8)
    ax, bx, cx, dx = (Part(f"r{name}x", 0, 16) for name in "abcd")
    si, di, bp, sp = (Part(f"r{name}", 0, 16) for name in ("si", "di", "bp", "sp"))
    eax, ebx, ecx, edx = (Part(f"r{name}x", 0, 32) for name in "abcd")

    def __init__(
        self,
        general: Mapping[str, int] | None = None,
        *,
        cs: SegmentValue = BIOS_CODE,
        ds: SegmentValue = NULL,
        es: SegmentValue = NULL,
        ss: SegmentValue = NULL,
    ) -> None:
        for name in GENERAL:
            setattr(self, name, general.get(name, 0) if general else 0)
        self.cs, self.ds, self.es, self.ss = cs, ds, es, ss
        self.es_changed = False

    def load_es(self, selector: int) -> None:
        """Load ES as real mode does: its base is 16 times the selector."""
        self.es = SegmentValue(selector, selector << 4)
        self.es_changed = True
