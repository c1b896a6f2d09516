"""What a guest's tables tell of the machine, for each kind of interrupt controllers."""

from __future__ import annotations

import pytest

from pykvm import Machine, StopReason
from pykvm.layout import MIB
from tests.kvm.test_machine_bios import CLI_HLT, sector
from tests.unit.acpi_reader import Ram, Table, tables_from

pytestmark = pytest.mark.needs()

HAS_APIC = (
    "66 b8 01 00 00 00",  # mov eax, 1
    "0f a2",  # cpuid
    "66 c1 ea 09",  # shr edx, 9
    "88 d0",  # mov al, dl
    "24 01",  # and al, 1
    "e6 f4",  # out 0xf4, al
)
SPEAKER = (
    "b0 03",  # mov al, 3
    "e6 61",  # out 0x61, al
    "e4 61",  # in al, 0x61
    "24 0f",  # and al, 0xf
    "e6 f4",  # out 0xf4, al
)


def code(*lines: str) -> bytes:
    return bytes.fromhex("".join(lines))


def tables(machine: Machine) -> dict[bytes, Table]:
    """The ACPI tables of a machine that boots through its BIOS."""
    state = machine.load(sector(*CLI_HLT))
    ram = Ram(piece for piece in state.pieces if piece.gpa >= 0xE0000)
    return tables_from(ram, ram.search(b"RSD PTR ", 0xE0000, 0x100000))


@pytest.mark.parametrize(("irqchip", "has"), [("kernel", 1), ("split", 1), ("none", 0)])
def test_cpuid_has_an_apic_where_there_is_one(irqchip: str, has: int) -> None:
    with Machine(irqchip=irqchip) as machine:
        for _ in range(2):
            machine.load(code(*HAS_APIC))
            stop = machine.run(timeout=10)
            assert (stop.reason, stop.value) == (StopReason.DEBUG_EXIT, has)


@pytest.mark.parametrize(
    ("irqchip", "pics", "version"), [("kernel", 1, 0x11), ("split", 0, 0x20), ("none", 0, None)]
)
def test_the_tables_tell_of_the_controllers(irqchip: str, pics: int, version: int | None) -> None:
    with Machine(2 * MIB, irqchip=irqchip) as machine:
        found = tables(machine)
        assert found[b"FACP"].number(109, 2) == 0b011  # there is a screen
        assert (b"APIC" in found) == (version is not None)
        state = machine.load(sector(*CLI_HLT))
        mp = [piece for piece in state.pieces if piece.name == "the MP tables"]
        if version is None:
            assert not mp
            return
        assert found[b"APIC"].number(40, 4) == pics
        (leaf_1,) = (e for e in machine.cpus[0].vcpu.get_cpuid2() if e.function == 1)
        table = bytes(mp[0].data)
        processor = table[16 + 44 :]
        assert int.from_bytes(processor[4:8], "little") == leaf_1.eax
        assert int.from_bytes(processor[8:12], "little") == leaf_1.edx
        ioapic = processor[20 + 8 :]
        assert ioapic[:3] == bytes((2, 0, version))


@pytest.mark.parametrize("irqchip", ["kernel", "split", "none"])
def test_the_speaker_s_port_keeps_what_is_written(irqchip: str) -> None:
    with Machine(strict=True, irqchip=irqchip) as machine:
        for _ in range(2):
            machine.load(code(*SPEAKER))
            assert machine.run(timeout=10).value == 3


@pytest.mark.parametrize("irqchip", ["split", "none"])
def test_another_image_finds_the_speaker_silent(irqchip: str) -> None:
    with Machine(strict=True, irqchip=irqchip) as machine:
        machine.load(code(*SPEAKER))
        machine.run(timeout=10)
        machine.load(code(*SPEAKER[2:]))
        assert machine.run(timeout=10).value == 0
