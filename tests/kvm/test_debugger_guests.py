"""The debugger and guests that have interrupts, debug registers and page tables of their own."""

from __future__ import annotations

import pytest

from pykvm import Machine, Mode
from pykvm.debug.debugger import Debugger, Event, Point
from pykvm.debug.page_entries import PagingMode
from pykvm.errors import TranslationError
from pykvm.kvm.state import DebugRegs
from pykvm.memory import Gpa
from pykvm.x86 import Rflags
from tests.support.debugged import (
    COUNT,
    INC,
    LOAD,
    OUT,
    PATIENCE,
    MakeDebugger,
    facilities,
)
from tests.support.debugged import debugged as on_kvm
from tests.support.processors import X2APIC_ON, send_ipi

APIC_ON = bytes.fromhex(
    "66 b9 0f 08 00 00"  # mov ecx, 0x80f (the spurious-interrupt vector register)
    "66 b8 ff 01 00 00"  # mov eax, 0x1ff
    "66 31 d2"  # xor edx, edx
    "0f 30"  # wrmsr
)
SELF, VECTOR = 0x44000, 0x40
HANDLER = 0x3000


@pytest.mark.needs("msi")
def test_interrupts_wait_while_it_is_stepped() -> None:
    setup = X2APIC_ON + APIC_ON + send_ipi(SELF | VECTOR)
    code = setup + bytes.fromhex(
        "fb"  # sti
        "90"  # nop
        "90"  # nop
        "eb fd"  # jmp to the second nop
    )
    sti = LOAD + len(setup)
    with on_kvm(code) as debugger:
        memory = debugger.machine.memory
        memory.write(Gpa(4 * VECTOR), HANDLER.to_bytes(4, "little"))
        memory.write(Gpa(HANDLER), b"\xeb\xfe")  # jmp $
        cpu = debugger.cpus[0]
        assert cpu.run_until(sti, timeout=PATIENCE).kind == "breakpoint"
        if facilities(debugger).block_irq:
            cpu.step(timeout=PATIENCE)  # which QEMU lets go on to behind STI's shadow
            steps = {cpu.step(timeout=PATIENCE).address for _ in range(6)}
            assert {sti + 2, sti + 3} <= steps <= {sti + 1, sti + 2, sti + 3}
        point = Point("software", HANDLER)
        debugger.insert(point)
        assert debugger.resume(timeout=PATIENCE) == Event("breakpoint", 0, point, HANDLER)
        assert not cpu.vcpu.get_regs().rflags & Rflags.TF


@pytest.mark.needs("guest_breakpoint", "hw_breakpoint")
@pytest.mark.parametrize("ours", [0, 1])
def test_a_guest_s_own_debug_registers_go_on_working(ours: int) -> None:
    with on_kvm(COUNT) as debugger:
        memory, cpu = debugger.machine.memory, debugger.cpus[0]
        memory.write(Gpa(4), HANDLER.to_bytes(4, "little"))  # the vector of #DB
        memory.write(Gpa(HANDLER), b"\xf4")  # hlt
        for point in [Point("hardware", INC)] * ours:
            debugger.insert(point)
        cpu.vcpu.set_debugregs(DebugRegs(db=(0, OUT, 0, 0), dr7=0x408))
        if ours:
            assert debugger.resume(timeout=PATIENCE).address == INC
        event = debugger.resume(timeout=PATIENCE)
        assert (event.kind, event.address) == ("ended", HANDLER + 1)
        registers = cpu.vcpu.get_debugregs()
        assert registers.dr6 & 0xF == 2
        assert registers.db == (0, OUT, 0, 0)


@pytest.mark.parametrize(
    ("mode", "paging", "text"),
    [
        (Mode.REAL, PagingMode.NONE, "mov ax, word ptr [bx + si]"),
        (Mode.PROTECTED, PagingMode.NONE, "mov eax, dword ptr [eax]"),
        (Mode.LONG, PagingMode.LEVEL_4, "mov eax, dword ptr [rax]"),
    ],
)
def test_a_processor_is_shown_in_its_present_mode(
    debugged: MakeDebugger, mode: Mode, paging: PagingMode, text: str
) -> None:
    with debugged(b"\x8b\x00\xf4", mode) as debugger:
        cpu = debugger.cpus[0]
        assert [i.text for i in cpu.disassemble(count=2)] == [text, "hlt"]
        assert cpu.disassemble(LOAD + 2, 1)[0].address == LOAD + 2
        assert f"{mode.value} mode, {mode.bits}-bit code" in cpu.registers()
        found = cpu.translate(LOAD)
        assert (found.mode, found.gpa) == (paging, LOAD)


def test_disassembly_ends_with_memory(accel: str) -> None:
    with Machine("64K", accel=accel) as machine:
        machine.load(b"\xf4")
        machine.memory.write(Gpa(0xFFFE), b"\x90\x90")
        with Debugger(machine) as debugger:
            shown = debugger.cpus[0].disassemble(0xFFFE, 5)
            assert [i.text for i in shown] == ["nop", "nop"]


def test_tables_and_memory_of_a_machine_in_long_mode(debugged: MakeDebugger) -> None:
    with debugged(COUNT, Mode.LONG) as debugger:
        cpu = debugger.cpus[0]
        assert [entry.kind for entry in cpu.gdt()][:2] == ["empty", "64-bit code, read"]
        assert cpu.ldt() == []
        cpu.write(0x3FFE, b"needle")
        assert cpu.search(b"needle", 0, 1 << 20) == [0x3FFE]
        assert cpu.hexdump(0x4000, 4).endswith("|edle|")


def test_a_firmware_image_is_read_and_debugged_in_its_rom(accel: str) -> None:
    image = bytearray(0x10000)
    image[-16:-11] = bytes.fromhex(
        "90"  # nop
        "90"  # nop
        "90"  # nop
        "eb fd"  # jmp to the last nop
    )
    with Machine("1M", accel=accel) as machine:
        machine.boot_firmware(bytes(image))
        with Debugger(machine) as debugger:
            cpu = debugger.cpus[0]
            assert cpu.pc == 0xFFFF_FFF0
            assert [i.text for i in cpu.disassemble(count=3)] == ["nop"] * 3
            point = Point("software", 0xFFFF_FFF2)
            debugger.insert(point)
            for _ in range(2):
                assert debugger.resume(timeout=PATIENCE) == Event(
                    "breakpoint", 0, point, point.address
                )
            with pytest.raises(TranslationError, match="no RAM"):
                cpu.write(0xFFFF_FFF0, b"\x90")


def test_vectors_of_real_mode(debugged: MakeDebugger) -> None:
    with debugged(COUNT) as debugger:
        debugger.machine.memory.write(Gpa(4 * 0x21), bytes.fromhex("34 12 00 f0"))
        vectors = debugger.cpus[0].idt()
        assert len(vectors) == 256
        assert vectors[0x21].target == (0xF000, 0x1234)
