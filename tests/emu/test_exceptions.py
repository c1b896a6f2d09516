"""Exceptions of the emulated processor arrive as SDM vol. 3A, chapter 6, says: the right one, with
its error code, and the address of the instruction."""

from __future__ import annotations

import pytest

from pykvm import Stop, StopReason
from tests.emu.trapping import (
    ABSENT_DATA,
    CODE,
    PROGRAM,
    STACK,
    USER_CODE,
    USER_DATA,
    Trap,
    trap,
)

pytestmark = pytest.mark.emulated

RF, FIXED = 1 << 16, 2

FAULTS = [
    # id, code, offset of the instruction, vector, error code or None
    ("divide error", "31 c9  f7 f1", 2, 0, None),  # xor ecx,ecx; div ecx
    ("undefined opcode", "90  0f 0b", 1, 6, None),  # nop; ud2
    ("no such control register", "0f 20 c8", 0, 6, None),  # mov eax, cr1
    ("no x87", "0f 20 c0  0c 08  0f 22 c0  d9 ee", 8, 7, None),  # set CR0.TS; fldz
    ("an absent segment", "66 b8 30 00  8e d8", 4, 11, ABSENT_DATA),  # mov ds, ABSENT_DATA
    ("an absent stack", "66 b8 30 00  8e d0", 4, 12, ABSENT_DATA),  # mov ss, ABSENT_DATA
    ("beyond the table", "66 b8 80 00  8e d8", 4, 13, 0x80),  # mov ds, 0x80
    ("a system segment", "66 b8 28 00  8e d8", 4, 13, 0x28),  # mov ds, TSS
    ("a TSS that is data", "66 b8 10 00  0f 00 d8", 4, 13, 0x10),  # ltr DATA
    ("no such gate", "cd 80", 0, 13, 0x402),  # int 0x80: RIP is behind it
]


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize(
    ("code", "offset", "vector", "error"), [pytest.param(*f[1:], id=f[0]) for f in FAULTS]
)
def test_a_fault(bits: int, code: str, offset: int, vector: int, error: int | None) -> None:
    got = trap(code, bits)
    assert isinstance(got, Trap), got
    assert got.vector == vector
    frame = got.frame
    if error is not None:
        assert frame[0] == error
        frame = frame[1:]
    if code != "cd 80":
        assert frame[0] == PROGRAM + offset
    assert frame[1] == CODE
    assert frame[2] & RF


def test_a_software_interrupt_returns_behind_it() -> None:
    for bits in (32, 64):
        got = trap("90  cd 21", bits)  # nop; int 0x21
        assert isinstance(got, Trap)
        assert (got.vector, got.frame[:3]) == (0x21, (PROGRAM + 3, CODE, FIXED))


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("f4", id="hlt"),
        pytest.param("fa", id="cli"),
        pytest.param("0f 20 c0", id="mov eax, cr0"),
        pytest.param("0f 01 10", id="lgdt"),
        pytest.param("0f 32", id="rdmsr"),
        pytest.param("e4 60", id="in"),
        pytest.param("e6 60", id="out"),
        pytest.param("6e", id="outsb"),
    ],
)
def test_what_a_user_program_may_not_do(code: str) -> None:
    got = trap(code, user=True)
    assert isinstance(got, Trap), got
    assert got.vector == 13
    assert got.frame[:3] == (0, PROGRAM, USER_CODE)
    assert got.frame[4:] == (STACK, USER_DATA)


def test_ports_are_a_user_program_s_with_iopl_3() -> None:
    got = trap("e4 60  f4", user=True, flags=FIXED | 3 << 12)  # in al, 0x60; hlt
    assert isinstance(got, Trap)
    assert got.frame[:2] == (0, PROGRAM + 2)


def test_an_access_that_is_refused_changes_no_register() -> None:
    got = trap("b0 5a  66 ba 60 00  ec", user=True)  # mov al, 0x5a; mov dx, 0x60; in al, dx
    assert isinstance(got, Trap)
    assert (got.vector, got.frame[1]) == (13, PROGRAM + 6)


def test_a_user_program_may_not_use_the_kernel_s_gates() -> None:
    got = trap("cd 21", user=True)  # int 0x21
    assert isinstance(got, Trap)
    assert (got.vector, got.frame[0]) == (13, 0x21 * 8 | 2)


def test_page_faults_come_one_after_the_other() -> None:
    """Unicorn by itself would take the second one for a double fault."""
    code = (
        "48 b8 00 00 00 00 80 00 00 00"  # mov rax, 0x8000000000: not mapped
        "8b 18"  # mov ebx, [rax]
    )
    got = trap(code, 64)
    assert isinstance(got, Trap)
    assert (got.vector, got.frame[:2]) == (14, (0, PROGRAM + 10))
    again = trap("cd 22" + code, 64)
    assert isinstance(again, Trap)
    assert again.vector == 0x22


def test_single_step_traps_behind_the_next_instruction() -> None:
    code = (
        "68 02 01 00 00"  # push TF
        "9d"  # popf
        "90 90 90"
    )
    got = trap(code)
    assert isinstance(got, Trap)
    assert (got.vector, got.frame[0]) == (1, PROGRAM + 7)


def test_code_where_no_ram_is_ends_the_guest() -> None:
    got = trap("b8 00 00 00 10  ff e0")  # mov eax, 0x10000000; jmp eax
    assert got == "there is no RAM at 0x10000000, where the next instruction is"


def test_hlt_with_nothing_to_wake_it_ends_the_run() -> None:
    got = trap("f4")
    assert isinstance(got, Stop)
    assert got.reason is StopReason.HALTED


def test_syscall_is_done_for_unicorn_which_does_not() -> None:
    code = (
        "b9 80 00 00 c0  0f 32  83 c8 01  0f 30"  # set EFER.SCE
        "b9 81 00 00 c0  31 c0  ba 08 00 10 00  0f 30"  # IA32_STAR: code segment 8
        "b9 82 00 00 c0  b8 10 52 00 00  31 d2  0f 30"  # IA32_LSTAR: the handler of vector 0x21
        "0f 05"  # syscall
    )
    got = trap(code, 64)
    assert isinstance(got, Trap)
    assert got.vector == 0x21
