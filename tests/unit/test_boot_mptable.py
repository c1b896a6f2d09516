"""The MP tables, as a kernel reads them, and both kinds of tables on one machine."""

from __future__ import annotations

import struct

import pytest

from pykvm.boot.firmware_tables import firmware_tables
from pykvm.boot.mptable import mp_tables
from pykvm.boot.pieces import check_pieces
from pykvm.boot.platform import Platform
from pykvm.layout import GIB, KIB, MIB
from tests.unit.acpi_reader import Ram, madt_entries, tables_from

PC = Platform()
LENGTHS = {0: 20, 1: 8, 2: 8, 3: 8, 4: 8}


def read_tables(
    cpus: int, base: int = 0xF0000, platform: Platform = PC
) -> tuple[bytes, list[bytes]]:
    """The header and the entries."""
    ram = Ram([mp_tables(platform._replace(cpus=cpus), base)])
    pointer = ram.read(ram.search(b"_MP_", base, 0x100000), 16)
    address, paragraphs, revision = struct.unpack_from("<IBB", pointer, 4)
    assert (paragraphs, revision) == (1, 4)
    assert sum(pointer) % 256 == 0
    assert pointer[11:] == bytes(5)  # a table; no IMCR
    length = ram.number(address + 4, 2)
    table = ram.read(address, length)
    assert sum(table) % 256 == 0
    assert table[:4] == b"PCMP"
    entries, at = [], 44
    while at < length:
        entries.append(table[at : at + LENGTHS[table[at]]])
        at += LENGTHS[table[at]]
    assert at == length
    return table[:44], entries


@pytest.mark.parametrize("cpus", [1, 2, 255, 300])
def test_header(cpus: int) -> None:
    header, entries = read_tables(cpus)
    assert header[6] == 4
    oem_table, oem_size, count, local_apic, extended = struct.unpack_from("<IHHIH", header, 28)
    assert (oem_table, oem_size, extended) == (0, 0, 0)
    assert count == len(entries)
    assert local_apic == 0xFEE00000
    kinds = [entry[0] for entry in entries]
    assert kinds == sorted(kinds)


@pytest.mark.parametrize(("cpus", "told"), [(1, 1), (2, 2), (255, 255), (256, 255)])
def test_processors(cpus: int, told: int) -> None:
    processors = [entry for entry in read_tables(cpus)[1] if entry[0] == 0]
    assert [entry[1] for entry in processors] == list(range(told))
    assert [entry[3] for entry in processors] == [3] + [1] * (told - 1)  # enabled; the first boots
    assert {entry[2] for entry in processors} == {0x14}


def test_what_the_processors_are() -> None:
    data = bytes(mp_tables(Platform(1, signature=0x50654, features=0x1783FBFF)).data)
    assert struct.unpack_from("<II8x", data, 16 + 44 + 4) == (0x50654, 0x1783FBFF)


def test_bus_ioapic_and_wiring() -> None:
    entries = [entry.hex(" ") for entry in read_tables(4)[1] if entry[0]]
    assert entries[:2] == ["01 00 49 53 41 20 20 20", "02 00 11 01 00 00 c0 fe"]
    isa = [(0, 2), *((i, i) for i in (1, *range(3, 16)))]
    # kind, flags, bus, its interrupt, IOAPIC, pin; 9 is level-triggered, active high
    assert entries[2:17] == [
        f"03 00 {'0d' if irq == 9 else '00'} 00 00 {irq:02x} 00 {pin:02x}" for irq, pin in isa
    ]
    # the PICs at the first processor's LINT0, NMI at everyone's LINT1
    assert entries[17:] == ["04 03 00 00 00 00 00 00", "04 01 00 00 00 00 ff 01"]


def test_without_pics_nothing_comes_from_them() -> None:
    with_pics = read_tables(4)[1]
    platform = Platform(ioapic_version=0x20, has_pics=False)
    entries = read_tables(4, platform=platform)[1]
    assert [entry for entry in with_pics if entry not in entries] == [
        bytes.fromhex("02 00 11 01 00 00 c0 fe"),
        bytes.fromhex("04 03 00 00 00 00 00 00"),
    ]
    assert [entry for entry in entries if entry not in with_pics] == [
        bytes.fromhex("02 00 20 01 00 00 c0 fe")
    ]


def test_it_may_lie_elsewhere() -> None:
    assert read_tables(1, 0x9FC00)[0][:4] == b"PCMP"


@pytest.mark.parametrize(
    ("cpus", "base", "words"),
    [(0, 0xF0000, "at least one processor, not 0"), (1, 0xF0008, "not a multiple of 16")],
)
def test_what_cannot_be(cpus: int, base: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mp_tables(Platform(cpus), base)


def test_without_an_ioapic_there_is_nothing_to_tell() -> None:
    with pytest.raises(ValueError, match="need an IOAPIC"):
        mp_tables(Platform(ioapic_version=None))


class TestFirmware:
    @pytest.mark.parametrize("ram", [64 * KIB, 640 * KIB, MIB - 4 * KIB])
    def test_no_bios_area_no_tables(self, ram: int) -> None:
        assert firmware_tables(Platform(2), ram) == (0, ())

    @pytest.mark.parametrize("ram", [MIB, 16 * MIB, 8 * GIB])
    @pytest.mark.parametrize("cpus", [1, 288])
    def test_all_is_in_the_bios_area_and_found(self, cpus: int, ram: int) -> None:
        firmware = firmware_tables(Platform(cpus), ram)
        check_pieces(firmware.pieces, ram)
        assert all(0xE0000 <= piece.gpa < piece.end <= 0x100000 for piece in firmware.pieces)
        memory = Ram(firmware.pieces)
        assert memory.search(b"RSD PTR ", 0xE0000, 0x100000) == firmware.rsdp
        assert memory.search(b"_MP_", 0xF0000, 0x100000)
        tables_from(memory, firmware.rsdp)

    def test_without_apics_there_are_no_mp_tables(self) -> None:
        platform = Platform(ioapic_version=None, has_pics=False)
        firmware = firmware_tables(platform, MIB)
        assert [piece.name for piece in firmware.pieces] == ["the ACPI tables"]

    def test_both_kinds_tell_the_same(self) -> None:
        firmware = firmware_tables(Platform(5), MIB)
        madt = tables_from(Ram(firmware.pieces), firmware.rsdp)[b"APIC"]
        in_acpi = [body[1] for kind, body in madt_entries(madt) if kind == 0]
        assert in_acpi == [entry[1] for entry in read_tables(5)[1] if entry[0] == 0]
