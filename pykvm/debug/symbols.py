"""Names for addresses, from the symbol table of the ELF file that the guest was made of.

Source: System V ABI, edition 4.1, chapter 4 (sections, symbol table).  Section headers are read
by pyelftools, an optional dependency (the extra `symbols`); without it there are no names.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import IO, TYPE_CHECKING, NamedTuple

from pykvm.errors import SymbolError
from pykvm.files import NOT_REGULAR, open_regular

if TYPE_CHECKING:
    from elftools.elf.elffile import ELFFile

LONGEST_NAME = 4096
"""In bytes; longer ones, which C++ templates do not reach, are left out."""

_SMALLEST_HEADER = 40
"""Bytes of an ELF32 section header; ELF64's has 64."""

_LINKED = ("ET_EXEC", "ET_DYN")
_TABLES = ("SHT_SYMTAB", "SHT_DYNSYM")
_SHF_ALLOC = 1 << 1
_NAMING = (0, 1, 2, 10)
"""STT_NOTYPE, OBJECT, FUNC and GNU_IFUNC; the others name sections, files, thread-local data."""

_BINDING_RANKS = {1: 2, 2: 1}
"""STB_GLOBAL before STB_WEAK before what is local."""

_UNDEFINED, _FIRST_RESERVED, _ABSOLUTE = 0, 0xFF00, 0xFFF1


class Symbol(NamedTuple):
    """What a symbol table says of one name.

    Attributes:
        name: it.
        address: its value, a linear address.
        size: in bytes; 0 for a label of assembly code, of which the end is not known.
        section: the number of the section it is in; None for a mere number (SHN_ABS).
        rank: of several names for one address the one with the highest rank is told.
    """

    name: str
    address: int
    size: int = 0
    section: int | None = 0
    rank: int = 0


class Symbols:
    """The names of a guest's code and data.

    Args:
        symbols: them, in any order.
        sections: where sections are: first address, and the first one behind, by number.
    """

    def __init__(self, symbols: Iterable[Symbol], sections: dict[int, tuple[int, int]]) -> None:
        by_rank = sorted(symbols, key=lambda symbol: symbol.rank)
        self._addresses = {symbol.name: symbol.address for symbol in by_rank}
        placed = [s for s in by_rank if s.section in sections]
        self._sized = _ByAddress(s for s in placed if s.size)
        in_section: dict[int | None, list[Symbol]] = {}
        for symbol in placed:
            in_section.setdefault(symbol.section, []).append(symbol)
        self._labels = [
            (*place, _ByAddress(in_section[number]))
            for number, place in sections.items()
            if number in in_section
        ]

    def __len__(self) -> int:
        return len(self._addresses)

    def name(self, address: int) -> str | None:
        """What is at a linear address: "main", "main+0x12"; None where nothing has a name.

        That is the innermost symbol whose size reaches the address, or else the label before it
        in the same section.
        """
        symbol = self._sized.around(address) or self._label_before(address)
        if symbol is None:
            return None
        offset = address - symbol.address
        return f"{symbol.name}+{offset:#x}" if offset else symbol.name

    def address(self, name: str) -> int | None:
        """The linear address of a symbol, or its value if it is a mere number; None: no such."""
        return self._addresses.get(name)

    def _label_before(self, address: int) -> Symbol | None:
        for start, end, labels in self._labels:
            if start <= address < end:
                before = labels.before(address)
                # behind the end of something that has one is something else
                return before if before is not None and not before.size else None
        return None


class _ByAddress:
    """Symbols in the order of their addresses, of each address the one of the highest rank last."""

    def __init__(self, symbols: Iterable[Symbol]) -> None:
        self._symbols = sorted(symbols, key=lambda s: (s.address, s.rank))
        self._starts = [s.address for s in self._symbols]
        self._reach = list(accumulate((s.address + s.size for s in self._symbols), max))

    def before(self, address: int) -> Symbol | None:
        """The last one that begins at or before `address`."""
        place = bisect_right(self._starts, address)
        return self._symbols[place - 1] if place else None

    def around(self, address: int) -> Symbol | None:
        """The last one that begins at or before `address` and ends behind it."""
        place = bisect_right(self._starts, address) - 1
        while place >= 0 and self._reach[place] > address:
            if address < self._symbols[place].address + self._symbols[place].size:
                return self._symbols[place]
            place -= 1
        return None


def read_symbols(path: str | os.PathLike[str]) -> Symbols | None:
    """The symbols of an executable; None where there are none to be had.

    So of what is no ELF file or a damaged one, was stripped, or cannot be read, and without
    pyelftools.
    """
    try:
        return require_symbols(path)
    except SymbolError:
        return None


def require_symbols(path: str | os.PathLike[str]) -> Symbols:
    """As `read_symbols`, for a user who has asked for names.

    Raises:
        SymbolError: there are none; one line says why.
    """
    name = os.fspath(path)
    try:
        with open(open_regular(path)[0], "rb") as file:
            symbols = _read(file, name)
    except OSError as error:
        so = ", so it has no symbols" if error.strerror == NOT_REGULAR else ""
        raise SymbolError(f"{name}: {error.strerror}{so}") from None
    except ValueError as error:
        raise SymbolError(f"{name!r}: {error}") from None
    if not symbols:
        raise SymbolError(f"{name}: has no symbols: link it without -s, do not strip it")
    return symbols


def _read(file: IO[bytes], name: str) -> Symbols:
    if file.read(4) != b"\x7fELF":
        raise SymbolError(f"{name}: is not an ELF file, so it has no symbols")
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError:
        raise SymbolError(
            "names need pyelftools, which is not installed: pip install 'pykvm-vmm[symbols]'"
        ) from None
    try:
        elf = ELFFile(file)
        if elf["e_type"] not in _LINKED or not elf.little_endian:
            raise SymbolError(f"{name}: is not a linked x86 file, so its symbols have no addresses")
        sections = _sections(elf, os.fstat(file.fileno()).st_size)
        places = {i: (s.address, s.address + s.size) for i, s in enumerate(sections) if s.mapped}
        return Symbols(_symbols(file, _ENTRIES[elf.elfclass], sections), places)
    except (SymbolError, OSError, MemoryError):
        raise
    except Exception:  # a damaged file makes pyelftools raise nearly anything
        raise SymbolError(f"{name}: its section headers are damaged") from None


class _Entry(NamedTuple):
    """How a class of ELF files lays an entry of its symbol table out: which field is where."""

    layout: struct.Struct
    name: int
    value: int
    size: int
    info: int
    section: int


_ENTRIES = {
    32: _Entry(struct.Struct("<IIIBBH"), name=0, value=1, size=2, info=3, section=5),
    64: _Entry(struct.Struct("<IBBHQQ"), name=0, info=1, section=3, value=4, size=5),
}


class _Section(NamedTuple):
    """A section: the fields of its header that matter, and whether it is there at run time."""

    type: str
    address: int
    offset: int
    size: int
    link: int
    mapped: bool


def _sections(elf: ELFFile, file_size: int) -> list[_Section]:
    count = elf.num_sections()
    if count > file_size // _SMALLEST_HEADER:
        raise ValueError(f"{count} sections")
    found = []
    for section in elf.iter_sections():
        kind, flags, address, offset, size, link = (
            section[f"sh_{field}"] for field in ("type", "flags", "addr", "offset", "size", "link")
        )
        found.append(_Section(str(kind), address, offset, size, link, bool(flags & _SHF_ALLOC)))
    return found


def _symbols(file: IO[bytes], entry: _Entry, sections: list[_Section]) -> Iterator[Symbol]:
    """The symbols of the full table, or else of the one for dynamic linking.

    They are unpacked here, since a kernel has some 100,000, which take pyelftools seconds.
    """
    tables = [s for kind in _TABLES for s in sections if s.type == kind]
    if not tables:
        return
    table = _content(file, tables[0])
    names = _content(file, sections[tables[0].link])
    usable = len(table) - len(table) % entry.layout.size
    for fields in entry.layout.iter_unpack(memoryview(table)[:usable]):
        kind, binding = fields[entry.info] & 0xF, fields[entry.info] >> 4
        section = fields[entry.section]
        is_number = section == _ABSOLUTE
        if kind not in _NAMING or section == _UNDEFINED:
            continue
        if section >= _FIRST_RESERVED and not is_number:
            continue
        start = fields[entry.name]
        end = names.find(b"\0", start, start + LONGEST_NAME + 1)
        name = names[start : max(end, start)].decode("utf-8", "replace")
        # it will be shown on a terminal
        if name.isprintable() and name:
            rank = (4 if kind else 0) + _BINDING_RANKS.get(binding, 0)
            place = None if is_number else section
            yield Symbol(name, fields[entry.value], fields[entry.size], place, rank)


def _content(file: IO[bytes], section: _Section) -> bytes:
    """A section's bytes, as many as there are; asking for more costs memory at once."""
    end = os.fstat(file.fileno()).st_size
    if section.offset >= end:
        return b""
    file.seek(section.offset)
    return file.read(min(section.size, end - section.offset))
