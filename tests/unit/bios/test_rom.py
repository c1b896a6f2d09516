"""The ROM: its code is what its comments say, and everything is where programs look for it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial

import capstone
import pytest

from pykvm.bios import stubs
from pykvm.bios.geometry import Geometry
from pykvm.bios.rom import (
    FLOPPY_SERVICE,
    HARD_DISK_TABLES,
    POWER_ON,
    SERVICES,
    UNUSED,
    build_rom,
    build_vectors,
)
from pykvm.bios.trap import TrapPorts
from pykvm.bus import PORT_SPACE, Bus
from pykvm.layout import BIOS_ROM, BIOS_TRAP

LINE = re.compile(r'^\s+(?:"([0-9a-f ]+)",  # (.*)|trap\((.*)\),)$', re.MULTILINE)

STUBS: dict[str, Callable[[], bytes]] = {
    "service": partial(stubs.service, 0x10),
    "waiting": partial(stubs.waiting_service, 0x16, halt=True),
    "polling": partial(stubs.waiting_service, 0x16, halt=False),
    "bootstrap": stubs.bootstrap,
    "no_system": stubs.no_system,
    "timer": stubs.timer,
    "keyboard": stubs.keyboard,
    "end_of_interrupt": stubs.end_of_interrupt,
    "second_end_of_interrupt": stubs.second_end_of_interrupt,
    "clock": stubs.clock,
    "power_on": partial(stubs.power_on, interrupts=True),
    "power_on_alone": partial(stubs.power_on, interrupts=False),
}


def disassemble(code: bytes) -> list[tuple[str, str]]:
    """Each instruction's bytes and text."""
    engine = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_16)
    return [(i.bytes.hex(" "), f"{i.mnemonic} {i.op_str}".strip()) for i in engine.disasm(code, 0)]


@pytest.mark.parametrize("name", STUBS)
def test_every_line_is_the_instruction_in_its_comment(name: str) -> None:
    make = STUBS[name]
    source = inspect.getsource(make.func if isinstance(make, partial) else make)
    code = make()
    left = disassemble(code)
    assert sum(len(bytes.fromhex(text)) for text, _ in left) == len(code)
    for hexadecimal, comment, trapped in LINE.findall(source):
        if trapped and left[0][0].startswith("e6 3"):
            assert left.pop(0)[1].startswith("out 0x3")
        elif left and left[0][0] == hexadecimal:  # else it is of the other variant
            assert left.pop(0)[1] == comment
    assert left == []


def test_each_service_has_a_port_of_its_own() -> None:
    """Which brings its number to whoever serves it."""
    called: list[int] = []
    ports = Bus("port", PORT_SPACE)
    ports.attach(BIOS_TRAP, 16, TrapPorts(called.append))
    for vector in stubs.VECTORS:
        out = stubs.service(vector)
        assert (out[0], out[2]) == (0xE6, 0xCF)
        ports.write(out[1], 1, 0x55)
    assert called == list(stubs.VECTORS)
    ports.write(BIOS_TRAP + 15, 1, 0)
    assert ports.read(BIOS_TRAP, 1) == 0xFF
    assert len(called) == len(stubs.VECTORS)


def at(rom: bytes, offset: int, length: int) -> bytes:
    start = offset - (BIOS_ROM - 0xF_0000)
    return rom[start : start + length]


@pytest.mark.parametrize("interrupts", [False, True])
def test_the_rom_s_fixed_places(interrupts: bool) -> None:
    rom = build_rom(interrupts=interrupts)
    assert len(rom) == 0x2000
    assert at(rom, 0xFFF0, 5) == b"\xea\x5b\xe0\x00\xf0"
    assert at(rom, POWER_ON, 1) == b"\xfa"
    assert at(rom, 0xFFF5, 8) == b"01/01/26"
    assert at(rom, 0xFFFE, 1) == b"\xfc"
    assert at(rom, 0xE6F5, 10) == bytes.fromhex("08 00 fc 01 00 74 00 00 00 00")
    waits = at(rom, SERVICES[0x16], 9)
    assert waits == stubs.waiting_service(0x16, halt=interrupts)
    assert at(rom, 0xEFC7 + 4, 1) == b"\x12"


def test_the_bootstrap_entry_jumps_to_its_code() -> None:
    rom = build_rom(interrupts=True)
    jump = at(rom, 0xE6F2, 3)
    assert jump[0] == 0xE9
    target = 0xE6F2 + 3 + int.from_bytes(jump[1:], "little", signed=True)
    assert at(rom, target, len(stubs.bootstrap())) == stubs.bootstrap()


def test_disk_tables() -> None:
    disks = (Geometry(1024, 255, 63), Geometry(20, 4, 17), Geometry(1, 16, 63))
    rom = build_rom(interrupts=True, hard_disks=disks, floppy=Geometry(80, 2, 9))
    assert at(rom, HARD_DISK_TABLES, 16).hex() == "0004ff0000000000080000000004" + "3f00"
    assert at(rom, HARD_DISK_TABLES + 16, 16).hex() == "1400040000000000000000001400" + "1100"
    assert at(rom, HARD_DISK_TABLES + 32, 16) == bytes(16)
    assert at(rom, 0xEFC7 + 4, 1) == b"\x09"


def vector(table: bytes, number: int) -> tuple[int, int]:
    """Segment and offset."""
    entry = table[4 * number : 4 * number + 4]
    return int.from_bytes(entry[2:], "little"), int.from_bytes(entry[:2], "little")


def test_vectors() -> None:
    table = build_vectors(hard_disks=2)
    assert len(table) == 1024
    for number, offset in SERVICES.items():
        assert vector(table, number) == (0xF000, offset)
    for number in (0x00, 0x05, 0x1B, 0x1C, 0x21, 0x4A, 0xFF):
        assert vector(table, number) == (0xF000, UNUSED)
    assert vector(table, 0x1D) == (0xF000, 0xF0A4)
    assert vector(table, 0x1E) == (0xF000, 0xEFC7)
    assert vector(table, 0x40) == (0xF000, FLOPPY_SERVICE)
    assert vector(table, 0x46) == (0xF000, HARD_DISK_TABLES + 16)
    assert vector(table, 0x67) == (0, 0)
    rom = build_rom(interrupts=True)
    assert at(rom, UNUSED, 1) == b"\xcf"
    for number in (0x0A, 0x0F, 0x71, 0x77):
        segment, offset = vector(table, number)
        assert segment == 0xF000
        assert b"\xb0\x20" in at(rom, offset, 3)  # mov al, 0x20: an end of interrupt


def test_tables_of_disks_that_are_not_there_have_no_vector() -> None:
    none, one = build_vectors(), build_vectors(hard_disks=1)
    assert vector(none, 0x41) == vector(none, 0x46) == vector(one, 0x46) == (0xF000, UNUSED)
    assert vector(one, 0x41) == (0xF000, HARD_DISK_TABLES)
