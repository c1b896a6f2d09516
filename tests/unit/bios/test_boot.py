"""INT 19h and 18h, what lies in RAM at power-on, and calls that are none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pykvm.bios import Disk, Registers, SegmentValue
from pykvm.boot.pieces import check_pieces
from pykvm.layout import MIB
from pykvm.memory import Gpa
from pykvm.x86 import Mode
from tests.unit.bios.rig import Rig

Make = Callable[..., Rig]


def bootable(folder: Path, name: str, *, sectors: int = 4, signature: int = 0xAA55) -> Disk:
    path = folder / name
    sector = name.encode().ljust(510, b".") + signature.to_bytes(2, "little")
    path.write_bytes(sector + bytes(512 * (sectors - 1)))
    return Disk(path)


def test_the_first_hard_disk_is_booted(make_rig: Make, tmp_path: Path) -> None:
    rig = make_rig(bootable(tmp_path, "one"), bootable(tmp_path, "two"))
    result = rig.call(0x19, dx=0xFFFF)
    assert (result.signal, result.r.dx) == (False, 0x0080)
    assert rig.memory.read(Gpa(0x7C00), 3) == b"one"


def test_a_floppy_is_booted_first(make_rig: Make, tmp_path: Path) -> None:
    rig = make_rig(bootable(tmp_path, "floppy", sectors=2880), bootable(tmp_path, "hard"))
    result = rig.call(0x19, dx=0xFFFF)
    assert (result.signal, result.r.dx) == (False, 0x0000)
    assert rig.memory.read(Gpa(0x7C00), 6) == b"floppy"


def test_a_floppy_without_a_system_is_skipped(make_rig: Make, tmp_path: Path) -> None:
    floppy = bootable(tmp_path, "floppy", sectors=2880, signature=0)
    rig = make_rig(floppy, bootable(tmp_path, "hard"))
    assert rig.call(0x19).r.dx == 0x0080


@pytest.mark.parametrize("signature", [None, 0x0000, 0x55AA])
def test_nothing_to_boot(make_rig: Make, tmp_path: Path, signature: int | None) -> None:
    disks = [] if signature is None else [bootable(tmp_path, "one", signature=signature)]
    rig = make_rig(*disks)
    assert rig.call(0x19).signal
    assert rig.stops == []
    rig.call(0x18)
    assert rig.stops == ["nothing to boot from"]
    assert rig.teletype.data == b"No bootable disk.\r\n"


@pytest.mark.parametrize("interrupts", [False, True])
def test_the_state_at_power_on(make_rig: Make, tmp_path: Path, interrupts: bool) -> None:
    rig = make_rig(bootable(tmp_path, "one"), interrupts=interrupts)
    state = rig.bios.state()
    assert (state.mode, state.entry) == (Mode.REAL, 0xFFFF0)
    assert (state.cs.selector, state.cs.base) == (0xF000, 0xF0000)
    check_pieces(state.pieces, MIB)
    for piece in state.pieces:
        rig.memory.write(Gpa(piece.gpa), piece.data)
    assert rig.memory.read(Gpa(0xFFFF0), 1) == b"\xea"
    segment, offset = (rig.memory.read_uint(Gpa(0x13 * 4 + at), 2) for at in (2, 0))
    assert rig.memory.read(Gpa((segment << 4) + offset), 1) == b"\xe6"


@pytest.mark.parametrize("base", [0, 0x7C00, 0xE_0000, 0xFFFF_0000])
def test_a_call_from_elsewhere_than_the_bios_is_ignored(rig: Rig, base: int) -> None:
    registers = Registers({"rax": 0x0E41, "rflags": 3}, cs=SegmentValue(0xF000, base))
    rig.bios.interrupt(0x10, registers)
    assert (registers.rax, registers.rflags) == (0x0E41, 3)
    assert rig.teletype.data == b""


@pytest.mark.parametrize("vector", [0x00, 0x08, 0x1B, 0x21, 0x100, -1])
def test_vectors_that_are_not_served(rig: Rig, vector: int) -> None:
    registers = Registers({"rax": 0x0E41, "rflags": 3})
    rig.bios.interrupt(vector, registers)
    assert (registers.rax, registers.rflags) == (0x0E41, 3)


def test_parts_of_registers() -> None:
    r = Registers({"rax": 0x1122334455667788, "rsp": 0xFFFF_FFFF_0001_2345})
    assert (r.al, r.ah, r.ax, r.eax, r.sp) == (0x88, 0x77, 0x7788, 0x55667788, 0x2345)
    r.ah = 0x1FF
    assert r.rax == 0x112233445566FF88
    r.al = 0
    r.ax += 1
    assert r.rax == 0x112233445566FF01
    r.eax = -1
    assert r.rax == 0x11223344FFFFFFFF
