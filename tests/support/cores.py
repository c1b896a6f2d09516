"""Core files, read back by pyelftools and field by field; and what to make them of."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pykvm.debug.corefile import NOBODY, write_core
from pykvm.debug.corenotes import CpuState, Origin
from pykvm.kvm.registers import Regs, Sregs
from pykvm.kvm.state import Fpu
from pykvm.layout import GIB
from pykvm.memory import GuestMemory
from pykvm.x86 import Cr0, Cr4, Efer, Mode, flat_code, flat_data, real_segment

elffile = pytest.importorskip("elftools.elf.elffile")

REAL = Sregs(cs=real_segment(0x123, code=True), ss=real_segment(0x2000))
PROTECTED = Sregs(cs=flat_code(8, Mode.PROTECTED), ss=flat_data(16), cr0=Cr0.PE)
PAGED = Sregs(cs=flat_code(8, Mode.PROTECTED), cr0=Cr0.PE | Cr0.PG, cr3=0x1000)
LONG = Sregs(
    cs=flat_code(8, Mode.LONG),
    ss=flat_data(16),
    cr0=Cr0.PE | Cr0.PG,
    cr3=0x1000,
    cr4=Cr4.PAE,
    efer=Efer.LME | Efer.LMA,
)
NT_PRSTATUS, NT_FPREGSET, NT_PRPSINFO, NT_PRXFPREG = 1, 2, 3, 0x46E62B7F


class Load(NamedTuple):
    """A program header that places memory."""

    type: Any
    vaddr: int
    paddr: int
    size: int
    offset: int


class Core:
    """A core file that was read."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes() if path.stat().st_size < GIB else b""
        with path.open("rb") as file:
            elf = elffile.ELFFile(io.BytesIO(self.content) if self.content else file)
            self.bits, self.machine, self.kind = elf.elfclass, elf["e_machine"], elf["e_type"]
            segments = list(elf.iter_segments())
            headers = [s.header for s in segments if s["p_type"] != "PT_NOTE"]
            (notes,) = (s for s in segments if s["p_type"] == "PT_NOTE")
            self.notes = _notes(notes.data())
        self.loads = [Load(h.p_type, h.p_vaddr, h.p_paddr, h.p_filesz, h.p_offset) for h in headers]
        assert all(h.p_filesz == h.p_memsz for h in headers)
        assert all(h.p_offset % h.p_align == h.p_vaddr % h.p_align for h in headers)

    def at(self, linear: int, length: int) -> bytes:
        """What a debugger reads there; of nothing, nothing."""
        for load in self.loads:
            if load.type == "PT_LOAD" and load.vaddr <= linear < load.vaddr + load.size:
                start = load.offset + linear - load.vaddr
                return self.content[start : start + length]
        return b""

    def all(self, owner: bytes, kind: int) -> list[bytes]:
        return [content for name, type, content in self.notes if (name, type) == (owner, kind)]


def _notes(data: bytes) -> list[tuple[bytes, int, bytes]]:
    """By the System V ABI; pyelftools would make structs of some."""
    found = []
    while data:
        namesz, descsz, kind = struct.unpack_from("<III", data)
        content_at = 12 + -(-namesz // 4) * 4
        found.append((data[12 : 12 + namesz - 1], kind, data[content_at : content_at + descsz]))
        assert data[12 + namesz - 1] == 0
        data = data[content_at + -(-descsz // 4) * 4 :]
    return found


def cpu(sregs: Sregs, number: int = 0, *, fpu: Fpu | None = None, **regs: int) -> CpuState:
    """A processor; `regs` are general registers."""
    return CpuState(number, Regs(**regs), sregs, fpu)


def core_of(path: Path, memory: GuestMemory, *cpus: CpuState, origin: Origin = NOBODY) -> Core:
    """The core of a machine, complete."""
    assert write_core(str(path), cpus, memory, origin)
    return Core(path)
