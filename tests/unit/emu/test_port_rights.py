"""Who may access a port (SDM vol. 1, 19.5)."""

from __future__ import annotations

import pytest

from pykvm.emu.port_rights import may_access_port
from pykvm.x86 import Rflags
from tests.unit.emu.rig import TSS, Rig

MAP = 0x68
IOPL_3 = 3 << 12


def with_map(*allowed: int) -> Rig:
    """A program in ring 3 whose TSS allows those ports of the first 64."""
    rig = Rig(32, cpl=3)
    rig.memory.write(TSS + 102, 2, MAP)
    rig.memory.write(TSS + MAP, 8, (1 << 64) - 1 - sum(1 << port for port in allowed))
    rig.memory.write(TSS + MAP + 8, 1, 0xFF)
    rig.registers.tr = rig.registers.tr._replace(limit=MAP + 8)
    return rig


def test_real_mode_and_ring_0_may_all() -> None:
    for rig in (Rig(16), Rig(32), Rig(64)):
        assert may_access_port(rig.registers, rig.memory, 0x60, 1)


def test_iopl_lets_a_program_but_not_virtual_8086_mode() -> None:
    rig = with_map()
    rig.registers.rflags |= IOPL_3
    assert may_access_port(rig.registers, rig.memory, 0x60, 1)
    rig.registers.rflags |= Rflags.VM
    assert not may_access_port(rig.registers, rig.memory, 0x60, 1)


@pytest.mark.parametrize(
    ("port", "size", "allowed"),
    [(7, 1, True), (8, 1, True), (7, 2, True), (6, 1, False), (8, 2, False), (5, 4, False)],
)
def test_the_map_has_a_bit_for_each_port(port: int, size: int, allowed: bool) -> None:
    rig = with_map(7, 8)
    assert may_access_port(rig.registers, rig.memory, port, size) == allowed


def test_beyond_the_segment_s_end_all_is_forbidden() -> None:
    rig = with_map(*range(64))
    assert may_access_port(rig.registers, rig.memory, 63, 1)
    assert not may_access_port(rig.registers, rig.memory, 64, 1)
    rig.registers.tr = rig.registers.tr._replace(limit=MAP)  # one byte: two are read
    assert not may_access_port(rig.registers, rig.memory, 0, 1)


def test_a_16_bit_tss_has_no_map() -> None:
    rig = with_map(7)
    rig.registers.tr = rig.registers.tr._replace(type=3)
    assert not may_access_port(rig.registers, rig.memory, 7, 1)
