"""The notes of core files: registers as Linux and QEMU lay them out."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykvm.debug.corenotes import CpuState, Origin
from pykvm.kvm.registers import Regs, Sregs
from pykvm.kvm.state import Fpu
from pykvm.memory import GuestMemory
from pykvm.x86 import PAGE_SIZE, DescriptorTable, flat_data, real_segment
from tests.support.cores import (
    LONG,
    NT_FPREGSET,
    NT_PRPSINFO,
    NT_PRSTATUS,
    NT_PRXFPREG,
    PROTECTED,
    REAL,
    core_of,
    cpu,
)

USER_REGS = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig rip cs flags rsp ss "
    "fs_base gs_base ds es fs gs"
)
"""The fields of `struct user_regs_struct` in asm/user_64.h."""


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    with GuestMemory(16 * PAGE_SIZE) as ram:
        yield ram


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "core"


def test_registers_of_64_bits(path: Path, memory: GuestMemory) -> None:
    names = [f for f in Regs.__slots__ if f != "rflags"]
    values = {name: 0x1111_0000_0000_0000 + i for i, name in enumerate(names)}
    sregs = Sregs(**{f: getattr(LONG, f) for f in LONG.__slots__})
    sregs.fs, sregs.gs = flat_data(0x28)._replace(base=1 << 40), flat_data(0x30)._replace(base=5)
    state = CpuState(0, Regs(rflags=0x246, **values), sregs)
    (status,) = core_of(path, memory, state).all(b"CORE", NT_PRSTATUS)
    assert len(status) == 336
    told = dict(
        zip(
            USER_REGS.split(),
            struct.unpack_from("<27Q", status, 112),
            strict=True,
        )
    )
    assert values.items() <= told.items()
    assert (told["orig"], told["flags"]) == ((1 << 64) - 1, 0x246)
    assert [told[s] for s in ("cs", "ss", "fs", "gs")] == [8, 16, 0x28, 0x30]
    assert (told["fs_base"], told["gs_base"]) == (1 << 40, 5)


def test_registers_of_32_bits_and_a_linear_eip(path: Path, memory: GuestMemory) -> None:
    state = cpu(REAL, rip=0x45, rsp=0xFFFE, rax=1, rbx=2, rcx=3, rdx=4, rsi=5, rdi=6, rbp=7)
    (status,) = core_of(path, memory, state).all(b"CORE", NT_PRSTATUS)
    assert len(status) == 144
    assert struct.unpack_from("<I", status, 24) == (1,)
    told = struct.unpack_from("<17I", status, 72)
    assert told[:7] == (2, 3, 4, 5, 6, 7, 1)
    assert told[11:] == (0xFFFF_FFFF, 0x1275, 0x123, 2, 0xFFFE, 0x2000)


def test_floating_point(path: Path, memory: GuestMemory) -> None:
    one, zero, infinity = (
        struct.pack("<QH6x", 1 << 63, 0x3FFF),
        bytes(16),
        struct.pack("<QH6x", 1 << 63, 0x7FFF),
    )
    # TOP is 6: ST0 is R6, ST1 is R7, ST2 is R0
    fpu = Fpu(
        fpr=(one, zero, infinity, *[bytes(16)] * 5),
        fsw=6 << 11,
        ftwx=0b1100_0001,
        last_ip=0x1234,
        xmm=tuple(bytes([i]) * 16 for i in range(16)),
    )
    (wide,) = core_of(path, memory, cpu(LONG, fpu=fpu)).all(b"CORE", NT_FPREGSET)
    assert len(wide) == 512
    assert struct.unpack_from("<HHB", wide) == (0x37F, 6 << 11, 0b1100_0001)
    assert struct.unpack_from("<QQI", wide, 8) == (0x1234, 0, 0x1F80)
    assert wide[32:48] == one
    assert wide[160:416] == b"".join(fpu.xmm)
    core = core_of(path, memory, cpu(PROTECTED, fpu=fpu))
    (narrow,) = core.all(b"CORE", NT_FPREGSET)
    assert len(narrow) == 108
    # two bits each, R7 first: zero, valid, five times empty, special
    assert struct.unpack_from("<4I", narrow) == (0x37F, 6 << 11, 0b01_00_11_11_11_11_11_10, 0x1234)
    assert narrow[28:58] == one[:10] + zero[:10] + infinity[:10]
    assert core.all(b"LINUX", NT_PRXFPREG) == [wide]


def test_without_floating_point_there_is_no_note_of_it(path: Path, memory: GuestMemory) -> None:
    assert not core_of(path, memory, cpu(LONG)).all(b"CORE", NT_FPREGSET)


def test_the_note_of_what_linux_has_no_room_for(path: Path, memory: GuestMemory) -> None:
    sregs = Sregs(
        cs=real_segment(0x123, code=True),
        cr0=0x10,
        cr2=0x22,
        cr3=0x33000,
        cr4=0x44,
        gdt=DescriptorTable(0x5000, 0x17),
        idt=DescriptorTable(0x6000, 0x3FF),
    )
    (state,) = core_of(path, memory, cpu(sregs, rip=0x45, r8=8)).all(b"QEMU", 0)
    assert struct.unpack_from("<II", state) == (1, len(state)) == (1, 432)
    general = struct.unpack_from("<18Q", state, 8)
    assert (general[8], general[16], general[17]) == (8, 0x45, 2)
    assert struct.unpack_from("<IIIIQ", state, 152) == (0x123, 0xFFFF, 0x9B00, 0, 0x1230)
    assert struct.unpack_from("<IIIIQ", state, 152 + 8 * 24) == (0, 0x17, 0, 0, 0x5000)
    assert struct.unpack_from("<IIIIQ", state, 152 + 9 * 24) == (0, 0x3FF, 0, 0, 0x6000)
    assert struct.unpack_from("<5Q", state, 392) == (0x10, 0, 0x22, 0x33000, 0x44)


@pytest.mark.parametrize(("sregs", "at", "length"), [(REAL, 28, 124), (LONG, 40, 136)])
def test_what_was_run(path: Path, memory: GuestMemory, sregs: Sregs, at: int, length: int) -> None:
    origin = Origin("guest.elf", "pykvm run ä" + "ö" * 90)
    core = core_of(path, memory, cpu(sregs), origin=origin)
    (info,) = core.all(b"CORE", NT_PRPSINFO)
    assert len(info) == length
    assert info[at : at + 16].rstrip(b"\0") == b"guest.elf"
    told = info[at + 16 : at + 96]
    assert told.rstrip(b"\0").decode() == "pykvm run ä" + "ö" * 33
    assert told[-1] == 0
