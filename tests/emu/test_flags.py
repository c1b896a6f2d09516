"""The flags that faults save, which Unicorn, watched as it is here, would make others of."""

from __future__ import annotations

import pytest

from pykvm.x86 import Rflags
from tests.emu.trapping import PROGRAM, Trap, trap

pytestmark = pytest.mark.emulated

ARITHMETIC = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.OF
NOWHERE = "48 b8 00 00 00 00 80 00 00 00"  # mov rax, 0x8000000000: not mapped
OVERFLOW = "ba 01 00 00 80  01 d2"  # mov edx, 0x80000001; add edx, edx
SET_BY_OVERFLOW = Rflags.CF | Rflags.OF


def saved_flags(code: str, vector: int, bits: int = 64) -> int:
    """The arithmetic flags that the exception at the end of `code` pushed."""
    got = trap(code, bits)
    assert isinstance(got, Trap), got
    assert got.vector == vector
    frame = got.frame[1:] if vector == 14 else got.frame
    assert frame[0] > PROGRAM
    return frame[2] & ARITHMETIC


@pytest.mark.parametrize(
    ("code", "vector"),
    [
        pytest.param("8b 18", 14, id="mov ebx, [rax]"),
        pytest.param("89 18", 14, id="mov [rax], ebx"),
        pytest.param("90  8b 18", 14, id="nop; mov ebx, [rax]"),
        pytest.param("eb 00  8b 18", 14, id="jmp, mov ebx, [rax]"),
        pytest.param("11 10", 14, id="adc [rax], edx"),
        pytest.param("ff 30", 14, id="push [rax]"),
        pytest.param("0f 94 00", 14, id="setz [rax]"),
        pytest.param("48 97  b9 02 00 00 00  f3 aa", 14, id="rep stosb"),
        pytest.param("31 c9  01 d2  01 d2  ba 01 00 00 80  01 d2  f7 f1", 0, id="div ecx"),
        pytest.param("0f 0b", 6, id="ud2"),
        pytest.param("ba 01 00 00 80  fb  01 d2  8b 18", 14, id="add behind sti"),
    ],
)
def test_a_fault_saves_the_flags_of_the_instruction_before(code: str, vector: int) -> None:
    assert saved_flags(NOWHERE + OVERFLOW + code, vector) == SET_BY_OVERFLOW


@pytest.mark.parametrize("length", [500, 4030, 4070])
def test_a_fault_saves_the_flags_from_a_block_that_became_too_long(length: int) -> None:
    """QEMU ends a block behind any instruction then, so that the next one finds what it left."""
    for more in range(20):
        assert saved_flags(NOWHERE + "90" * (length + more) + OVERFLOW + "8b 18", 14) == (
            SET_BY_OVERFLOW
        )


def test_code_that_cannot_be_fetched_leaves_the_flags() -> None:
    assert saved_flags(NOWHERE + OVERFLOW + "ff e0", 14) == SET_BY_OVERFLOW  # jmp rax
