"""How a BIOS service is entered, on a real processor: a stub's OUT, its IRET, and a boot sector."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from pykvm import Machine, Stop, StopReason
from pykvm.bios import Bios, Disk, Registers, TrapPorts, assign_drives
from pykvm.bios import bda as field
from pykvm.bios.stubs import (
    IRET,
    VECTORS,
    keyboard,
    power_on,
    service,
    timer,
    waiting_service,
)
from pykvm.cpu import bios_registers
from pykvm.cpu.bios_registers import write_registers
from pykvm.devices import BufferSink
from pykvm.kvm import Chip, IrqChip, Pit, Vcpu, Vm
from pykvm.kvm.exits import Hlt, Io
from pykvm.kvm.probes.bench import CODE, HANDLER, STACK, Entry, Guest
from pykvm.layout import BIOS_TRAP, MIB
from pykvm.memory import Gpa
from pykvm.x86 import Rflags

Make = Callable[..., Guest]

IMAGE = Path(__file__).parents[2] / "guests" / "bios_disk.bin"
FLAGS_IMAGE = STACK - 2
"""INT pushed FLAGS first."""

CALL_WITH_CARRY = bytes.fromhex(
    "f9"  # stc
    "cd 16"  # int 0x16
    "9c"  # pushf
    "5b"  # pop bx
    "f4"  # hlt
)

CALL_FOR_ES = bytes.fromhex(
    "cd 15"  # int 0x15
    "8c c3"  # mov bx, es
    "f4"  # hlt
)


def read_registers(vcpu: Vcpu) -> Registers:
    """In real mode there are some."""
    registers = bios_registers.read_registers(vcpu)
    assert registers is not None
    return registers


def run_to_trap(guest: Guest, vector: int) -> None:
    """To the stub's OUT."""
    exit = guest.run()
    assert isinstance(exit, Io)
    assert (exit.port, exit.is_write) == (BIOS_TRAP + VECTORS.index(vector), True)


def test_registers_and_flags_reach_the_caller(make_guest: Make) -> None:
    """AX through the registers, CF through the FLAGS on the stack; the stub's own CF does not."""
    guest = make_guest(Entry.REAL, CALL_WITH_CARRY)
    guest.put(HANDLER, service(0x16))
    guest.gate(0x16, HANDLER)
    run_to_trap(guest, 0x16)
    pushed = int.from_bytes(guest.get(FLAGS_IMAGE, 2), "little")
    assert pushed & Rflags.CF
    guest.word(FLAGS_IMAGE, (pushed & ~Rflags.CF) | Rflags.ZF, 2)
    registers = read_registers(guest.vcpu)
    registers.ax = 0x1C0D
    registers.rflags |= Rflags.CF
    write_registers(guest.vcpu, registers)
    assert guest.run() == Hlt()
    after = guest.vcpu.get_regs()
    assert after.rax == 0x1C0D
    assert after.rbx & (Rflags.CF | Rflags.ZF) == Rflags.ZF
    assert after.rsp == STACK


def test_es_is_loaded(make_guest: Make) -> None:
    guest = make_guest(Entry.REAL, CALL_FOR_ES)
    guest.put(HANDLER, service(0x15))
    guest.gate(0x15, HANDLER)
    run_to_trap(guest, 0x15)
    registers = read_registers(guest.vcpu)
    registers.load_es(0xF000)
    write_registers(guest.vcpu, registers)
    assert guest.run() == Hlt()
    assert guest.vcpu.get_regs().rbx == 0xF000
    assert guest.vcpu.get_sregs().es.base == 0xF_0000


def test_a_waiting_stub_traps_again_while_cf_is_set(make_guest: Make) -> None:
    guest = make_guest(Entry.REAL, CALL_WITH_CARRY)
    guest.put(HANDLER, waiting_service(0x16, halt=False))
    guest.gate(0x16, HANDLER)
    stacks = []
    for turn in range(4):
        run_to_trap(guest, 0x16)
        registers = read_registers(guest.vcpu)
        stacks.append(registers.sp)
        carry = Rflags.CF if turn < 3 else 0
        registers.rflags = registers.rflags & ~Rflags.CF | carry
        write_registers(guest.vcpu, registers)
    assert guest.run() == Hlt()
    assert stacks == [STACK - 6] * 4
    assert guest.vcpu.get_regs().rbx & Rflags.CF  # the caller's own: nobody cleared it
    assert guest.vcpu.get_regs().rip in range(CODE, CODE + len(CALL_WITH_CARRY) + 1)


def test_a_waiting_stub_halts_until_an_interrupt(make_guest: Make) -> None:
    """With interrupts on; the stub goes on behind its HLT once one was handled."""
    guest = make_guest(Entry.REAL, CALL_WITH_CARRY)
    guest.put(HANDLER, waiting_service(0x16, halt=True))
    guest.gate(0x16, HANDLER)
    run_to_trap(guest, 0x16)
    registers = read_registers(guest.vcpu)
    registers.rflags |= Rflags.CF
    write_registers(guest.vcpu, registers)
    assert guest.run() == Hlt()
    assert guest.vcpu.page.if_flag
    run_to_trap(guest, 0x16)


WAIT_FOR_A_KEY = bytes.fromhex(
    "cd 16"  # int 0x16
    "f4"  # hlt
)


@pytest.mark.needs("irqchip", "pit")
def test_interrupts_as_the_power_on_code_sets_them_up(make_guest: Make) -> None:
    """The timer comes in by vector 08h, is counted, and wakes a service that waits."""
    chips: list[IrqChip] = []
    pits: list[Pit] = []

    def prepare(vm: Vm) -> None:
        chips.append(IrqChip(vm))
        pits.append(Pit(chips[0]))

    guest = make_guest(Entry.REAL, power_on(interrupts=True), prepare=prepare)
    boot, ticks, keys, iret = (HANDLER + 0x40 * i for i in range(4))
    guest.put(boot, WAIT_FOR_A_KEY)
    guest.put(ticks, timer())
    guest.put(keys, waiting_service(0x16, halt=True))
    guest.put(iret, IRET)
    for vector, handler in ((0x08, ticks), (0x16, keys), (0x19, boot), (0x1C, iret)):
        guest.gate(vector, handler)
    for turn in range(3):
        run_to_trap(guest, 0x16)
        counted = int.from_bytes(guest.get(0x400 + field.TICKS, 4), "little")
        assert counted >= turn  # each time around it halted until a tick
        registers = read_registers(guest.vcpu)
        registers.rflags |= Rflags.CF
        write_registers(guest.vcpu, registers)
    first, second = (chips[0].get_pic(chip) for chip in (Chip.PIC_MASTER, Chip.PIC_SLAVE))
    assert (first.irq_base, first.imr) == (0x08, 0xF8)
    assert (second.irq_base, second.imr) == (0x70, 0xFF)
    assert pits[0].get_state().channels[0].mode == 3


class Pc:
    """A `Machine` with a BIOS, without interrupts."""

    def __init__(self, machine: Machine, path: Path) -> None:
        self.machine = machine
        self.teletype = BufferSink()
        self.disk = Disk(path)
        self.bios = Bios(
            machine.memory,
            machine.ports,
            drives=assign_drives([self.disk]),
            teletype=self.teletype,
            stop=lambda reason: machine.stop(Stop(StopReason.STOPPED, detail=reason)),
            interrupts=False,
        )
        machine.ports.attach(BIOS_TRAP, 16, TrapPorts(self._serve))
        state = self.bios.state()
        for piece in state.pieces:
            machine.memory.write(Gpa(piece.gpa), piece.data)
        machine.cpus[0].load(state)

    def _serve(self, vector: int) -> None:
        vcpu = self.machine.cpus[0].vcpu
        registers = read_registers(vcpu)
        self.bios.interrupt(vector, registers)
        write_registers(vcpu, registers)


@contextmanager
def pc(path: Path) -> Iterator[Pc]:
    with ExitStack() as stack:
        made = Pc(stack.enter_context(Machine(2 * MIB, strict=True)), path)
        stack.callback(made.disk.close)
        yield made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    subprocess.run(["make", "-s", "-C", str(IMAGE.parent)], check=True)
    path = tmp_path / "disk.img"
    path.write_bytes(IMAGE.read_bytes() + bytes(62 * 512))
    return path


def test_a_boot_sector_reads_prints_and_types(image: Path) -> None:
    with pc(image) as machine:
        machine.bios.keyboard.type(b"hi\x1b")
        stop = machine.machine.run(timeout=20)
        assert stop.reason is StopReason.HALTED
        assert machine.teletype.data.decode().splitlines() == [
            "Hello from the boot sector.",
            "Hello from the second sector. Type; Escape ends.",
            "hi",
            "PASS",
        ]
        assert machine.bios.frame().text().splitlines()[:4] == [
            "Hello from the boot sector.",
            "Hello from the second sector. Type; Escape ends.",
            "hi",
            "PASS",
        ]


def test_waiting_for_a_key_leaves_the_machine_responsive(image: Path) -> None:
    """It can be stopped meanwhile, and goes on where it was once there is a key."""
    with pc(image) as machine:
        assert machine.machine.run(max_exits=3000).reason is StopReason.BUDGET
        assert b"Escape ends" in machine.teletype.data
        machine.bios.keyboard.type(b"\x1b")
        assert machine.machine.run(timeout=20).reason is StopReason.HALTED
        assert machine.teletype.data.endswith(b"PASS\r\n")


def test_nothing_to_boot_is_said_and_stops(tmp_path: Path) -> None:
    path = tmp_path / "empty.img"
    path.write_bytes(bytes(4096))
    with pc(path) as machine:
        stop = machine.machine.run(timeout=20)
        assert stop == Stop(StopReason.STOPPED, detail="nothing to boot from")
        assert machine.teletype.data == b"No bootable disk.\r\n"


def test_the_timer_stub_counts_and_notes_midnight(make_guest: Make) -> None:
    """By INT 08h; INT 1Ch is called with the data segment as the AT BIOS had it."""
    program = bytes.fromhex(
        "cd 08"  # int 8
        "f4"  # hlt
    )
    count_calls = bytes.fromhex(
        "fe 06 f0 00"  # inc byte ptr [0xf0]
        "cf"  # iret
    )
    guest = make_guest(Entry.REAL, program)
    guest.put(HANDLER, timer())
    guest.put(HANDLER + 0x80, count_calls)
    guest.gate(0x08, HANDLER)
    guest.gate(0x1C, HANDLER + 0x80)
    for before, after, midnight in ((7, 8, 0), (0x18_00AE, 0x18_00AF, 0), (0x18_00AF, 0, 1)):
        guest.word(0x400 + field.TICKS, before, 4)
        guest.jump(CODE)
        exit = guest.run()
        assert isinstance(exit, Io)
        assert (exit.port, exit.data) == (0x20, b"\x20")
        assert guest.run() == Hlt()
        assert int.from_bytes(guest.get(0x400 + field.TICKS, 4), "little") == after
        assert guest.get(0x400 + field.MIDNIGHT, 1)[0] == midnight
    assert guest.get(0x4F0, 1) == b"\3"


def test_the_keyboard_stub_brings_scan_codes(make_guest: Make) -> None:
    """To INT 15h first, which may keep them; then to Python, which may ask for INT 1Bh."""
    program = bytes.fromhex(
        "cd 09"  # int 9
        "f4"  # hlt
    )
    iret = bytes.fromhex("cf")  # iret
    halt_in_break = bytes.fromhex(
        "f4"  # hlt
        "cf"  # iret
    )
    guest = make_guest(Entry.REAL, program)
    guest.put(HANDLER, keyboard())
    guest.put(HANDLER + 0x80, iret)
    guest.put(HANDLER + 0x90, halt_in_break)
    guest.gate(0x09, HANDLER)
    guest.gate(0x15, HANDLER + 0x80)
    guest.gate(0x1B, HANDLER + 0x90)
    exit = guest.run()
    assert isinstance(exit, Io)
    assert (exit.port, exit.is_write) == (0x60, False)
    guest.vcpu.page.reply_io(b"\x1e")
    run_to_trap(guest, 0x09)
    registers = read_registers(guest.vcpu)
    assert registers.al == 0x1E
    registers.rflags |= Rflags.CF
    write_registers(guest.vcpu, registers)
    assert guest.run() == Hlt()  # in INT 1Bh
    exit = guest.run()
    assert isinstance(exit, Io)
    assert (exit.port, exit.data) == (0x20, b"\x20")
    assert guest.run() == Hlt()
