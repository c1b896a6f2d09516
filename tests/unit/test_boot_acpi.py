"""The ACPI tables, as a kernel reads them, and as ACPICA's disassembler does."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pykvm import layout
from pykvm.boot.acpi import acpi_tables
from pykvm.boot.platform import Platform
from pykvm.devices.acpi_pm import S5_SLEEP_TYPE
from tests.unit.acpi_reader import Aml, Ram, Table, madt_entries, resources, tables_from

CPUS = [1, 2, 8, 255, 256, 300, 1000]
BASE = 0xE0000

PC = Platform()
SPLIT = Platform(ioapic_version=0x20, has_pics=False)
BARE = Platform(ioapic_version=None, has_pics=False)


def read_tables(cpus: int, platform: Platform = PC) -> tuple[Ram, dict[bytes, Table]]:
    """Finds the pointer as a kernel does that is not told."""
    ram = Ram(acpi_tables(platform._replace(cpus=cpus)).pieces)
    return ram, tables_from(ram, ram.search(b"RSD PTR ", 0xE0000, 0x100000))


@pytest.mark.parametrize("cpus", CPUS)
def test_everything_is_reached_checksummed_and_inside_the_bios_area(cpus: int) -> None:
    ram, tables = read_tables(cpus)
    assert set(tables) == {b"RSDT", b"XSDT", b"FACP", b"APIC", b"DSDT"}
    (piece,) = ram.pieces
    assert piece.gpa == BASE
    assert piece.end <= layout.ACPI_TABLES_END
    assert len(piece.data) == piece.size


def test_the_rsdp_is_where_it_is_said_to_be() -> None:
    tables = acpi_tables(PC, 0x7F000, 0x80000)
    ram = Ram(tables.pieces)
    assert tables.rsdp == 0x7F000 == ram.search(b"RSD PTR ", 0, 0x100000)
    assert all(0x7F000 < table.address < 0x80000 for table in tables_from(ram, 0x7F000).values())


def test_no_two_tables_share_a_byte() -> None:
    ram, tables = read_tables(3)
    facs = tables[b"FACP"].number(36, 4)
    spans = [(table.address, len(table.data)) for table in tables.values()]
    spans += [(BASE, 36), (facs, ram.number(facs + 4, 4))]
    covered = [address + i for address, length in spans for i in range(length)]
    assert len(covered) == len(set(covered))


@pytest.mark.parametrize(
    ("cpus", "base", "end", "words"),
    [
        (0, BASE, 0xF0000, "1 to 4096 processors, not 0"),
        (1, BASE + 16, 0xF0000, "not a multiple of 64"),
        (1, BASE, BASE + 64, "tables of 1 processors take .* there are 64 at 0xe0000"),
        (4096, BASE, 0xF0000, "tables of 4096 processors take"),
        (4097, BASE, 1 << 32, "1 to 4096 processors, not 4097"),
    ],
)
def test_what_cannot_be(cpus: int, base: int, end: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        acpi_tables(Platform(cpus), base, end)


class TestFadt:
    @pytest.fixture
    def fadt(self) -> Table:
        return read_tables(2)[1][b"FACP"]

    def test_revision_and_length_belong_together(self, fadt: Table) -> None:
        assert (fadt.revision, fadt.data[131], len(fadt.data)) == (6, 0, 276)

    def test_the_machine_is_always_in_acpi_mode(self, fadt: Table) -> None:
        assert fadt.data[48:56] == bytes(8)  # SMI_CMD, and what would be written there

    def test_sci(self, fadt: Table) -> None:
        assert fadt.number(46, 2) == 9

    def test_ports_and_their_lengths(self, fadt: Table) -> None:
        blocks = [fadt.number(offset, 4) for offset in range(56, 88, 4)]
        assert blocks == [0x600, 0, 0x604, 0, 0, 0x608, 0, 0]
        assert list(fadt.data[88:94]) == [4, 2, 0, 4, 0, 0]

    def test_extended_addresses_agree_with_the_old_ones(self, fadt: Table) -> None:
        nowhere = (0, 0, 0, 0, 0)
        assert [fadt.register(offset) for offset in range(148, 268, 12)] == [
            (1, 32, 0, 2, 0x600),
            nowhere,
            (1, 16, 0, 2, 0x604),
            nowhere,
            nowhere,
            (1, 32, 0, 3, 0x608),
            *[nowhere] * 4,
        ]
        assert fadt.number(140, 8) == fadt.number(40, 4)
        assert fadt.number(132, 8) == 0  # 5.2.9: only one address of the FACS

    def test_reset(self, fadt: Table) -> None:
        assert fadt.register(116) == (1, 8, 0, 1, 0xCF9)
        assert fadt.data[128] == 6
        assert fadt.number(112, 4) >> 10 & 1

    def test_flags_are_true(self, fadt: Table) -> None:
        flags = {bit for bit in range(32) if fadt.number(112, 4) >> bit & 1}
        # WBINVD, C1, no fixed sleep button, no fixed clock wake-up, reset; so there is a fixed
        # power button (4), the timer has 24 bits (8), and the hardware is not reduced (20)
        assert flags == {0, 2, 5, 6, 10}

    def test_what_a_pc_has(self, fadt: Table) -> None:
        assert fadt.number(109, 2) == 0b111  # ISA devices, an 8042, no VGA
        assert fadt.data[108] == 0x32  # the century in the CMOS RAM

    def test_a_screen_is_a_vga(self) -> None:
        fadt = read_tables(1, PC._replace(has_screen=True))[1][b"FACP"]
        assert fadt.number(109, 2) == 0b011

    @pytest.mark.parametrize("platform", [SPLIT, BARE])
    def test_it_is_the_same_whatever_interrupts(self, fadt: Table, platform: Platform) -> None:
        other = read_tables(2, platform)[1][b"FACP"]
        assert other.data[44:] == fadt.data[44:]  # behind the addresses of FACS and DSDT

    def test_no_deep_idle_states(self, fadt: Table) -> None:
        assert fadt.number(96, 2) > 100
        assert fadt.number(98, 2) > 1000

    def test_facs(self) -> None:
        ram, tables = read_tables(1)
        address = tables[b"FACP"].number(36, 4)
        assert address % 64 == 0
        facs = ram.read(address, 64)
        assert facs[:8] == b"FACS" + bytes([64, 0, 0, 0])
        assert facs[32] == 2
        assert not any(facs[8:32] + facs[33:])


@pytest.mark.parametrize("cpus", CPUS)
class TestMadt:
    def test_controllers(self, cpus: int) -> None:
        madt = read_tables(cpus)[1][b"APIC"]
        assert madt.revision == 3
        assert (madt.number(36, 4), madt.number(40, 4)) == (0xFEE00000, 1)
        ioapics = [body for kind, body in madt_entries(madt) if kind == 1]
        assert ioapics == [bytes.fromhex("00 00 0000c0fe 00000000")]

    def test_processors(self, cpus: int) -> None:
        entries = madt_entries(read_tables(cpus)[1][b"APIC"])
        old = [body for kind, body in entries if kind == 0]
        new = [body for kind, body in entries if kind == 9]
        assert old == [bytes([i, i, 1, 0, 0, 0]) for i in range(min(cpus, 255))]
        ids = [i.to_bytes(4, "little") for i in range(255, cpus)]
        assert new == [b"\0\0" + i + b"\1\0\0\0" + i for i in ids]

    def test_wiring(self, cpus: int) -> None:
        entries = madt_entries(read_tables(cpus)[1][b"APIC"])
        assert [body.hex(" ") for kind, body in entries if kind == 2] == [
            "00 00 02 00 00 00 00 00",  # ISA 0 -> 2, as the bus has it
            "00 09 09 00 00 00 0d 00",  # ISA 9 -> 9, level, active high
        ]
        assert [body.hex(" ") for kind, body in entries if kind == 4] == ["ff 00 00 01"]
        x2apic_nmi = [body.hex(" ") for kind, body in entries if kind == 10]
        assert x2apic_nmi == (["00 00 ff ff ff ff 01 00 00 00"] if cpus > 255 else [])
        assert {kind for kind, _ in entries} <= {0, 1, 2, 4, 9, 10}


def test_the_madt_of_a_machine_without_pics() -> None:
    """Only the flag that says so is another: the wiring is the same."""
    pc, split = (read_tables(3, platform)[1][b"APIC"] for platform in (PC, SPLIT))
    assert (pc.number(40, 4), split.number(40, 4)) == (1, 0)
    assert madt_entries(pc) == madt_entries(split)


class TestDsdt:
    @pytest.fixture
    def aml(self) -> Aml:
        return Aml(read_tables(17)[1][b"DSDT"].data[36:])

    def test_integers_have_64_bits(self) -> None:
        assert read_tables(1)[1][b"DSDT"].revision == 2

    def test_only_soft_off_is_a_sleep_state(self, aml: Aml) -> None:
        states = {path: value for path, value in aml.names.items() if path.startswith("\\_S")}
        assert states["\\_S5_"] == [S5_SLEEP_TYPE, 0, 0, 0]
        assert not {"\\_S1_", "\\_S2_", "\\_S3_", "\\_S4_"} & set(states)

    @pytest.mark.parametrize("cpus", [1, 17, 300])
    def test_each_processor_is_that_of_the_madt(self, cpus: int) -> None:
        names = Aml(read_tables(cpus)[1][b"DSDT"].data[36:]).names
        processors = [path[:-5] for path, value in names.items() if value == "ACPI0007"]
        assert [names[f"{path}._UID"] for path in processors] == list(range(cpus))

    @pytest.mark.parametrize(
        ("path", "identifier", "ports", "irq"),
        [
            ("COM1", 0x0105D041, [(0x3F8, 8)], 4),
            ("RTC_", 0x000BD041, [(0x70, 2)], 8),
            ("KBD_", 0x0303D041, [(0x60, 1), (0x64, 1)], 1),
        ],
    )
    def test_isa_devices(
        self, aml: Aml, path: str, identifier: int, ports: list[tuple[int, int]], irq: int
    ) -> None:
        assert f"\\_SB_.{path}" in aml.devices
        assert aml.names[f"\\_SB_.{path}._HID"] == identifier
        assert resources(aml.names[f"\\_SB_.{path}._CRS"]) == (ports, [irq])


def test_without_apics_there_is_no_madt_and_no_device_interrupts() -> None:
    tables = read_tables(1, BARE)[1]
    assert set(tables) == {b"RSDT", b"XSDT", b"FACP", b"DSDT"}
    names = Aml(tables[b"DSDT"].data[36:]).names
    told = [resources(value) for path, value in names.items() if path.endswith("._CRS")]
    assert told == [([(0x3F8, 8)], []), ([(0x70, 2)], []), ([(0x60, 1), (0x64, 1)], [])]


def test_pics_alone_have_no_madt_but_devices_do_interrupt() -> None:
    tables = read_tables(1, Platform(ioapic_version=None))[1]
    assert b"APIC" not in tables
    names = Aml(tables[b"DSDT"].data[36:]).names
    assert resources(names["\\_SB_.COM1._CRS"]) == ([(0x3F8, 8)], [4])


@pytest.mark.skipif(
    shutil.which("iasl") is None, reason="ACPICA's iasl is not installed (apt install acpica-tools)"
)
@pytest.mark.parametrize(("cpus", "platform"), [(1, PC), (300, PC), (2, SPLIT), (1, BARE)])
def test_acpica_disassembles_all_tables_and_compiles_the_dsdt_again(
    cpus: int, platform: Platform, tmp_path: Path
) -> None:
    def iasl(*arguments: str) -> str:
        done = subprocess.run(
            ["iasl", *arguments], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        return done.stdout + done.stderr

    ram, tables = read_tables(cpus, platform)
    facs = tables[b"FACP"].number(36, 4)
    blobs = {signature.decode(): table.data for signature, table in tables.items()}
    for name, data in {**blobs, "FACS": ram.read(facs, 64)}.items():
        (tmp_path / f"{name}.dat").write_bytes(data)
        said = iasl("-d", f"{name}.dat")
        assert f"{name}.dsl" in said
        assert not [word for word in ("warning", "error", "invalid") if word in said.lower()]
    assert "0 Errors, 0 Warnings, 0 Remarks" in iasl("DSDT.dsl")
