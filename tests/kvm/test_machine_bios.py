"""Machines that start through the BIOS, or firmware, and guests that abuse its ports."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pykvm import Machine, Stop, StopReason
from pykvm.bios import Disk
from pykvm.bios import bda as field
from pykvm.devices import BufferSink
from pykvm.errors import DiskError, GuestMemoryError, UnclaimedAccess
from pykvm.kvm.state import MpState
from pykvm.layout import BIOS_TRAP, KIB, MIB
from pykvm.memory import Gpa
from tests.support.leaks import nothing_left_behind

pytestmark = pytest.mark.needs()

GUESTS = Path(__file__).parents[2] / "guests"
TELETYPE = BIOS_TRAP + 1
SECTOR = 512

CLI_HLT = (
    "fa",  # cli
    "f4",  # hlt
)
READ_SECTOR_2 = (
    "fa",  # cli
    "31 c0",  # xor ax, ax
    "8e c0",  # mov es, ax
    "bb 00 80",  # mov bx, 0x8000
    "b8 01 02",  # mov ax, 0x0201
    "b9 02 00",  # mov cx, 2
    "30 f6",  # xor dh, dh
    "cd 13",  # int 0x13
    "fa",  # cli
    "f4",  # hlt
)
AH_0E_AL_A = ("b8 41 0e",)  # mov ax, 0x0e41
TRAP_HERE = ("e6 31",)  # out 0x31, al


def sector(*lines: str) -> bytes:
    """A boot sector of this code."""
    return bytes.fromhex("".join(lines)).ljust(510, b"\0") + b"\x55\xaa"


@contextmanager
def machine_with(image: bytes, **options: object) -> Iterator[tuple[Machine, BufferSink]]:
    """A machine that has an image loaded."""
    teletype = BufferSink()
    with Machine(2 * MIB, strict=True, teletype=teletype, **options) as machine:  # type: ignore[arg-type]
        machine.load(image)
        yield machine, teletype


# ---- starting


@pytest.mark.parametrize("irqchip", ["kernel", "split", "user", "none"])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_boot_sector_reads_prints_and_waits(irqchip: str, as_bytes: bool) -> None:
    teletype = BufferSink()
    path = GUESTS / "bios_disk.bin"
    with Machine(strict=True, irqchip=irqchip, teletype=teletype) as machine:
        machine.load(path.read_bytes() if as_bytes else path)
        bios = machine.bios
        assert bios is not None

        def type_when_asked() -> None:
            while b"Escape ends" not in teletype.data:
                asked.wait(0.001)
            with machine.lock:
                bios.keyboard.type(b"hi\x1b")

        asked = threading.Event()
        typist = threading.Thread(target=type_when_asked)
        typist.start()
        try:
            assert machine.run(timeout=30).reason is StopReason.HALTED
        finally:
            typist.join()
        assert bios.frame().text().split() == teletype.data.decode().split()
        assert teletype.data.endswith(b"hi\r\nPASS\r\n")


@pytest.mark.parametrize(
    ("size", "drive"), [(1440 * KIB, 0), (1440 * KIB + SECTOR, 0x80), (SECTOR, 0x80)]
)
def test_an_image_is_a_floppy_or_a_hard_disk_by_size(size: int, drive: int) -> None:
    with machine_with(sector(*CLI_HLT).ljust(size, b"\0")) as (machine, _):
        assert machine.run(timeout=20).reason is StopReason.HALTED
        registers = machine.cpus[0].vcpu.get_regs()
        assert registers.rdx & 0xFF == drive
        assert registers.rip & 0xFFFF == 0x7C02


def test_sectors_are_read_and_not_written() -> None:
    second = bytes(range(256)) * 2
    with machine_with(sector(*READ_SECTOR_2) + second) as (machine, _):
        assert machine.run(timeout=20).reason is StopReason.HALTED
        assert machine.memory.read(Gpa(0x8000), SECTOR) == second


def test_disks_of_the_caller_are_written_and_stay_open(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    write = [line.replace("b8 01 02", "b8 01 03") for line in READ_SECTOR_2]
    path.write_bytes(sector(*write) + b"x" * SECTOR)
    with Disk(path) as disk, Machine(2 * MIB, strict=True) as machine:
        bios = machine.boot([disk])
        assert machine.bios is bios
        assert machine.run(timeout=20).reason is StopReason.HALTED
        machine.load(bytes.fromhex("f4"))
        assert machine.bios is None
        disk.read(0, memoryview(bytearray(SECTOR)))
    assert path.read_bytes()[SECTOR:] == bytes(SECTOR)


def test_nothing_to_boot_is_a_stop(tmp_path: Path) -> None:
    path = tmp_path / "empty.img"
    path.write_bytes(bytes(4096))
    with Disk(path) as disk, Machine(2 * MIB) as machine:
        machine.boot([disk])
        assert machine.run(timeout=20) == Stop(StopReason.NOT_BOOTED, detail="nothing to boot from")


def test_no_memory_for_a_bios(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    path.write_bytes(sector(*CLI_HLT))
    with Disk(path) as disk, Machine(1 * MIB - 4 * KIB) as machine:
        with pytest.raises(GuestMemoryError, match="1 MiB"):
            machine.boot([disk])
        with pytest.raises(GuestMemoryError, match="1 MiB"):
            machine.boot_firmware(bytes(64 * KIB))
        machine.load(path)
        assert machine.bios is None
        assert machine.run(timeout=20).reason is StopReason.HALTED


@pytest.mark.parametrize(
    "settings", [{"load_address": 0x7C00}, {"entry": 0x1000}, {"bios": False}], ids=str
)
def test_told_otherwise_it_is_entered_directly(settings: dict[str, int]) -> None:
    with Machine(2 * MIB) as machine:
        machine.load(sector(*CLI_HLT), **settings)  # type: ignore[arg-type]
        assert machine.bios is None
        assert machine.run(timeout=20).reason is StopReason.HALTED


def test_the_ports_and_the_disk_go_with_the_bios() -> None:
    """A strict machine tells."""

    def begin_anew(machine: Machine) -> None:
        machine.load(sector(*CLI_HLT))
        machine.ports.write(TELETYPE, 1, 0)
        assert machine.run(timeout=20).reason is StopReason.HALTED
        machine.load(bytes.fromhex("f4"))

    with Machine(2 * MIB, strict=True) as machine:
        begin_anew(machine)
        begin_anew(machine)
        with nothing_left_behind():
            begin_anew(machine)
        with pytest.raises(UnclaimedAccess):
            machine.ports.write(TELETYPE, 1, 0)
        with pytest.raises(DiskError):
            machine.boot([Disk("/nowhere")])
        assert machine.run(timeout=20).reason is StopReason.HALTED


def test_a_running_machine_is_not_booted_anew() -> None:
    with machine_with(sector("eb fe")) as (machine, _):  # jmp .
        bios = machine.bios
        thread = threading.Thread(target=machine.run, kwargs={"timeout": 60})
        thread.start()
        try:
            while not machine.cpus[0].has_run:
                thread.join(0.001)
            with pytest.raises(RuntimeError, match="running"):
                machine.load(sector(*CLI_HLT))
            assert machine.bios is bios
        finally:
            machine.stop()
            thread.join()


# ---- guests that abuse the ports


def test_a_trap_from_outside_of_the_bios_calls_nothing() -> None:
    with machine_with(sector("fa", *AH_0E_AL_A, *TRAP_HERE, "f4")) as (machine, teletype):
        assert machine.run(timeout=20).reason is StopReason.HALTED
        assert teletype.data == b""


STRING = (
    "fa",  # cli
    "fc",  # cld
    *AH_0E_AL_A,
    "31 f6",  # xor si, si
    "b9 00 10",  # mov cx, 0x1000
    "ba 31 00",  # mov dx, 0x31
    "f3 6e",  # rep outsb
    "f4",  # hlt
)


@pytest.mark.parametrize("bios_segment", [False, True])
def test_a_string_instruction_ends(bios_segment: bool) -> None:
    """With CS as the BIOS's, each element is a call, which then prints what AL has."""
    lines: tuple[str, ...] = ()
    if bios_segment:
        lines = (
            "fa",  # cli
            "fc",  # cld
            "b8 00 f0",  # mov ax, 0xf000
            "8e c0",  # mov es, ax
            "31 ff",  # xor di, di
            "be 17 7c",  # mov si, 0x7c17
            "b9 20 00",  # mov cx, 0x20
            "f3 a4",  # rep movsb
            "ea 00 00 00 f0",  # ljmp 0xf000:0
        )
        assert len(bytes.fromhex("".join(lines))) == 0x16
        lines += ("90",)  # nop
    with machine_with(sector(*lines, *STRING)) as (machine, teletype):
        assert machine.run(timeout=60).reason is StopReason.HALTED
        assert teletype.data == (b"A" * 0x1000 if bios_segment else b"")


PROTECTED = (
    "fa",  # cli
    "0f 01 16 40 7c",  # lgdt [0x7c40]
    "b8 41 0e",  # mov ax, 0x0e41
    "66 0f 20 c3",  # mov ebx, cr0
    "66 83 cb 01",  # or ebx, 1
    "0f 22 c3",  # mov cr0, ebx
    "ea 00 80 08 00",  # ljmp 8:0x8000: 0xf8000 in a segment based at 0xf0000
)
DESCRIPTORS = "0f 00 46 7c 00 00" + "00" * 8 + "ff ff 00 00 0f 9a 00 00"
"""GDTR, no descriptor, 16-bit code based at 0xF0000."""


@pytest.mark.needs("protected_mode")
def test_a_trap_from_protected_mode_calls_nothing() -> None:
    code = bytes.fromhex("".join(PROTECTED)).ljust(0x40, b"\0") + bytes.fromhex(DESCRIPTORS)
    with machine_with(sector(code.hex())) as (machine, teletype):
        machine.memory.write(Gpa(0xF_8000), bytes.fromhex("e6 31 f4"))  # out 0x31, al; hlt
        assert machine.run(timeout=20).reason is StopReason.HALTED
        assert machine.cpus[0].vcpu.get_sregs().cs.base == 0xF_0000
        assert teletype.data == b""


def test_a_port_written_by_another_thread_calls_nothing() -> None:
    with machine_with(sector(*CLI_HLT)) as (machine, teletype):
        machine.ports.write(TELETYPE, 1, 0)
        assert machine.run(timeout=20).reason is StopReason.HALTED
        machine.ports.write(TELETYPE, 1, 0)
        assert teletype.data == b""


# ---- several processors

START_OTHERS = (
    "fa",  # cli
    "31 c0",  # xor ax, ax
    "8e d8",  # mov ds, ax
    "8e c0",  # mov es, ax
    "fc",  # cld
    "be 80 7c",  # mov si, 0x7c80
    "bf 00 80",  # mov di, 0x8000
    "b9 40 00",  # mov cx, 0x40
    "f3 a4",  # rep movsb
    "ea 00 80 00 00",  # ljmp 0:0x8000
)
PRINT_64 = (
    "fa",  # cli
    "31 c0",  # xor ax, ax
    "8e d0",  # mov ss, ax
    "b1 40",  # mov cl, 0x40
    "bb 00 00",  # mov bx, 0
    "b8 41 0e",  # mov ax, 0x0e41
    "cd 10",  # int 0x10
    "fe c9",  # dec cl
    "75 f7",  # jnz to the mov ax
    "fa",  # cli
    "f4",  # hlt
)


@pytest.mark.needs("irqchip")
def test_each_processor_is_served_with_its_own_registers() -> None:
    """All of them print at once, each with a stack of its own."""
    count = 3
    boot = bytes.fromhex("".join(START_OTHERS)).ljust(0x80, b"\0")
    image = sector((boot + bytes.fromhex("".join(PRINT_64))).hex())
    with machine_with(image, smp=count) as (machine, teletype):
        for cpu in machine.cpus[1:]:
            # as if INIT and SIPI had come
            regs, sregs = cpu.vcpu.get_regs(), machine.cpus[0].vcpu.get_sregs()
            regs.rip, regs.rsp = 0x8000, 0x6000 + 0x400 * cpu.index
            sregs.apic_base = cpu.vcpu.get_sregs().apic_base
            sregs.cs = sregs.cs._replace(selector=0, base=0)
            cpu.vcpu.set_regs(regs)
            cpu.vcpu.set_sregs(sregs)
            machine.memory.write(Gpa(0x8000), bytes.fromhex("".join(PRINT_64)))
            cpu.vcpu.set_mp_state(MpState.RUNNABLE)
        assert machine.run(timeout=30).reason is StopReason.HALTED
        assert teletype.data == b"A" * 64 * count
        assert machine.memory.read_uint(Gpa(0x400 + field.CURSORS + 1), 1) == 64 * count // 80
