"""ELF executables: their PT_LOAD segments at their physical addresses.

Source: System V ABI, edition 4.1, chapters 4 and 5 (header, program header).
"""

from __future__ import annotations

import struct

from pykvm.boot.request import Request
from pykvm.boot.state import BootState, Piece
from pykvm.boot.tables import SELECTORS, Selectors, long_state, protected_state
from pykvm.errors import ImageError
from pykvm.named import NamedTuple
from pykvm.x86 import Mode

_CLASS32, _CLASS64 = 1, 2
_LITTLE_ENDIAN = 1
_ET_EXEC, _ET_DYN = 2, 3
_EM_386, _EM_X86_64 = 3, 62
_PT_LOAD, _PT_INTERP, _PT_NOTE = 1, 3, 4
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
    """One program header: its place in the table, and the fields that matter."""

    number: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int


class Sections(NamedTuple):
    """Where the ELF header says that the section headers are, by its fields' names."""

    shoff: int
    shentsize: int
    shnum: int
    shstrndx: int


class ElfFile(NamedTuple):
    """What a loader needs to know of an executable.

    Attributes:
        mode: the mode its class asks for: ELF32 protected, ELF64 long.
        fixed: it is linked for its addresses (ET_EXEC), not for any (ET_DYN).
        entry: e_entry.
        segments: its PT_LOAD headers, checked against the file.
        notes: its PT_NOTE headers, unchecked.
        sections: unchecked.
    """

    mode: Mode
    fixed: bool
    entry: int
    segments: tuple[Segment, ...]
    notes: tuple[Segment, ...]
    sections: Sections

    def require_fixed(self) -> None:
        """For protocols whose kernels do not relocate themselves.

        Raises:
            ImageError: somebody would have to.
        """
        if not self.fixed:
            raise ImageError(
                f"ELF: type {_ET_DYN} is not a static executable: link it without -pie"
            )

    def pieces(self, image: bytes) -> tuple[Piece, ...]:
        """The segments at their physical addresses; what the file does not hold of them is 0."""
        content = memoryview(image)
        return tuple(
            Piece(s.paddr, content[s.offset : s.offset + s.filesz], s.memsz, f"segment {s.number}")
            for s in self.segments
        )

    def start(self, entry: int | None = None) -> int:
        """The physical address of the first instruction.

        An entry point given as a virtual address (a higher-half kernel's) is taken to its
        physical one, since nothing is mapped elsewhere when the guest starts.

        Args:
            entry: physical address to enter at instead.

        Raises:
            ImageError: nothing is loaded there.
        """
        start = self._physical_entry() if entry is None else entry
        if not any(s.paddr <= start < s.paddr + s.memsz for s in self.segments):
            raise ImageError(f"ELF: the entry point {start:#x} is outside all loaded segments")
        return start

    def _physical_entry(self) -> int:
        if any(s.paddr <= self.entry < s.paddr + s.memsz for s in self.segments):
            return self.entry
        for s in self.segments:
            if s.vaddr <= self.entry < s.vaddr + s.memsz:
                return self.entry - s.vaddr + s.paddr
        return self.entry


def boot_elf(
    image: bytes, elf: ElfFile, request: Request, selectors: Selectors = SELECTORS
) -> BootState:
    """An executable, entered at its entry point: ELF32 in protected mode, ELF64 in long mode.

    Args:
        image: the file's bytes.
        elf: what `read_elf` says of them.
        request: the machine it is for.
        selectors: where the segments' descriptors are.

    Raises:
        ImageError: it is position-independent, its entry point is not loaded, or the boot tables
            have no room.
    """
    elf.require_fixed()
    state = protected_state if elf.mode is Mode.PROTECTED else long_state
    return state(
        request.ram,
        elf.pieces(image),
        elf.start(request.entry),
        stack=0,
        reserved=request.reserved,
        selectors=selectors,
    )


def elf_mode(image: bytes) -> Mode:
    """The mode its class asks for: ELF32 protected, ELF64 long.

    Raises:
        ImageError: it is not a well-formed header of an x86 file.
    """
    return _read_class(image).mode


def _read_class(image: bytes) -> _Class:
    if len(image) < _IDENT_SIZE:
        raise ImageError("ELF: the file is too short for its header")
    kind = _CLASSES.get(image[4])
    if kind is None or image[5] != _LITTLE_ENDIAN:
        raise ImageError("ELF: neither a 32-bit nor a 64-bit little-endian file")
    return kind


def read_elf(image: bytes) -> ElfFile:
    """The headers of an executable, checked against the file and each other.

    Raises:
        ImageError: it is truncated, not for this machine, or not loadable as it says.
    """
    kind = _read_class(image)
    if len(image) < _IDENT_SIZE + kind.header.size:
        raise ImageError("ELF: the file is too short for its header")
    fields = kind.header.unpack_from(image, _IDENT_SIZE)
    e_type, machine, _, entry, phoff, shoff, _, _, phentsize, phnum, *section_fields = fields
    if machine != kind.machine:
        raise ImageError(f"ELF: made for machine {machine}, not for {kind.bits}-bit x86")
    if e_type not in (_ET_EXEC, _ET_DYN):
        raise ImageError(f"ELF: type {e_type} is not a static executable: link it")
    if phnum and phentsize != kind.program_header.size:
        raise ImageError(f"ELF: program headers of {phentsize} bytes")
    if phnum == _PN_XNUM:
        raise ImageError(f"ELF: {_PN_XNUM} or more program headers are too many")
    if phoff + phnum * phentsize > len(image):
        raise ImageError("ELF: the program headers lie beyond the end of the file")
    segments, notes = [], []
    for i in range(phnum):
        fields = kind.program_header.unpack_from(image, phoff + i * phentsize)
        if fields[0] == _PT_INTERP:
            raise ImageError("ELF: it wants a dynamic linker: link it with -static")
        if fields[0] == _PT_NOTE:
            notes.append(_segment(i, fields, kind))
        if fields[0] == _PT_LOAD:
            segment = _segment(i, fields, kind)
            _check_segment(segment, kind, len(image))
            if segment.memsz:
                segments.append(segment)
    if not segments:
        raise ImageError("ELF: nothing in it is to be loaded (no PT_LOAD)")
    sections = Sections(shoff, *section_fields)
    fixed = e_type == _ET_EXEC
    return ElfFile(kind.mode, fixed, entry, tuple(segments), tuple(notes), sections)


def _segment(number: int, fields: tuple[int, ...], kind: _Class) -> Segment:
    """From either class's order of the fields."""
    if kind.bits == 32:
        _, offset, vaddr, paddr, filesz, memsz, _, align = fields
    else:
        _, _, offset, vaddr, paddr, filesz, memsz, align = fields
    return Segment(number, offset, vaddr, paddr, filesz, memsz, align)


def _check_segment(s: Segment, kind: _Class, file_size: int) -> None:
    if s.filesz and s.offset + s.filesz > file_size:
        raise ImageError(
            f"ELF: segment {s.number} lies beyond the end of the file: it is truncated"
        )
    if s.filesz > s.memsz:
        raise ImageError(f"ELF: segment {s.number} has more bytes in the file than in memory")
    if s.paddr + s.memsz > 1 << kind.bits or s.vaddr + s.memsz > 1 << kind.bits:
        raise ImageError(f"ELF: segment {s.number} wraps around the end of the address space")
