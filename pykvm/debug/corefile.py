"""An ELF core file of a stopped machine: its RAM and its processors' registers, for gdb.

Source: System V ABI, edition 4.1, chapter 5; docs/core.md tells what is where and why.  RAM that
is zero becomes a hole, and what the guest never touched is not even looked at.
"""

from __future__ import annotations

import os
import stat
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from pykvm.debug.corenotes import CpuState, Origin, notes
from pykvm.debug.mappings import Mappings, Range, find_mappings
from pykvm.debug.page_entries import Controls
from pykvm.errors import CoreError
from pykvm.x86 import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykvm.memory import GuestMemory

PHYSICAL_WINDOW = 1 << 60
"""Where RAM is at its physical addresses in a 64-bit core of a paging guest: at no address that a
processor could have mapped, since none of these is canonical."""

PT_LOAD, PT_NOTE = 1, 4
PT_PHYSICAL = 0x6B76_6D00
"""In a 32-bit core of a paging guest, which has no addresses to spare: RAM as it lies in memory.
A type of this system's own (PT_LOOS to PT_HIOS)."""

_READ_WRITE_EXECUTE = 7
_ET_CORE, _EM_386, _EM_X86_64 = 4, 3, 62
_CHUNK = 1 << 20
"""How much RAM is copied at once, to be looked through for zero pages."""

_ZEROS = bytes(_CHUNK)

NOBODY = Origin()


class _Header(NamedTuple):
    """A program header, by its fields' names."""

    type: int
    offset: int
    vaddr: int
    paddr: int
    size: int


class _Class(NamedTuple):
    """What differs between the two classes of files."""

    ident: int
    machine: int
    file: struct.Struct
    program: struct.Struct


# e_type machine version entry phoff shoff flags ehsize phentsize phnum shentsize shnum shstrndx
_CLASSES = {
    32: _Class(1, _EM_386, struct.Struct("<16sHHIIIIIHHHHHH"), struct.Struct("<8I")),
    64: _Class(2, _EM_X86_64, struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")),
}


def check_target(path: str) -> None:
    """See that a core could be written to `path`.

    Raises:
        CoreError: one line that says why not.
    """
    if not path:
        raise CoreError("the core's file name is empty")
    if "\0" in path:
        raise CoreError(f"{path!r}: no file can be named so")
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(path):
        raise CoreError(f"{path}: is a directory: name a file for the core")
    if os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode):
        raise CoreError(f"{path}: is not a regular file, which a core would replace")
    if not os.path.isdir(folder):
        raise CoreError(f"{path}: there is no directory {folder} for the core")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise CoreError(f"{path}: no core can be written into {folder}: permission denied")


def write_core(
    path: str, cpus: Sequence[CpuState], memory: GuestMemory, origin: Origin = NOBODY
) -> bool:
    """Write a core file.  It appears complete or not at all, and only its owner may read it.

    Args:
        path: where; a file there is replaced.
        cpus: the processors.  A debugger begins at the first one, whose page tables say at which
            addresses memory is.
        memory: RAM.
        origin: what it is of.

    Returns:
        whether all is there that the page tables map; there can be too much.

    Raises:
        CoreError: it cannot be written: one line says why.
    """
    from tempfile import mkstemp

    check_target(path)
    target = os.path.realpath(path)
    try:
        file, temporary = mkstemp(prefix=".core-", dir=os.path.dirname(target))
        try:
            complete = _write(file, cpus, memory, origin)
            os.replace(temporary, target)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
        finally:
            os.close(file)
    except OSError as error:
        raise CoreError(f"{path}: no core could be written: {error.strerror}") from error
    return complete


def _write(file: int, cpus: Sequence[CpuState], memory: GuestMemory, origin: Origin) -> bool:
    mappings = _mappings(cpus[0], memory)
    bits = _bits(cpus, memory)
    kind = _CLASSES[bits]
    content = notes(cpus, bits, origin)
    count = 1 + len(memory.regions) + (0 if mappings is None else len(mappings.ranges))
    notes_at = kind.file.size + count * kind.program.size
    ram_at = -(-(notes_at + len(content)) // PAGE_SIZE) * PAGE_SIZE
    headers = [_Header(PT_NOTE, notes_at, 0, 0, len(content))]
    headers += _headers(memory, mappings, bits, ram_at)
    head = _file_header(kind, len(headers))
    head += b"".join(_pack(header, bits) for header in headers)
    os.ftruncate(file, ram_at + memory.size)
    _write_all(file, memoryview(head + content), 0)
    _write_ram(file, memory, ram_at)
    return mappings is None or mappings.complete


def _mappings(cpu: CpuState, memory: GuestMemory) -> Mappings | None:
    """What is mapped where a processor goes through page tables.

    Bits of addresses that it does not have lead out of RAM, so CPUID's word is not needed.
    """
    return find_mappings(Controls.of(cpu.sregs), memory) if cpu.runs_paged else None


def _bits(cpus: Sequence[CpuState], memory: GuestMemory) -> int:
    """The class: 32-bit code is read best from an ELF32 core, in which not all RAM may fit."""
    fits = memory.end <= 1 << 32 and memory.size < _MOST_IN_ELF32
    return 32 if fits and not any(cpu.is_long for cpu in cpus) else 64


_MOST_IN_ELF32 = (1 << 32) - (1 << 24)
"""Offsets have 32 bits, and the headers come before RAM."""


def _headers(
    memory: GuestMemory, mappings: Mappings | None, bits: int, ram_at: int
) -> list[_Header]:
    """RAM, then what page tables map of it: the same bytes of the file, at other addresses."""
    if mappings is None:
        type, window = PT_LOAD, 0
    else:
        type, window = (PT_LOAD, PHYSICAL_WINDOW) if bits == 64 else (PT_PHYSICAL, 0)
    headers = [
        _Header(type, ram_at + r.offset, window + r.gpa, r.gpa, r.size) for r in memory.regions
    ]
    for found in () if mappings is None else mappings.ranges:
        offset = ram_at + _offset(found, memory)
        headers.append(_Header(PT_LOAD, offset, found.linear, found.gpa, found.size))
    return headers


def _offset(found: Range, memory: GuestMemory) -> int:
    return next(r.offset + found.gpa - r.gpa for r in memory.regions if r.gpa <= found.gpa < r.end)


def _file_header(kind: _Class, count: int) -> bytes:
    ident = b"\x7fELF" + bytes((kind.ident, 1, 1)) + bytes(9)
    sizes = (kind.file.size, kind.program.size, count, 0, 0, 0)
    return kind.file.pack(ident, _ET_CORE, kind.machine, 1, 0, kind.file.size, 0, 0, *sizes)


def _pack(header: _Header, bits: int) -> bytes:
    type, offset, vaddr, paddr, size = header
    flags, align = (0, 4) if type == PT_NOTE else (_READ_WRITE_EXECUTE, PAGE_SIZE)
    memsz = 0 if type == PT_NOTE else size
    if bits == 32:
        return _CLASSES[32].program.pack(type, offset, vaddr, paddr, size, memsz, flags, align)
    return _CLASSES[64].program.pack(type, flags, offset, vaddr, paddr, size, memsz, align)


def _write_ram(file: int, memory: GuestMemory, ram_at: int) -> None:
    for region in memory.regions:
        for start, end in memory.touched(region):
            for at in range(start, end, _CHUNK):
                chunk = region.view[at : min(at + _CHUNK, end)]
                _write_chunk(file, bytes(chunk), ram_at + region.offset + at)


def _write_chunk(file: int, chunk: bytes, at: int) -> None:
    """Write its runs of pages that are not zero."""
    if chunk == _ZEROS[: len(chunk)]:
        return
    run = 0  # where the run of pages begins that is not written yet
    for place in range(0, len(chunk), PAGE_SIZE):
        if chunk[place : place + PAGE_SIZE] == _ZEROS[:PAGE_SIZE]:
            _write_all(file, memoryview(chunk)[run:place], at + run)
            run = place + PAGE_SIZE
    _write_all(file, memoryview(chunk)[run:], at + run)


def _write_all(file: int, data: memoryview, at: int) -> None:
    while data:
        written = os.pwrite(file, data, at)
        data, at = data[written:], at + written
