"""Page tables' entries: what the bits of each level mean, in each kind of paging.

Source: SDM vol. 3A, chapter 4.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, NamedTuple

from pykvm.x86 import Bits, Cr0, Cr4, Efer


class PagingMode(Enum):
    """How linear addresses are translated (SDM vol. 3A, 4.1.1)."""

    NONE = "no paging"
    BITS_32 = "32-bit paging"
    PAE = "PAE paging"
    LEVEL_4 = "4-level paging"
    LEVEL_5 = "5-level paging"


class Controls(NamedTuple):
    """The registers that paging depends on.

    Attributes:
        cr0, cr3, cr4, efer: as the processor has them.
        physical_bits: MAXPHYADDR, CPUID.80000008H:EAX[7:0].
        gigabyte_pages: whether CPUID offers pages of 1 GiB.
    """

    cr0: int
    cr3: int
    cr4: int
    efer: int
    physical_bits: int = 52
    gigabyte_pages: bool = True

    @classmethod
    def of(cls, sregs: Any, physical_bits: int = 52, gigabyte_pages: bool = True) -> Controls:
        """Those of an `Sregs`, or of a `struct kvm_sregs`, with what CPUID adds."""
        return cls(sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer, physical_bits, gigabyte_pages)

    @property
    def mode(self) -> PagingMode:
        """Which kind of paging they turn on."""
        if not self.cr0 & Cr0.PG:
            return PagingMode.NONE
        if not self.cr4 & Cr4.PAE:
            return PagingMode.BITS_32
        if not self.efer & Efer.LMA:
            return PagingMode.PAE
        return PagingMode.LEVEL_5 if self.cr4 & Cr4.LA57 else PagingMode.LEVEL_4

    @property
    def steps(self) -> tuple[Step, ...]:
        """The levels of a walk, the uppermost first; none without paging."""
        return _BY_MODE[self.mode]

    @property
    def entry_size(self) -> int:
        """Bytes of an entry."""
        return 4 if self.mode is PagingMode.BITS_32 else 8

    @property
    def root(self) -> int:
        """The physical address of the uppermost table."""
        if self.mode is PagingMode.PAE:
            return self.cr3 & 0xFFFF_FFE0
        return self.cr3 & (0xFFFF_F000 if self.mode is PagingMode.BITS_32 else FRAME)

    @property
    def linear_bits(self) -> int:
        """How many bits of a linear address are translated; the others must be like the last."""
        return _LINEAR_BITS.get(self.mode, 32)


class EntryBits(Bits):
    """The flags of an entry of any level; `PS` is `PAT` in a page table (SDM vol. 3A, 4.5.4)."""

    P = 1 << 0
    RW = 1 << 1
    US = 1 << 2
    PWT = 1 << 3
    PCD = 1 << 4
    A = 1 << 5
    D = 1 << 6
    PS = 1 << 7
    G = 1 << 8
    XD = 1 << 63


class Step(NamedTuple):
    """One level of a kind of paging: its entry's name, which bits of the address select the entry,
    and whether the entry may map a page itself."""

    name: str
    shift: int
    bits: int
    may_map: bool


_PTE, _PDE = Step("PTE", 12, 9, True), Step("PDE", 21, 9, True)
_PML4E = Step("PML4E", 39, 9, False)
_BY_MODE = {
    PagingMode.NONE: (),
    PagingMode.BITS_32: (Step("PDE", 22, 10, True), Step("PTE", 12, 10, True)),
    PagingMode.PAE: (Step("PDPTE", 30, 2, False), _PDE, _PTE),
    PagingMode.LEVEL_4: (_PML4E, Step("PDPTE", 30, 9, True), _PDE, _PTE),
    PagingMode.LEVEL_5: (
        Step("PML5E", 48, 9, False),
        _PML4E,
        Step("PDPTE", 30, 9, True),
        _PDE,
        _PTE,
    ),
}
_LINEAR_BITS = {PagingMode.LEVEL_4: 48, PagingMode.LEVEL_5: 57}
FRAME = (1 << 52) - (1 << 12)
"""Of an entry: the physical address of a table, or of a page of 4 KiB."""

_PSE_36 = 0x1FE000
"""Of a PDE that maps 4 MiB: bits 39:32 of the page's address (SDM vol. 3A, table 4-4)."""


def maps_page(step: Step, value: int, controls: Controls) -> bool:
    """Whether an entry is a page's, rather than a table's."""
    if step.name == "PTE":
        return True
    if not step.may_map or not value & EntryBits.PS:
        return False
    # CR4.PSE matters to 32-bit paging only: there the bit is ignored without it
    return controls.mode is not PagingMode.BITS_32 or bool(controls.cr4 & Cr4.PSE)


def page_address(step: Step, value: int, controls: Controls) -> int:
    """The physical address of the page that an entry maps."""
    if controls.mode is PagingMode.BITS_32 and step.name == "PDE":
        return value & 0xFFC0_0000 | (value & _PSE_36) << 19
    return value & FRAME & -(1 << step.shift)


def canonical(linear: int, controls: Controls) -> int:
    """A linear address from the bits that are translated (SDM vol. 1, 3.3.7.1)."""
    bits = controls.linear_bits
    return linear | -(linear >> bits - 1 << bits) & (1 << 64) - 1 if bits > 32 else linear


def reserved_bits(step: Step, controls: Controls, *, maps: bool) -> int:
    """The bits of an entry that must be clear (SDM vol. 3A, 4.3, 4.4.2 and tables 4-14 to 4-20)."""
    mode, physical = controls.mode, controls.physical_bits
    above = (1 << 52) - (1 << physical)
    is_large = maps and step.name != "PTE"
    if mode is PagingMode.BITS_32:
        if not is_large:
            return 0
        # bits 20:13 hold bits 39:32 of the address, as many as there are
        known = max(min(physical, 40) - 32, 0)
        return 1 << 21 | _PSE_36 & -(1 << 13 + known)
    reserved = above
    if mode is PagingMode.PAE:
        reserved |= 0x7FF << 52
        if step.name == "PDPTE":
            return reserved | 1 << 63 | 0x1E6
    if not controls.efer & Efer.NX:
        reserved |= EntryBits.XD
    if is_large:
        reserved |= (1 << step.shift) - (1 << 13)
        if step.name == "PDPTE" and not controls.gigabyte_pages:
            reserved |= EntryBits.PS
    elif step.name in ("PML5E", "PML4E"):
        reserved |= EntryBits.PS
    return reserved
