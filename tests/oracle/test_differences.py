"""The disagreements that docs/differences.md lists are as it says, on either side: an accelerator
that has been put right is noticed here."""

from __future__ import annotations

import mmap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykvm import Device, GuestCrash, Machine, Mode
from pykvm.memory import Gpa
from tests.conftest import ON_SVM, probe_verdict
from tests.oracle.known import EMULATING, HOST, PROCESSOR, UNICORN, Known
from tests.oracle.program import of_bytes
from tests.oracle.subject import Result, Subject

pytest.importorskip("unicorn", reason="unicorn, the emulator, is not installed")

ROM = 0xF_0000
WRITES_ROM = "a3 00 00 0f 00  8b 1d 00 00 0f 00  f4"  # mov [ROM], eax; mov ebx, [ROM]; hlt
DOCUMENT = Path(__file__).parents[2] / "docs" / "differences.md"

emulated = pytest.mark.emulated
on_kvm = pytest.mark.needs("real_mode", "protected_mode", "long_mode", "mmio", "undefined_opcode")
each = pytest.mark.parametrize("known", [*UNICORN, *HOST], ids=lambda known: known.name)


@pytest.fixture(scope="module")
def unicorn() -> Iterator[Subject]:
    with Subject("emu") as subject:
        yield subject


@pytest.fixture(scope="module")
def kvm() -> Iterator[Subject]:
    with Subject("kvm") as subject:
        yield subject


def run(subject: Subject, known: Known) -> Result:
    code = bytes.fromhex(known.code)
    return subject.run(of_bytes(known.mode, code, **(known.registers or {})))


@emulated
@each
def test_under_emulation(known: Known, unicorn: Subject) -> None:
    assert known.look(run(unicorn, known)) == known.emulated


@on_kvm
@each
def test_under_kvm(known: Known, kvm: Subject) -> None:
    if known.by:
        has_processor, words = probe_verdict("x87")
        if has_processor != (known.by is PROCESSOR):
            pytest.skip(f"only where {known.by} runs the guest's code; x87 here: {words}")
    if known in UNICORN and ON_SVM:
        pytest.skip("the emulated machine's processor is QEMU's, which Unicorn is made of")
    assert known.look(run(kvm, known)) == known.kvm


def test_what_disagrees_is_different() -> None:
    assert all(known.kvm != known.emulated for known in (*UNICORN, *HOST))
    assert {known.by for known in HOST} == {EMULATING}


def test_each_is_in_the_document() -> None:
    text = DOCUMENT.read_text()
    assert [known.name for known in (*UNICORN, *HOST) if known.name.split(":")[0] not in text] == []


def writes_to_rom(accel: str) -> Counter[tuple[bool, int]]:
    """The accesses that nobody claimed, of a guest that writes to ROM."""
    with Machine("64K", accel=accel, irqchip="none") as machine:
        rom = mmap.mmap(-1, mmap.PAGESIZE)
        rom[:4] = b"ROM!"
        machine.accelerator.place_rom(ROM, rom)
        machine.load(bytes.fromhex(WRITES_ROM), mode=Mode.PROTECTED)
        machine.run(timeout=10)
        assert machine.cpus[0].vcpu.get_regs().rbx == int.from_bytes(b"ROM!", "little")
        assert rom[:4] == b"ROM!"
        found = Counter(machine.mmio.unclaimed)
        machine.accelerator.take_rom()
        return found


@emulated
def test_writes_to_rom_are_not_counted_under_emulation() -> None:
    assert writes_to_rom("emu") == {}


@pytest.mark.needs("readonly_slot")
def test_writes_to_rom_are_counted_under_kvm() -> None:
    assert writes_to_rom("kvm") == {(True, ROM): 1}


def exits_of_rep_insb(accel: str) -> int:
    """For six bytes."""
    code = "b9 06 00 00 00  bf 00 20 00 00  66 ba 00 02  f3 6c  f4"  # ecx, edi, dx; rep insb
    with Machine("64K", accel=accel, irqchip="none", stats=True) as machine:
        machine.load(bytes.fromhex(code), mode=Mode.PROTECTED)
        machine.run(timeout=10)
        return machine.stats().exits["KVM_EXIT_IO"]


@emulated
def test_rep_ins_is_an_exit_for_each_element_under_emulation() -> None:
    assert exits_of_rep_insb("emu") == 6


@pytest.mark.needs("rep_ins")
def test_rep_ins_is_fewer_exits_under_kvm() -> None:
    assert exits_of_rep_insb("kvm") < 6


class Wide(Device):
    """Notes the sizes of what is read."""

    width = 8

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def read(self, offset: int, size: int) -> int:
        self.sizes.append(size)
        return 0


def sizes_of_8_bytes(accel: str) -> list[int]:
    """In what pieces 8 bytes are read from a device that has them in one."""
    device = Wide()
    with Machine("64K", accel=accel, irqchip="none") as machine:
        machine.mmio.attach(ROM, 8, device)
        code = "48 8b 04 25 00 00 0f 00  f4"  # mov rax, [ROM]; hlt
        machine.load(bytes.fromhex(code), mode=Mode.LONG)
        machine.run(timeout=10)
    return device.sizes


@emulated
def test_8_bytes_come_in_two_halves_under_emulation() -> None:
    assert sizes_of_8_bytes("emu") == [4, 4]


@pytest.mark.needs("mmio", "long_mode")
def test_8_bytes_come_in_one_under_kvm() -> None:
    assert sizes_of_8_bytes("kvm") == [8]


@emulated
def test_the_machine_s_msrs_are_not_asked_under_emulation() -> None:
    with Machine("64K", accel="emu", irqchip="none") as machine:
        machine.msrs.answer(0x9999, read=5)
        machine.load(bytes.fromhex("b9 99 99 00 00  0f 32  f4"), mode=Mode.PROTECTED)
        machine.run(timeout=10)
        assert machine.cpus[0].vcpu.get_regs().rax == 0


@pytest.mark.needs("msr_exits")
def test_the_machine_s_msrs_are_asked_under_kvm() -> None:
    with Machine("64K", accel="kvm", irqchip="none") as machine:
        machine.msrs.answer(0x9999, read=5)
        machine.load(bytes.fromhex("b9 99 99 00 00  0f 32  f4"), mode=Mode.PROTECTED)
        machine.run(timeout=10)
        assert machine.cpus[0].vcpu.get_regs().rax == 5


@emulated
def test_a_task_gate_ends_an_emulated_guest() -> None:
    with Machine("64K", accel="emu", irqchip="none") as machine:
        machine.load(bytes.fromhex("0f 01 1d 00 20 00 00  cd 00"), mode=Mode.PROTECTED)  # lidt; int
        machine.memory.write(Gpa(0x2000), bytes.fromhex("07 00  00 30 00 00"))
        machine.memory.write(Gpa(0x3000), bytes.fromhex("00 00 08 00 00 85 00 00"))
        with pytest.raises(GuestCrash, match="vector 0 leads to a task gate"):
            machine.run(timeout=10)


def cpuid(accel: str, leaf: int) -> tuple[int, int, int, int]:
    with Machine("64K", accel=accel, irqchip="none") as machine:
        code = b"\xb8" + leaf.to_bytes(4, "little") + b"\x0f\xa2\xf4"  # mov eax, leaf; cpuid; hlt
        machine.load(code, mode=Mode.PROTECTED)
        machine.run(timeout=10)
        regs = machine.cpus[0].vcpu.get_regs()
        return regs.rax, regs.rbx, regs.rcx, regs.rdx


@emulated
def test_what_an_emulated_processor_says_that_it_is() -> None:
    signature, _, extended, features = cpuid("emu", 1)
    assert signature >> 8 & 0xF == 6
    assert signature >> 12 & 0xF0 | signature >> 4 & 0xF == 0x3C  # Haswell
    assert (extended >> 31 & 1, extended >> 28 & 1, features >> 9 & 1) == (1, 0, 0)
    assert cpuid("emu", 0x8000_0008)[0] & 0xFF == 40
