"""The debug registers, shared between debugger and guest."""

from __future__ import annotations

import pytest

pytest.importorskip("pykvm._shim", reason="the guest's registers are of the API's room")

from pykvm.debug.debugregs import DebugRegisters, hit_owners
from pykvm.debug.points import Point
from pykvm.kvm.state import DebugRegs

BREAK = Point("hardware", 0x1000)
WRITE_8 = Point("write", 0x2000, 8)
ACCESS_2 = Point("access", 0x3002, 2)
READ_4 = Point("read", 0x4004, 4)
IDLE = DebugRegs()


@pytest.mark.parametrize(
    ("point", "dr7"),
    [
        (BREAK, 0x402),
        (Point("software", 0x1000), 0x402),
        (Point("write", 0x2000, 1), 0x10402),
        (WRITE_8, 0x90402),
        (ACCESS_2, 0x70402),
        (READ_4, 0xF0402),
    ],
)
def test_dr7_as_the_manual_has_it(point: Point, dr7: int) -> None:
    registers = DebugRegisters()
    assert registers.take(point)
    loaded = registers.load(IDLE)
    assert loaded.registers == (point.address, 0, 0, 0, 0, 0, 0, dr7)
    assert loaded.owners == (point, None, None, None)


def test_four_and_no_more() -> None:
    registers = DebugRegisters()
    points = [BREAK, WRITE_8, ACCESS_2, READ_4]
    assert all(registers.take(point) for point in points)
    assert not registers.take(Point("hardware", 0x5000))
    loaded = registers.load(IDLE)
    assert loaded.registers[:4] == (0x1000, 0x2000, 0x3002, 0x4004)
    assert loaded.registers[7] == 0xF790_0400 | 0xAA
    registers.give_back(WRITE_8)
    assert registers.points == [BREAK, ACCESS_2, READ_4]
    assert registers.take(Point("hardware", 0x5000))


def test_the_guest_s_own_take_what_is_left() -> None:
    registers = DebugRegisters()
    registers.take(BREAK)
    # DR1 off, DR2 writes of 4 bytes (L2), DR3 execution (G3)
    guest = DebugRegs(db=(1, 2, 0x30, 0x40), dr7=0x400 | 1 << 4 | 2 << 6 | 0xD << 24)
    loaded = registers.load(guest)
    assert loaded.owners == (BREAK, 2, 3, None)
    assert loaded.registers == (0x1000, 0x30, 0x40, 0, 0, 0, 0, 0x400 | 0x2A | 0xD << 20)
    assert list(hit_owners(loaded.owners, 0xFFFF_0FF0 | 0b0110)) == [2, 3]


def test_what_is_lifted_leaves_its_register_empty() -> None:
    registers = DebugRegisters()
    registers.take(BREAK)
    registers.take(WRITE_8)
    loaded = registers.load(IDLE, lifted=[BREAK])
    assert loaded.owners == (None, WRITE_8, None, None)
    assert loaded.registers[7] == 0x400 | 8 | 9 << 20
    assert not DebugRegisters().load(IDLE).in_use
