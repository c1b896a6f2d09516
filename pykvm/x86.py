"""Facts of the x86-64 architecture that more than one room needs: bits, segments, descriptors.

Nothing here knows KVM.  A test compares the bits with the kernel's own header
(asm/processor-flags.h), as the compiler sees it.
"""

from __future__ import annotations

from enum import Enum

from pykvm.named import NamedTuple

PAGE_SIZE = 4096

SEGMENT_SIZE = 1 << 16
"""Of real mode: offsets have 16 bits."""

PIT_HZ = 1_193_182
PIT_LARGEST = 1 << 16
"""A PC's 8254 timer: how often it counts in a second, and the largest divisor, which is where a
BIOS leaves it."""


class Bits:
    """The base of the registers below: a class whose attributes are bits.

    Not `enum.IntFlag`: creating those is a measurable part of a short run's time.
    """

    @classmethod
    def names(cls, value: int) -> list[str]:
        """The names of the bits that are set in `value`, lowest first; others are left out."""
        return [name for name, bit in vars(cls).items() if name.isupper() and bit & value]


class Cr0(Bits):
    """Control register 0 (SDM vol. 3A, 2.5)."""

    PE = 1 << 0
    MP = 1 << 1
    EM = 1 << 2
    TS = 1 << 3
    ET = 1 << 4
    NE = 1 << 5
    WP = 1 << 16
    AM = 1 << 18
    NW = 1 << 29
    CD = 1 << 30
    PG = 1 << 31


class Cr4(Bits):
    """Control register 4 (SDM vol. 3A, 2.5)."""

    VME = 1 << 0
    PVI = 1 << 1
    TSD = 1 << 2
    DE = 1 << 3
    PSE = 1 << 4
    PAE = 1 << 5
    MCE = 1 << 6
    PGE = 1 << 7
    PCE = 1 << 8
    OSFXSR = 1 << 9
    OSXMMEXCPT = 1 << 10
    UMIP = 1 << 11
    LA57 = 1 << 12
    FSGSBASE = 1 << 16
    PCIDE = 1 << 17
    OSXSAVE = 1 << 18
    SMEP = 1 << 20
    SMAP = 1 << 21


class Efer(Bits):
    """The extended feature enable register, MSR 0xC0000080 (SDM vol. 3A, 2.2.1)."""

    SCE = 1 << 0
    LME = 1 << 8
    LMA = 1 << 10
    NX = 1 << 11


class Rflags(Bits):
    """The flags register (SDM vol. 1, 3.4.3); FIXED is the bit that always reads 1."""

    CF = 1 << 0
    FIXED = 1 << 1
    PF = 1 << 2
    AF = 1 << 4
    ZF = 1 << 6
    SF = 1 << 7
    TF = 1 << 8
    IF = 1 << 9
    DF = 1 << 10
    OF = 1 << 11
    NT = 1 << 14
    RF = 1 << 16
    VM = 1 << 17
    AC = 1 << 18
    ID = 1 << 21


class Mode(Enum):
    """The operating modes a guest is entered in (SDM vol. 3A, 2.2)."""

    REAL = "real"
    PROTECTED = "protected"
    LONG = "long"

    @property
    def bits(self) -> int:
        """The default operand and address size of its code: 16, 32 or 64."""
        return {Mode.REAL: 16, Mode.PROTECTED: 32, Mode.LONG: 64}[self]


class Segment(NamedTuple):
    """A segment register with its hidden part, field for field `struct kvm_segment`.

    Attributes:
        base: linear base address (64 bits).
        limit: in bytes, already scaled by granularity (32 bits).
        selector: the visible 16 bits.
        type: the descriptor's 4-bit type field (SDM vol. 3A, 3.4.5.1).
        present, dpl, db, s, l, g, avl: the descriptor's bits of those names.
        unusable: 1 for a register that holds no segment (VMX's term; SVM ignores it).
    """

    base: int = 0
    limit: int = 0xFFFF
    selector: int = 0
    type: int = 3
    present: int = 1
    dpl: int = 0
    db: int = 0
    s: int = 1
    l: int = 0  # noqa: E741 - the field's name in the manual and in the API
    g: int = 0
    avl: int = 0
    unusable: int = 0

    def descriptor(self) -> int:
        """The 64-bit descriptor that loads as this segment (SDM vol. 3A, figure 3-8)."""
        limit = self.limit >> 12 if self.g else self.limit
        return (
            (limit & 0xFFFF)
            | (self.base & 0xFFFFFF) << 16
            | self.type << 40
            | self.s << 44
            | self.dpl << 45
            | self.present << 47
            | (limit >> 16 & 0xF) << 48
            | self.avl << 52
            | self.l << 53
            | self.db << 54
            | self.g << 55
            | (self.base >> 24 & 0xFF) << 56
        )


class DescriptorTable(NamedTuple):
    """GDTR or IDTR: linear base and limit in bytes (the table's size less one)."""

    base: int = 0
    limit: int = 0


LONGEST_INSTRUCTION = 15
"""In bytes (SDM vol. 2A, 2.3.11)."""


def code_bits(cs: Segment, efer: int) -> int:
    """How wide the code in a segment is, in this mode: 16, 32 or 64 bits (SDM vol. 3A, 3.4.5)."""
    if efer & Efer.LMA and cs.l:
        return 64
    return 32 if cs.db else 16


def linear_ip(ip: int, cs_base: int, bits: int) -> int:
    """CS:IP as a linear address: 32 bits of it, except in 64-bit code (SDM vol. 3A, 3.4)."""
    return ip if bits == 64 else (cs_base + ip) & 0xFFFF_FFFF


CODE_TYPE = 0xB
"""Segment.type of code: execute, read, accessed."""

DATA_TYPE = 0x3
"""Segment.type of data: read, write, accessed."""

FLAT_LIMIT = 0xFFFFFFFF


def flat_code(selector: int, mode: Mode) -> Segment:
    """A ring-0 code segment over the whole address space, 32-bit or (Mode.LONG) 64-bit."""
    long = mode is Mode.LONG
    return Segment(
        limit=FLAT_LIMIT, selector=selector, type=CODE_TYPE, db=int(not long), l=int(long), g=1
    )


def flat_data(selector: int) -> Segment:
    """A ring-0 read/write data segment over the whole 4 GiB."""
    return Segment(limit=FLAT_LIMIT, selector=selector, type=DATA_TYPE, db=1, g=1)


def real_segment(selector: int, *, code: bool = False) -> Segment:
    """A segment register as real mode loads it: base 16 times the selector, 64 KiB."""
    return Segment(base=selector << 4, selector=selector, type=CODE_TYPE if code else DATA_TYPE)


def is_unmaskable(entry: int) -> bool:
    """Whether an entry of an IOAPIC or of a local vector table, not masked itself, delivers SMI,
    NMI or INIT, which RFLAGS.IF does not hold back.

    Both have the delivery mode in bits 8 to 10 and the mask in bit 16 (82093AA datasheet, 3.2.4;
    SDM vol. 3A, 11.5.1).
    """
    return not entry >> 16 & 1 and entry >> 8 & 7 in (2, 4, 5)
