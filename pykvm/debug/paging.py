"""The walk of page tables, each level shown (SDM vol. 3A, chapter 4).

Pure: it reads physical memory through a function, so that a test, a core file or a running machine
can be walked alike.  A table may say anything: a walk has at most five steps, and what leads
outside of RAM ends it with words, not with an error.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from pykvm.memory import size_words
from pykvm.x86 import Bits, Cr0, Cr4, Efer

ReadPhysical = Callable[[int, int], "bytes | None"]
"""Given an address and a length: the bytes there, or None where that is not RAM."""


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


class Level(NamedTuple):
    """One step of a walk.

    Attributes:
        name: the entry's, e.g. "PML4E".
        address: physical, of the entry.
        value: the entry; None where its address is not RAM.
        flags: the names of the bits that are set in it, lowest first.
        page_size: in bytes, where it maps a page; else None.
    """

    name: str
    address: int
    value: int | None
    flags: tuple[str, ...]
    page_size: int | None = None

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name:<6} at {self.address:#x}: not RAM"
        size = "" if self.page_size is None else f"  maps {size_words(self.page_size)}"
        return (
            f"{self.name:<6} at {self.address:#x}: {self.value:016x} [{' '.join(self.flags)}]{size}"
        )


class Translation(NamedTuple):
    """What a walk found.

    Attributes:
        gva: the linear address.
        mode: how it was translated.
        levels: the entries met, the uppermost first.
        gpa: the physical address; None where there is none.
        page_size: of the page that holds it, in bytes; None without paging or without a page.
        failure: why there is no `gpa`; None if there is.
    """

    gva: int
    mode: PagingMode
    levels: tuple[Level, ...]
    gpa: int | None
    page_size: int | None
    failure: str | None

    @property
    def writable(self) -> bool:
        """Whether every level lets a write pass."""
        return self.gpa is not None and self._everywhere("RW")

    @property
    def user(self) -> bool:
        """Whether every level lets ring 3 pass."""
        return self.gpa is not None and self._everywhere("US")

    @property
    def executable(self) -> bool:
        """Whether no level forbids instruction fetches."""
        return self.gpa is not None and not any("XD" in level.flags for level in self.levels)

    def _everywhere(self, flag: str) -> bool:
        # the four PDPTEs of PAE paging have neither RW nor US (SDM vol. 3A, table 4-8)
        has_rights = [
            level
            for level in self.levels
            if self.mode is not PagingMode.PAE or level.name != "PDPTE"
        ]
        return all(flag in level.flags for level in has_rights)

    def __str__(self) -> str:
        result = self.failure if self.gpa is None else f"{self.gpa:#x}"
        head = f"{self.gva:#x} -> {result}  ({self.mode.value})"
        return "\n".join([head, *(f"  {level}" for level in self.levels)])


class _Step(NamedTuple):
    """One level of a kind of paging: its entry's name, which bits of the address select the entry,
    and whether the entry may map a page itself."""

    name: str
    shift: int
    bits: int
    may_map: bool


_PTE, _PDE = _Step("PTE", 12, 9, True), _Step("PDE", 21, 9, True)
_PML4E = _Step("PML4E", 39, 9, False)
_BY_MODE = {
    PagingMode.NONE: (),
    PagingMode.BITS_32: (_Step("PDE", 22, 10, True), _Step("PTE", 12, 10, True)),
    PagingMode.PAE: (_Step("PDPTE", 30, 2, False), _PDE, _PTE),
    PagingMode.LEVEL_4: (_PML4E, _Step("PDPTE", 30, 9, True), _PDE, _PTE),
    PagingMode.LEVEL_5: (
        _Step("PML5E", 48, 9, False),
        _PML4E,
        _Step("PDPTE", 30, 9, True),
        _PDE,
        _PTE,
    ),
}
_LINEAR_BITS = {PagingMode.LEVEL_4: 48, PagingMode.LEVEL_5: 57}
_ADDRESS = (1 << 52) - (1 << 12)
_PSE_36 = 0x1FE000
"""Of a PDE that maps 4 MiB: bits 39:32 of the page's address (SDM vol. 3A, table 4-4)."""


def translate(read: ReadPhysical, controls: Controls, gva: int) -> Translation:
    """Walk from `controls.cr3` to the page that holds a linear address.

    Rights are shown, not applied: the walk is that of a supervisor who reads.

    Args:
        read: physical memory.
        controls: the processor's.
        gva: the linear address, 0 to 2**64 - 1.
    """
    mode = controls.mode
    failure = _unfit(gva, mode)
    if failure is not None:
        return Translation(gva, mode, (), None, None, failure)
    if mode is PagingMode.NONE:
        return Translation(gva, mode, (), gva, None, None)
    entry_size = 4 if mode is PagingMode.BITS_32 else 8
    table = controls.cr3 & (0xFFFF_FFE0 if mode is PagingMode.PAE else _ADDRESS)
    levels: list[Level] = []
    for step in _BY_MODE[mode]:
        address = table + (gva >> step.shift & (1 << step.bits) - 1) * entry_size
        raw = read(address, entry_size)
        if raw is None:
            levels.append(Level(step.name, address, None, ()))
            failure = f"the {step.name} at {address:#x} is not in RAM"
            return Translation(gva, mode, tuple(levels), None, None, failure)
        value = int.from_bytes(raw, "little")
        maps = _maps_page(step, value, controls)
        size = 1 << step.shift if maps else None
        levels.append(Level(step.name, address, value, _flags(step, value, mode), size))
        failure = _fault(step, value, controls, maps=maps)
        if failure is not None:
            return Translation(gva, mode, tuple(levels), None, None, failure)
        table = value & _ADDRESS
        if size is not None:
            page = table & -size
            if mode is PagingMode.BITS_32 and size > 1 << 12:
                page = value & 0xFFC0_0000 | (value & _PSE_36) << 19
            return Translation(gva, mode, tuple(levels), page | gva & size - 1, size, None)
    raise AssertionError("the last level always maps a page")


def _unfit(gva: int, mode: PagingMode) -> str | None:
    """Why no processor in this mode has such a linear address; None if it has."""
    bits = _LINEAR_BITS.get(mode)
    if bits is None:
        return None if gva >> 32 == 0 else f"{gva:#x} is not a 32-bit address"
    upper = gva >> bits - 1
    if upper in (0, (1 << 65 - bits) - 1):
        return None
    return f"{gva:#x} is not canonical: bits {bits - 1} to 63 differ"


def _maps_page(step: _Step, value: int, controls: Controls) -> bool:
    if step.name == "PTE":
        return True
    if not step.may_map or not value & EntryBits.PS:
        return False
    # CR4.PSE matters to 32-bit paging only: there the bit is ignored without it
    return controls.mode is not PagingMode.BITS_32 or bool(controls.cr4 & Cr4.PSE)


def _flags(step: _Step, value: int, mode: PagingMode) -> tuple[str, ...]:
    if mode is PagingMode.BITS_32:
        value &= 0xFFFF_FFFF
    names = EntryBits.names(value)
    return tuple("PAT" if name == "PS" and step.name == "PTE" else name for name in names)


def _fault(step: _Step, value: int, controls: Controls, *, maps: bool) -> str | None:
    """Why a processor stops at an entry; None if it goes on."""
    if not value & EntryBits.P:
        return f"the {step.name} is not present"
    reserved = value & _reserved(step, controls, maps=maps)
    if reserved:
        return f"the {step.name} has reserved bits set: {reserved:#x}"
    return None


def _reserved(step: _Step, controls: Controls, *, maps: bool) -> int:
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
