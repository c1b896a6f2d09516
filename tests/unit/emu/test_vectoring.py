"""Interrupts and exceptions are delivered as SDM vol. 3A, chapter 6, says."""

from __future__ import annotations

import pytest

from pykvm.emu.events import (
    GENERAL_PROTECTION,
    INVALID_OPCODE,
    PAGE_FAULT,
    Event,
    TaskGateMet,
    exception,
)
from pykvm.emu.vectoring import deliver
from pykvm.x86 import Rflags
from tests.unit.emu.rig import (
    CODE,
    CONFORMING,
    DATA,
    EXECUTE_READ,
    HANDLER,
    INNER_STACK,
    STACK,
    TSS,
    USER_CODE,
    USER_DATA,
    Rig,
    gate32,
    gate64,
    segment,
)

SOFTWARE = Event(0x20, is_software=True)
EXTERNAL = Event(0x21, is_external=True)


def test_real_mode_pushes_three_words_and_enters_the_vector_s_handler() -> None:
    rig = Rig(16)
    rig.gate(0x20, 0x2000_0123)
    rig.registers.rflags |= Rflags.TF | Rflags.CF
    deliver(rig.registers, rig.memory, SOFTWARE)
    r = rig.registers
    assert (r.cs.selector, r.cs.base, r.rip, r.rsp) == (0x2000, 0x20000, 0x123, STACK - 6)
    assert rig.stack(3, 2) == [0x4000, 0x1000, Rflags.FIXED | Rflags.IF | Rflags.TF | Rflags.CF]
    assert r.rflags == Rflags.FIXED | Rflags.CF


def test_real_mode_has_no_error_codes() -> None:
    rig = Rig(16)
    rig.gate(GENERAL_PROTECTION, 0x0000_0500)
    deliver(rig.registers, rig.memory, exception(GENERAL_PROTECTION, 0x18))
    assert rig.registers.rsp == STACK - 6


def test_a_real_mode_vector_beyond_the_table_is_a_general_protection() -> None:
    rig = Rig(16)
    rig.gate(GENERAL_PROTECTION, 0x0000_0500)
    deliver(rig.registers, rig.memory, Event(0x40, is_software=True))
    assert rig.registers.rip == 0x500


def test_the_real_mode_stack_wraps_within_its_64_kib() -> None:
    rig = Rig(16)
    rig.registers.rsp = 0x7777_0002
    rig.gate(0x20, 0x0000_0500)
    deliver(rig.registers, rig.memory, SOFTWARE)
    assert rig.registers.rsp == 0x7777_FFFC
    assert rig.memory.read(0xFFFC, 2) == 0x4000


@pytest.mark.parametrize(("type", "keeps_if"), [(0xE, False), (0xF, True)])
def test_interrupt_gates_turn_interrupts_off_and_trap_gates_do_not(
    type: int, keeps_if: bool
) -> None:
    rig = Rig(32)
    rig.gate(0x21, gate32(CODE, HANDLER, type))
    rig.registers.rflags |= Rflags.TF | Rflags.NT | Rflags.RF
    deliver(rig.registers, rig.memory, EXTERNAL)
    flags = Rflags.FIXED | (Rflags.IF if keeps_if else 0)
    assert (rig.registers.rip, rig.registers.rflags) == (HANDLER, flags)


def test_a_32_bit_gate_pushes_flags_code_segment_and_rip() -> None:
    rig = Rig(32)
    rig.gate(0x21, gate32(CODE, HANDLER))
    deliver(rig.registers, rig.memory, EXTERNAL)
    assert rig.stack(3, 4) == [0x4000, CODE, Rflags.FIXED | Rflags.IF]
    assert rig.registers.rsp == STACK - 12


def test_a_16_bit_gate_pushes_words_and_has_16_bits_of_offset() -> None:
    rig = Rig(32)
    rig.gate(0x21, gate32(CODE, HANDLER, 6))
    deliver(rig.registers, rig.memory, EXTERNAL)
    assert rig.stack(3, 2) == [0x4000, CODE, Rflags.FIXED | Rflags.IF]
    assert (rig.registers.rip, rig.registers.rsp) == (HANDLER & 0xFFFF, STACK - 6)


def test_faults_push_their_error_code_and_flags_with_rf() -> None:
    rig = Rig(32)
    rig.gate(GENERAL_PROTECTION, gate32(CODE, HANDLER))
    deliver(rig.registers, rig.memory, exception(GENERAL_PROTECTION, 0x18))
    flags = Rflags.FIXED | Rflags.IF | Rflags.RF
    assert rig.stack(4, 4) == [0x18, 0x4000, CODE, flags]
    assert not rig.registers.rflags & Rflags.RF


def test_a_trap_pushes_flags_without_rf() -> None:
    rig = Rig(32)
    rig.gate(3, gate32(CODE, HANDLER))
    deliver(rig.registers, rig.memory, Event(3, is_software=True))
    assert not rig.stack(3, 4)[2] & Rflags.RF


def test_from_ring_3_the_stack_is_the_task_s_for_ring_0() -> None:
    rig = Rig(32, cpl=3)
    rig.gate(0x20, gate32(CODE, HANDLER, dpl=3))
    deliver(rig.registers, rig.memory, SOFTWARE)
    r = rig.registers
    assert (r.cs.selector, r.ss.selector, r.cpl, r.rsp) == (CODE, DATA, 0, INNER_STACK - 20)
    flags = Rflags.FIXED | Rflags.IF
    assert rig.stack(5, 4) == [0x4000, USER_CODE | 3, flags, STACK, USER_DATA | 3]


def test_a_conforming_handler_runs_in_ring_3_and_is_pushed_for_with_a_user_s_rights() -> None:
    rig = Rig(32, cpl=3)
    rig.describe(0x30, segment(0x30, CONFORMING))
    rig.gate(0x20, gate32(0x30, HANDLER, dpl=3))
    deliver(rig.registers, rig.memory, SOFTWARE)
    assert (rig.registers.cs.selector, rig.registers.cpl) == (0x33, 3)
    assert rig.memory.user_accesses == [STACK - 4, STACK - 8, STACK - 12]


def test_virtual_8086_pushes_all_segments_and_loads_none() -> None:
    rig = Rig(32, cpl=3)
    r = rig.registers
    r.rflags |= Rflags.VM
    names = ("ds", "es", "fs", "gs")
    for number, name in enumerate(names):
        setattr(r, name, getattr(r, name)._replace(selector=0x100 + number))
    rig.gate(0x21, gate32(CODE, HANDLER))
    deliver(r, rig.memory, EXTERNAL)
    assert rig.stack(9, 4)[5:] == [0x101, 0x100, 0x102, 0x103]
    assert [getattr(r, name).selector for name in names] == [0] * 4
    assert (r.cpl, r.rflags & Rflags.VM) == (0, 0)


def test_loading_a_descriptor_marks_it_accessed() -> None:
    rig = Rig(32)
    rig.describe(0x30, segment(0x30, EXECUTE_READ & ~1))
    rig.gate(0x21, gate32(0x30, HANDLER))
    deliver(rig.registers, rig.memory, EXTERNAL)
    assert rig.memory.read(0x1000 + 0x35, 1) & 1
    assert rig.registers.cs.type == EXECUTE_READ


def test_long_mode_aligns_the_stack_and_pushes_it_always() -> None:
    rig = Rig(64)
    rig.registers.rsp = STACK + 5
    rig.gate(0x21, gate64(CODE, 0xFFFF_8000_1234_5678))
    deliver(rig.registers, rig.memory, EXTERNAL)
    assert rig.registers.rip == 0xFFFF_8000_1234_5678
    assert rig.registers.rsp == STACK - 40
    assert rig.stack(5, 8) == [0x4000, CODE, Rflags.FIXED | Rflags.IF, STACK + 5, DATA]


def test_long_mode_from_ring_3_has_no_stack_segment() -> None:
    rig = Rig(64, cpl=3)
    rig.gate(0x20, gate64(CODE, HANDLER, dpl=3))
    deliver(rig.registers, rig.memory, SOFTWARE)
    r = rig.registers
    assert (r.ss.selector, r.ss.unusable, r.cpl, r.rsp) == (0, 1, 0, INNER_STACK - 40)


def test_the_interrupt_stack_table_counts_in_ring_0_too() -> None:
    rig = Rig(64)
    rig.memory.write(TSS + 0x24 + 8, 8, 0xB008)
    rig.gate(PAGE_FAULT, gate64(CODE, HANDLER, ist=2))
    deliver(rig.registers, rig.memory, exception(PAGE_FAULT, 2))
    assert rig.registers.rsp == 0xB000 - 48
    assert rig.stack(2, 8) == [2, 0x4000]


def test_a_task_gate_is_refused() -> None:
    rig = Rig(32)
    rig.gate(0x21, gate32(0x28, 0, 5))
    with pytest.raises(TaskGateMet):
        deliver(rig.registers, rig.memory, EXTERNAL)


def test_what_cannot_be_delivered_leaves_the_registers_alone() -> None:
    rig = Rig(32)
    rig.gate(GENERAL_PROTECTION, gate32(CODE, HANDLER))
    rig.gate(INVALID_OPCODE, gate32(USER_DATA, HANDLER))
    deliver(rig.registers, rig.memory, exception(INVALID_OPCODE, 0))
    assert rig.stack(4, 4)[:3] == [USER_DATA | 1, 0x4000, CODE]
    assert rig.registers.rsp == STACK - 16
