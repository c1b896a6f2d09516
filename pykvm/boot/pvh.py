"""PVH: a 32-bit entry point, named by an ELF note, that is given a `hvm_start_info`.

Sources: Xen's docs/misc/pvh.pandoc (machine state), xen/include/public/arch-x86/hvm/start_info.h
(structures) and xen/include/public/elfnote.h (the note).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from pykvm.boot.bios_data import put_bios_data
from pykvm.boot.e820 import memory_map
from pykvm.boot.elf import ElfFile, Segment
from pykvm.boot.pieces import check_pieces
from pykvm.boot.request import Request, c_string
from pykvm.boot.room import REACH_32, Room
from pykvm.boot.state import BootState, Piece
from pykvm.boot.tables import protected_state
from pykvm.errors import ImageError
from pykvm.x86 import PAGE_SIZE

XEN_ELFNOTE_PHYS32_ENTRY = 18
START_MAGIC = 0x336E_C578
_VERSION = 1

# magic version flags nr_modules modlist cmdline rsdp memmap memmap_entries reserved
_START_INFO = struct.Struct("<4I4Q2I")
_MODULE = struct.Struct("<4Q")  # paddr size cmdline_paddr reserved
_MEMMAP = struct.Struct("<QQII")  # addr size type reserved

_NOTE = struct.Struct("<3I")  # namesz descsz type
_XEN = b"Xen\0"
_NOTES_READ = 4096
"""More than any file has; headers that share their notes would make reading them all long."""


def find_phys32_entry(image: bytes, elf: ElfFile) -> int | None:
    """The entry point that the note XEN_ELFNOTE_PHYS32_ENTRY names; None without such a note.

    Raises:
        ImageError: the note is there and holds no address.
    """
    notes = chain.from_iterable(_notes(image, header) for header in elf.notes)
    for is_xen, type_, content in islice(notes, _NOTES_READ):
        if is_xen and type_ == XEN_ELFNOTE_PHYS32_ENTRY:
            if len(content) not in (4, 8):
                raise ImageError(f"PVH: the note with the entry point has {len(content)} bytes")
            return int.from_bytes(content, "little")
    return None


def _notes(image: bytes, header: Segment) -> Iterator[tuple[bool, int, memoryview]]:
    """Of each note, whether its name is Xen's, its type and its descriptor.

    One that overruns its segment ends the list.

    Source: System V ABI, chapter 5, "Note Section"; in segments that are aligned to 8, so are
    the parts of a note.
    """
    align = 8 if header.align == 8 else 4
    content = memoryview(image)[header.offset : header.offset + header.filesz]
    at = 0
    while at + _NOTE.size <= len(content):
        namesz, descsz, type_ = _NOTE.unpack_from(content, at)
        name_at = at + _NOTE.size
        descriptor_at = name_at + namesz + -(name_at + namesz) % align
        end = descriptor_at + descsz
        if end > len(content):
            return
        is_xen = namesz == len(_XEN) and bytes(content[name_at : name_at + namesz]) == _XEN
        yield is_xen, type_, content[descriptor_at:end]
        at = end + -end % align


def boot_pvh(image: bytes, elf: ElfFile, request: Request, entry: int) -> BootState:
    """Flat 32-bit protected mode without paging, EBX at the start info.

    Modules are at the top of RAM, the structures in low memory where that is free.  A
    position-independent kernel is loaded at the addresses in its file, and relocates itself.

    Args:
        image: the file's bytes.
        elf: what `read_elf` says of them.
        request: what it is given.
        entry: what the note says; a physical address.

    Raises:
        ImageError: something does not fit.
    """
    start = elf.start(entry if request.entry is None else request.entry)
    if start >= REACH_32:
        raise ImageError(f"PVH: the entry point {start:#x} is out of reach of 32-bit code")
    state = protected_state(
        request.ram, elf.pieces(image), start, stack=0, reserved=request.reserved
    )
    check_pieces(state.pieces, request.ram, request.reserved)
    room = Room(request, state.pieces, state.rsp)
    put_bios_data(room, request.ram)
    places = []
    for module in request.modules:
        place = room.highest(len(module.data), align=PAGE_SIZE)
        if place is None:
            raise room.too_small(len(module.data), module.name)
        room.put(Piece(place, module.data, len(module.data), module.name))
        places.append(place)
    size = len(_start_info(0, request, places))
    base = room.find_low(size, "PVH: the start info", end=REACH_32)
    room.put(Piece(base, _start_info(base, request, places), size, "the PVH start info"))
    return state._replace(pieces=room.pieces, rbx=base)


def _start_info(base: int, request: Request, places: Sequence[int]) -> bytes:
    """All structures one behind the other, to be put at `base`."""
    ranges = memory_map(request.ram, request.reserved)
    memmap_at = base + _START_INFO.size
    modlist_at = memmap_at + _MEMMAP.size * len(ranges)
    strings_at = modlist_at + _MODULE.size * len(places)
    strings = c_string(request.cmdline, "the command line")
    modlist = b""
    for module, place in zip(request.modules, places, strict=True):
        modlist += _MODULE.pack(place, len(module.data), strings_at + len(strings), 0)
        strings += c_string(module.cmdline, f"the command line of {module.name}")
    start_info = _START_INFO.pack(
        START_MAGIC,
        _VERSION,
        0,
        len(places),
        modlist_at if places else 0,
        strings_at,
        request.rsdp,
        memmap_at,
        len(ranges),
        0,
    )
    memmap = b"".join(_MEMMAP.pack(*r, 0) for r in ranges)
    return start_info + memmap + modlist + strings
