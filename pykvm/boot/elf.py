"""ELF executables: their PT_LOAD segments at their physical addresses.

Source: System V ABI, edition 4.1, chapters 4 and 5 (header, program header).
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from pykvm.boot.state import BootState, Piece
from pykvm.boot.tables import long_state, protected_state
from pykvm.errors import ImageError
from pykvm.x86 import Mode

_CLASS32, _CLASS64 = 1, 2
_LITTLE_ENDIAN = 1
_ET_EXEC, _ET_DYN = 2, 3
_EM_386, _EM_X86_64 = 3, 62
_PT_LOAD, _PT_INTERP = 1, 3
_PN_XNUM = 0xFFFF
_IDENT_SIZE = 16


class _Class(NamedTuple):
    """What differs between the two classes of files."""

    bits: int
    machine: int
    mode: Mode
    header: struct.Struct
    program_header: struct.Struct


# e_type machine version entry phoff shoff flags ehsize phentsize phnum shentsize shnum shstrndx
_CLASSES = {
    _CLASS32: _Class(
        32, _EM_386, Mode.PROTECTED, struct.Struct("<HHIIIIIHHHHHH"), struct.Struct("<8I")
    ),
    _CLASS64: _Class(
        64, _EM_X86_64, Mode.LONG, struct.Struct("<HHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
    ),
}


class Segment(NamedTuple):
    """One PT_LOAD program header: its place in the table, and the fields that matter."""

    number: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int


def elf_mode(image: bytes) -> Mode:
    """The mode its class asks for: ELF32 protected, ELF64 long.

    Raises:
        ImageError: it is not a well-formed header of an x86 file.
    """
    return _read_class(image).mode


def boot_elf(image: bytes, ram: int, *, entry: int | None = None) -> BootState:
    """An executable, entered at its entry point: ELF32 in protected mode, ELF64 in long mode.

    A segment's bytes go to its physical address, and what its memory size exceeds its file size
    by is zero.  An entry point given as a virtual address (a higher-half kernel's) is taken to
    its physical one, since nothing is mapped elsewhere when the guest starts.

    Args:
        image: the file's bytes.
        ram: bytes of RAM.
        entry: physical address to enter at instead.

    Raises:
        ImageError: it is truncated, not for this machine, or not loadable as it says.
    """
    kind = _read_class(image)
    segments, e_entry = _read_headers(image, kind)
    pieces = tuple(
        Piece(
            s.paddr,
            memoryview(image)[s.offset : s.offset + s.filesz],
            s.memsz,
            f"segment {s.number}",
        )
        for s in segments
    )
    start = _physical_entry(e_entry, segments) if entry is None else entry
    if not any(s.paddr <= start < s.paddr + s.memsz for s in segments):
        raise ImageError(f"ELF: the entry point {start:#x} is outside all loaded segments")
    state = protected_state if kind.mode is Mode.PROTECTED else long_state
    return state(ram, pieces, start, stack=0)


def _read_class(image: bytes) -> _Class:
    if len(image) < _IDENT_SIZE:
        raise ImageError("ELF: the file is too short for its header")
    kind = _CLASSES.get(image[4])
    if kind is None or image[5] != _LITTLE_ENDIAN:
        raise ImageError("ELF: neither a 32-bit nor a 64-bit little-endian file")
    return kind


def _read_headers(image: bytes, kind: _Class) -> tuple[list[Segment], int]:
    """The loadable segments, checked against the file and each other, and e_entry."""
    if len(image) < _IDENT_SIZE + kind.header.size:
        raise ImageError("ELF: the file is too short for its header")
    e_type, machine, _, entry, phoff, _, _, _, phentsize, phnum, *_ = kind.header.unpack_from(
        image, _IDENT_SIZE
    )
    if machine != kind.machine:
        raise ImageError(f"ELF: made for machine {machine}, not for {kind.bits}-bit x86")
    if e_type != _ET_EXEC:
        hint = "link it without -pie" if e_type == _ET_DYN else "link it"
        raise ImageError(f"ELF: type {e_type} is not a static executable: {hint}")
    if phnum and phentsize != kind.program_header.size:
        raise ImageError(f"ELF: program headers of {phentsize} bytes")
    if phnum == _PN_XNUM:
        raise ImageError(f"ELF: {_PN_XNUM} or more program headers are too many")
    if phoff + phnum * phentsize > len(image):
        raise ImageError("ELF: the program headers lie beyond the end of the file")
    segments = []
    for i in range(phnum):
        fields = kind.program_header.unpack_from(image, phoff + i * phentsize)
        if fields[0] == _PT_INTERP:
            raise ImageError("ELF: it wants a dynamic linker: link it with -static")
        if fields[0] == _PT_LOAD:
            segment = _segment(i, fields, kind)
            _check_segment(segment, kind, len(image))
            if segment.memsz:
                segments.append(segment)
    if not segments:
        raise ImageError("ELF: nothing in it is to be loaded (no PT_LOAD)")
    return segments, entry


def _segment(number: int, fields: tuple[int, ...], kind: _Class) -> Segment:
    """From either class's order of the fields."""
    if kind.bits == 32:
        _, offset, vaddr, paddr, filesz, memsz, _, _ = fields
    else:
        _, _, offset, vaddr, paddr, filesz, memsz, _ = fields
    return Segment(number, offset, vaddr, paddr, filesz, memsz)


def _check_segment(s: Segment, kind: _Class, file_size: int) -> None:
    if s.filesz and s.offset + s.filesz > file_size:
        raise ImageError(
            f"ELF: segment {s.number} lies beyond the end of the file: it is truncated"
        )
    if s.filesz > s.memsz:
        raise ImageError(f"ELF: segment {s.number} has more bytes in the file than in memory")
    if s.paddr + s.memsz > 1 << kind.bits or s.vaddr + s.memsz > 1 << kind.bits:
        raise ImageError(f"ELF: segment {s.number} wraps around the end of the address space")


def _physical_entry(entry: int, segments: list[Segment]) -> int:
    if any(s.paddr <= entry < s.paddr + s.memsz for s in segments):
        return entry
    for s in segments:
        if s.vaddr <= entry < s.vaddr + s.memsz:
            return entry - s.vaddr + s.paddr
    return entry
