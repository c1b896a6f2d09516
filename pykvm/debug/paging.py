"""The walk of page tables, each level shown (SDM vol. 3A, chapter 4).

Pure: it reads physical memory through a function, so that a test, a core file or a running machine
can be walked alike.  A table may say anything: a walk has at most five steps, and what leads
outside of RAM ends it with words, not with an error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pykvm.debug.page_entries import (
    FRAME,
    Controls,
    EntryBits,
    PagingMode,
    Step,
    canonical,
    maps_page,
    page_address,
    reserved_bits,
)
from pykvm.sizes import size_words

ReadPhysical = Callable[[int, int], "bytes | None"]
"""Given an address and a length: the bytes there, or None where that is not RAM."""


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


def translate(read: ReadPhysical, controls: Controls, gva: int) -> Translation:
    """Walk from `controls.cr3` to the page that holds a linear address.

    Rights are shown, not applied: the walk is that of a supervisor who reads.

    Args:
        read: physical memory.
        controls: the processor's.
        gva: the linear address, 0 to 2**64 - 1.
    """
    mode = controls.mode
    failure = _unfit(gva, controls)
    if failure is not None:
        return Translation(gva, mode, (), None, None, failure)
    if mode is PagingMode.NONE:
        return Translation(gva, mode, (), gva, None, None)
    table = controls.root
    levels: list[Level] = []
    for step in controls.steps:
        address = table + (gva >> step.shift & (1 << step.bits) - 1) * controls.entry_size
        raw = read(address, controls.entry_size)
        if raw is None:
            levels.append(Level(step.name, address, None, ()))
            failure = f"the {step.name} at {address:#x} is not in RAM"
            return Translation(gva, mode, tuple(levels), None, None, failure)
        value = int.from_bytes(raw, "little")
        maps = maps_page(step, value, controls)
        size = 1 << step.shift if maps else None
        levels.append(Level(step.name, address, value, _flags(step, value, mode), size))
        failure = _fault(step, value, controls, maps=maps)
        if failure is not None:
            return Translation(gva, mode, tuple(levels), None, None, failure)
        table = value & FRAME
        if size is not None:
            gpa = page_address(step, value, controls) | gva & size - 1
            return Translation(gva, mode, tuple(levels), gpa, size, None)
    raise AssertionError("the last level always maps a page")


def _unfit(gva: int, controls: Controls) -> str | None:
    """Why no processor in this mode has such a linear address; None if it has."""
    bits = controls.linear_bits
    if bits == 32:
        return None if gva >> 32 == 0 else f"{gva:#x} is not a 32-bit address"
    if gva == canonical(gva & (1 << bits) - 1, controls):
        return None
    return f"{gva:#x} is not canonical: bits {bits - 1} to 63 differ"


def _flags(step: Step, value: int, mode: PagingMode) -> tuple[str, ...]:
    if mode is PagingMode.BITS_32:
        value &= 0xFFFF_FFFF
    names = EntryBits.names(value)
    return tuple("PAT" if name == "PS" and step.name == "PTE" else name for name in names)


def _fault(step: Step, value: int, controls: Controls, *, maps: bool) -> str | None:
    """Why a processor stops at an entry; None if it goes on."""
    if not value & EntryBits.P:
        return f"the {step.name} is not present"
    reserved = value & reserved_bits(step, controls, maps=maps)
    if reserved:
        return f"the {step.name} has reserved bits set: {reserved:#x}"
    return None
