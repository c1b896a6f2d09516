"""The report of a crash: what people see of registers and code."""

from __future__ import annotations

import pytest

from pykvm.debug.crash import code, describe_crash
from pykvm.debug.disasm import Instruction, disassemble
from pykvm.debug.registers import registers
from pykvm.debug.symbols import Symbol, Symbols
from pykvm.errors import GuestCrash
from pykvm.x86 import Mode, Segment
from tests.unit.snapshots import snapshot

EXIT = object()

# mov eax, 1; ud2; and the first byte of something longer
CODE = bytes.fromhex("b801000000 0f0b 48")


def test_a_report_is_cause_registers_and_code() -> None:
    cpu = snapshot(Mode.LONG, 0x10_0000, code=CODE, rax=0x1234, r9=0xFEDC_BA98_7654_3210)
    report = describe_crash(GuestCrash("it fell", EXIT, cpu))
    lines = report.split("\n")
    assert lines[0] == "the guest crashed: it fell"
    assert "rax 0000000000001234" in report
    assert " r9 fedcba9876543210" in report
    assert "rip 0000000000100000" in report
    assert "long mode, 64-bit code" in report
    assert lines[-3:] == [
        "  -> 00100000  b8 01 00 00 00                 mov eax, 1",
        "     00100005  0f 0b                          ud2",
        "     00100007  48                             .byte 0x48",
    ]


def test_the_code_stands_under_its_name() -> None:
    symbols = Symbols([Symbol("main", 0x1_2340, 0x20)], {0: (0x1_2340, 0x1_2400)})
    cs = Segment(base=0x1_2340, selector=0x1234, type=11)
    cpu = snapshot(Mode.REAL, 0x12, cs=cs)
    report = describe_crash(GuestCrash("it fell", EXIT, cpu), symbols)
    assert report.split("\n")[-2:] == [
        "  main+0x12:",
        "  -> 00012352  f4                             hlt",
    ]
    outside = describe_crash(GuestCrash("it fell", EXIT, snapshot(Mode.REAL, 0x12)), symbols)
    assert "main" not in outside


def test_without_registers_the_cause_is_all() -> None:
    assert describe_crash(GuestCrash("it fell", EXIT, None)) == "the guest crashed: it fell"


def test_names_have_the_modes_width() -> None:
    text = "\n".join(registers(snapshot(Mode.PROTECTED, rsp=0x8000, rip=0x7C00)))
    assert "esp 00008000" in text
    assert "eip 00007c00" in text
    assert "eflags 00000002 []" in text
    assert "r8" not in text
    assert "rax" not in text
    wide = "\n".join(registers(snapshot(Mode.LONG)))
    assert all(f"r{i} " in wide for i in range(8, 16))
    assert "rflags" in wide


def test_bits_are_named() -> None:
    text = "\n".join(registers(snapshot(Mode.LONG, rflags=0x246)))
    assert "00000246 [PF ZF IF]" in text
    assert "cr0 00000011 [PE ET]" in text
    assert "cr4 20 [PAE]" in text
    assert "efer 500 [LME LMA]" in text


def test_segments_and_tables_are_shown() -> None:
    cs = Segment(base=0xFFFF_0000, selector=0xF000, type=11)
    lines = registers(snapshot(Mode.REAL, 0xFFF0, cs=cs, idt_limit=0x3FF))
    assert "  cs   f000  base ffff0000 limit ffff type b dpl 0 16-bit" in lines
    named = [line.split()[0] for line in lines if " base " in line]
    assert named == ["cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt"]
    assert [line.split()[0] for line in lines if line.endswith("(unusable)")] == ["ldt"]
    assert "  gdt  f000 limit 17   idt 0 limit 3ff" in lines
    assert any("real mode, 16-bit code" in line for line in lines)


def test_code_where_there_is_none() -> None:
    cpu = snapshot(Mode.PROTECTED, 0xDEAD_0000, code=b"")
    assert code(cpu) == ["  there is no RAM at 0xdead0000, where the next instruction would be"]


def test_code_has_linear_addresses_and_the_modes_width() -> None:
    cs = Segment(base=0x1_2340, selector=0x1234, type=11)
    (line,) = code(snapshot(Mode.REAL, 0x10, code=bytes.fromhex("b83412"), cs=cs))
    assert line == "  -> 00012350  b8 34 12                       mov ax, 0x1234"


@pytest.mark.parametrize("value", range(256))
def test_any_byte_can_be_reported(value: int) -> None:
    for mode in Mode:
        cpu = snapshot(mode, (1 << 64) - 1 if mode is Mode.LONG else 0, code=bytes([value] * 32))
        report = describe_crash(GuestCrash("it fell", EXIT, cpu))
        assert sum("->" in line for line in report.split("\n")) == 1


@pytest.mark.parametrize(
    ("machine_code", "bits", "texts"),
    [
        ("b80100", 16, ["mov ax, 1"]),
        ("b801000000", 32, ["mov eax, 1"]),
        ("48b80100000000000000", 64, ["movabs rax, 1"]),
        ("ee f4", 16, ["out dx, al", "hlt"]),
        ("eb fe", 64, ["jmp 0x1000"]),
        ("", 64, []),
        ("b801", 32, [".byte 0xb8"]),
    ],
)
def test_disassembly(machine_code: str, bits: int, texts: list[str]) -> None:
    decoded = disassemble(bytes.fromhex(machine_code), 0x1000, bits)
    assert [i.text for i in decoded][: len(texts)] == texts
    assert b"".join(i.code for i in decoded) == bytes.fromhex(machine_code)


def test_disassembly_stops_after_as_many_as_asked() -> None:
    assert disassemble(b"\x90" * 9, 0x10, 64, count=2) == [
        Instruction(0x10, b"\x90", "nop"),
        Instruction(0x11, b"\x90", "nop"),
    ]
    assert len(disassemble(b"\x90" * 9, 0x10, 64)) == 9


def test_what_does_not_decode_is_single_bytes() -> None:
    decoded = disassemble(b"\xff\xff\x90", 0x1000, 64)
    assert [(i.address, i.code, i.text) for i in decoded] == [
        (0x1000, b"\xff", ".byte 0xff"),
        (0x1001, b"\xff", ".byte 0xff"),
        (0x1002, b"\x90", "nop"),
    ]
