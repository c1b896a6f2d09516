"""The tables that flat protected and long mode need, and the states that use them.

They lie in the last free pages of RAM below the hole, out of the way of images: first the GDT's
page, then (long mode) one PML4, the page-directory-pointer tables and the page directories of an
identity mapping by 2 MiB pages.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence

from pykvm.boot.state import BootState, Piece
from pykvm.errors import ImageError
from pykvm.layout import GIB, IDENTITY_MAPPED, LOW_RAM_END, MIB, ram_ranges
from pykvm.named import TYPE_CHECKING, NamedTuple
from pykvm.x86 import (
    PAGE_SIZE,
    Cr0,
    Cr4,
    DescriptorTable,
    Efer,
    Mode,
    Segment,
    flat_code,
    flat_data,
)

if TYPE_CHECKING:
    from pykvm.boot.e820 import Range


class Selectors(NamedTuple):
    """Where code and data have their descriptors in the GDT."""

    code: int
    data: int


SELECTORS = Selectors(code=0x08, data=0x10)
LINUX_SELECTORS = Selectors(code=0x10, data=0x18)
"""__BOOT_CS and __BOOT_DS of the Linux/x86 boot protocol."""

_PRESENT_WRITABLE = 0x3
_PAGE_SIZE_BIT = 0x80
_ENTRIES = 512
_LARGE_PAGE = 2 * MIB
_NO_IDT = DescriptorTable(base=0, limit=0)


def ram_end(ram: int) -> int:
    """The first guest-physical address above `ram` bytes of RAM."""
    return sum(ram_ranges(ram)[-1])


def gdt(*segments: Segment) -> bytes:
    """A descriptor table: the null descriptor, then `segments`, each where its selector says.

    Raises:
        ValueError: a selector is not its segment's place in the table.
    """
    for place, segment in enumerate(segments, start=1):
        if segment.selector != place * 8:
            raise ValueError(f"selector {segment.selector:#x} at entry {place}")
    return struct.pack(f"<{len(segments) + 1}Q", 0, *(s.descriptor() for s in segments))


def identity_map(base: int, end: int) -> bytes:
    """Four-level page tables that map addresses 0 to `end` to themselves, supervisor, writable.

    Args:
        base: the guest-physical address the tables will lie at; the PML4 comes first.
        end: rounded up to a whole GiB; at most 256 TiB.

    Source: SDM vol. 3A, 4.5.4, table 4-18 (a page-directory entry that maps a 2-MiB page).
    """
    directories = -(-end // GIB)
    pointer_tables = -(-directories // _ENTRIES)
    first_pointer_table = base + PAGE_SIZE
    first_directory = first_pointer_table + pointer_tables * PAGE_SIZE
    pml4 = _links(first_pointer_table, pointer_tables)
    pointers = _links(first_directory, directories)
    pages = array(
        "Q",
        range(
            _PRESENT_WRITABLE | _PAGE_SIZE_BIT,
            directories * GIB,
            _LARGE_PAGE,
        ),
    )
    return pml4 + pointers + pages.tobytes()


def _links(first: int, count: int) -> bytes:
    """Whole tables whose first `count` entries point to the pages from `first` on."""
    entries = array("Q", (first + i * PAGE_SIZE | _PRESENT_WRITABLE for i in range(count)))
    entries.extend([0] * (-count % _ENTRIES))
    return entries.tobytes()


def _flat_gdt(code: Segment, data: Segment) -> bytes:
    """The two and, below them, descriptors that are not present."""
    return gdt(
        *(
            Segment(limit=0, selector=selector, type=0, present=0, s=0)
            for selector in range(8, code.selector, 8)
        ),
        code,
        data,
    )


def _place(ram: int, size: int, reserved: Sequence[Range]) -> int:
    """The highest page in low RAM from which on `size` bytes are not reserved; below 0: none."""
    base = min(ram, LOW_RAM_END) - size
    for taken in sorted(reserved, key=lambda r: r.end, reverse=True):
        if taken.base < base + size and base < taken.end:
            base = taken.base // PAGE_SIZE * PAGE_SIZE - size
    return base


def protected_state(
    ram: int,
    pieces: tuple[Piece, ...],
    entry: int,
    stack: int,
    *,
    reserved: Sequence[Range] = (),
    selectors: Selectors = SELECTORS,
) -> BootState:
    """Flat 32-bit protected mode, paging off.

    Args:
        ram: bytes of RAM.
        pieces: the image.
        entry: physical address of the first instruction.
        stack: initial ESP; 0 for the highest place below the tables.
        reserved: where the tables must not lie.
        selectors: where the segments' descriptors are.

    Raises:
        ImageError: the tables do not fit into RAM.
    """
    code, data = flat_code(selectors.code, Mode.PROTECTED), flat_data(selectors.data)
    table = _flat_gdt(code, data)
    base = _place(ram, PAGE_SIZE, reserved)
    if base < 0:
        raise ImageError("there is no room for the boot GDT: more RAM (-m) is due")
    return BootState(
        mode=Mode.PROTECTED,
        pieces=(*pieces, Piece(base, table, PAGE_SIZE, "the boot GDT")),
        rip=entry,
        rsp=stack or base,
        cs=code,
        data=data,
        ss=data,
        gdt=DescriptorTable(base, len(table) - 1),
        idt=_NO_IDT,
        cr0=Cr0.PE | Cr0.ET,
    )


def long_state(
    ram: int,
    pieces: tuple[Piece, ...],
    entry: int,
    stack: int,
    *,
    reserved: Sequence[Range] = (),
    selectors: Selectors = SELECTORS,
) -> BootState:
    """64-bit mode with RAM, and at least the first 4 GiB, mapped one to one.

    SSE is enabled (CR4.OSFXSR): compilers use it for 64-bit code without asking.

    Args:
        ram, pieces, entry, stack, reserved, selectors: as for `protected_state`.

    Raises:
        ImageError: the tables do not fit into RAM.
    """
    code, data = flat_code(selectors.code, Mode.LONG), flat_data(selectors.data)
    table = _flat_gdt(code, data)
    mapped = max(ram_end(ram), IDENTITY_MAPPED)
    size = PAGE_SIZE + len(identity_map(0, mapped))
    base = _place(ram, size, reserved)
    if base < 0:
        raise ImageError(f"long mode needs {size >> 10} KiB for its tables: more RAM (-m) is due")
    paging = base + PAGE_SIZE
    return BootState(
        mode=Mode.LONG,
        pieces=(
            *pieces,
            Piece(base, table, PAGE_SIZE, "the boot GDT"),
            Piece(paging, identity_map(paging, mapped), size - PAGE_SIZE, "the boot page tables"),
        ),
        rip=entry,
        rsp=stack or base,
        cs=code,
        data=data,
        ss=data,
        gdt=DescriptorTable(base, len(table) - 1),
        idt=_NO_IDT,
        cr0=Cr0.PE | Cr0.ET | Cr0.NE | Cr0.MP | Cr0.PG,
        cr3=paging,
        cr4=Cr4.PAE | Cr4.OSFXSR | Cr4.OSXMMEXCPT,
        efer=Efer.LME | Efer.LMA,
    )
