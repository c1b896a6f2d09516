"""The section headers of a Multiboot kernel, so that it can find its own symbols.

Source: Multiboot Specification 0.6.96, 3.3 ("syms", flag 5): all sections are loaded, and their
headers say where; System V ABI, chapter 4, "Sections".
"""

from __future__ import annotations

import struct

from pykvm.boot.elf import ElfFile
from pykvm.boot.room import Room
from pykvm.boot.state import Piece
from pykvm.named import NamedTuple
from pykvm.x86 import PAGE_SIZE, Mode

_SHT_NULL, _SHT_NOBITS = 0, 8
_SHF_ALLOC = 1 << 1
_SHN_LORESERVE = 0xFF00

# sh_name sh_type sh_flags sh_addr sh_offset sh_size sh_link sh_info sh_addralign sh_entsize
_HEADERS = {Mode.PROTECTED: struct.Struct("<10I"), Mode.LONG: struct.Struct("<IIQQQQIIQQ")}
_ADDRESSES = {Mode.PROTECTED: (12, "<I"), Mode.LONG: (16, "<Q")}


class Symbols(NamedTuple):
    """The fields of the information: "num" and "size", "addr" and "shndx"."""

    num: int
    size: int
    addr: int
    shndx: int


class _Section(NamedTuple):
    """A section that no segment loads: its number and place in the file, and where it goes."""

    number: int
    offset: int
    size: int
    place: int


def put_symbols(image: bytes, elf: ElfFile, room: Room, start: int) -> Symbols | None:
    """Load the section headers, and the sections that no segment holds.

    They are a convenience: a file whose table is damaged, or too large for the RAM that is left,
    is taken for one without.

    Args:
        image: the file's bytes.
        elf: its headers.
        room: where they are put.
        start: they lie above this, the kernel's end.

    Returns:
        where the table is; None if there is none.
    """
    header = _HEADERS[elf.mode]
    told = elf.sections
    end = told.shoff + told.shnum * told.shentsize
    if (
        not told.shoff
        or told.shentsize != header.size
        or not 0 < told.shnum < _SHN_LORESERVE
        or told.shstrndx >= told.shnum
        or end > len(image)
    ):
        return None
    table = bytearray(image[told.shoff : end])
    sections = _unloaded(table, header, len(image))
    if sections is None:
        return None
    size = sections[-1].place + sections[-1].size if sections else len(table)
    base = room.lowest(size, align=PAGE_SIZE, start=start)
    if base is None:
        return None
    content = bytearray(size)
    at, form = _ADDRESSES[elf.mode]
    for section in sections:
        struct.pack_into(form, table, section.number * header.size + at, base + section.place)
        content[section.place : section.place + section.size] = image[
            section.offset : section.offset + section.size
        ]
    content[: len(table)] = table
    room.put(Piece(base, bytes(content), size, "the kernel's symbols"))
    return Symbols(told.shnum, told.shentsize, base, told.shstrndx)


def _unloaded(table: bytearray, header: struct.Struct, file_size: int) -> list[_Section] | None:
    """The sections to load, each with its place behind the table; None if one is damaged."""
    sections: list[_Section] = []
    place, total = len(table), 0
    for number, fields in enumerate(header.iter_unpack(table)):
        _, type_, flags, _, offset, size, _, _, align, _ = fields
        if type_ in (_SHT_NULL, _SHT_NOBITS) or flags & _SHF_ALLOC or not size:
            continue
        total += size
        # sections of a file share no bytes, so all of them together are not larger than it
        if offset + size > file_size or total > file_size:
            return None
        place += -place % min(max(align, 4), PAGE_SIZE)
        sections.append(_Section(number, offset, size, place))
        place += size
    return sections
