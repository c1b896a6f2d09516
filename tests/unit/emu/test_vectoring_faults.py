"""What goes wrong in delivering something: which fault, with which error code, and what then."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pykvm.emu.events import (
    DOUBLE_FAULT,
    GENERAL_PROTECTION,
    INVALID_TSS,
    PAGE_FAULT,
    SEGMENT_NOT_PRESENT,
    STACK_FAULT,
    Event,
    TripleFault,
    exception,
)
from pykvm.emu.vectoring import deliver
from pykvm.x86 import DescriptorTable
from tests.unit.emu.rig import (
    CODE,
    DATA,
    HANDLER,
    STACK,
    TSS,
    USER_CODE,
    Rig,
    gate32,
    gate64,
    segment,
)

SOFTWARE = Event(0x20, is_software=True)
EXTERNAL = Event(0x20, is_external=True)
FAULTS = (8, 10, 11, 12, 13, 14)
IN_IDT = 0x20 * 8 | 2


def handle_faults(rig: Rig) -> None:
    """Have a handler for each fault, at its number."""
    for vector in FAULTS:
        make = gate64 if rig.bits == 64 else gate32
        rig.gate(vector, make(CODE, vector))


def fault_of(rig: Rig, event: Event) -> tuple[int, int]:
    """The vector that was delivered at last, and its error code."""
    handle_faults(rig)
    deliver(rig.registers, rig.memory, event)
    return rig.registers.rip, rig.stack(1, 8 if rig.bits == 64 else 4)[0]


def shorten(rig: Rig) -> None:
    rig.registers.idt = DescriptorTable(rig.registers.idt.base, 0x20 * rig.width - 1)


def without_inner_stack(rig: Rig) -> None:
    rig.gate(0x20, gate32(CODE, HANDLER, dpl=3))
    rig.memory.write(TSS + 8, 4, 0)


def inner_stack_of_ring_3(rig: Rig) -> None:
    rig.gate(0x20, gate32(CODE, HANDLER, dpl=3))
    rig.memory.write(TSS + 8, 4, 0x23)


def short_tss(rig: Rig) -> None:
    rig.gate(0x20, gate32(CODE, HANDLER, dpl=3))
    rig.registers.tr = rig.registers.tr._replace(limit=7)


def absent_inner_stack(rig: Rig) -> None:
    rig.gate(0x20, gate32(CODE, HANDLER, dpl=3))
    rig.memory.write(TSS + 8, 4, 0x30)
    rig.describe(0x30, segment(0x30)._replace(present=0))


CASES: list[tuple[str, int, Callable[[Rig], None], int, int]] = [
    ("an IDT that is too short", 0, shorten, GENERAL_PROTECTION, IN_IDT),
    ("no gate", 0, lambda rig: rig.gate(0x20, 0), GENERAL_PROTECTION, IN_IDT),
    (
        "an absent gate",
        0,
        lambda rig: rig.gate(0x20, gate32(CODE, HANDLER, present=0)),
        SEGMENT_NOT_PRESENT,
        IN_IDT,
    ),
    (
        "the null selector",
        0,
        lambda rig: rig.gate(0x20, gate32(3, HANDLER)),
        GENERAL_PROTECTION,
        0,
    ),
    (
        "a selector beyond the table",
        0,
        lambda rig: rig.gate(0x20, gate32(0x100, HANDLER)),
        GENERAL_PROTECTION,
        0x100,
    ),
    (
        "a selector of the LDT that is not there",
        0,
        lambda rig: rig.gate(0x20, gate32(0x0C, HANDLER)),
        GENERAL_PROTECTION,
        0x0C,
    ),
    ("data", 0, lambda rig: rig.gate(0x20, gate32(DATA, HANDLER)), GENERAL_PROTECTION, DATA),
    (
        "a handler of less privilege",
        0,
        lambda rig: rig.gate(0x20, gate32(USER_CODE, HANDLER)),
        GENERAL_PROTECTION,
        USER_CODE,
    ),
    ("no inner stack", 3, without_inner_stack, INVALID_TSS, 0),
    ("an inner stack of ring 3", 3, inner_stack_of_ring_3, INVALID_TSS, 0x20),
    ("a short TSS", 3, short_tss, INVALID_TSS, 0x28),
    ("an absent inner stack", 3, absent_inner_stack, STACK_FAULT, 0x30),
]


@pytest.mark.parametrize(
    ("spoil", "vector", "code"),
    [pytest.param(*case[2:], id=case[0]) for case in CASES if case[1] == 0],
)
@pytest.mark.parametrize(("event", "ext"), [(SOFTWARE, 0), (EXTERNAL, 1)])
def test_a_handler_that_cannot_be_entered(
    spoil: Callable[[Rig], None], vector: int, code: int, event: Event, ext: int
) -> None:
    rig = Rig(32)
    spoil(rig)
    assert fault_of(rig, event) == (vector, code | ext)


@pytest.mark.parametrize(
    ("spoil", "vector", "code"),
    [pytest.param(*case[2:], id=case[0]) for case in CASES if case[1] == 3],
)
def test_a_ring_that_cannot_be_entered(
    spoil: Callable[[Rig], None], vector: int, code: int
) -> None:
    """The fault's own handler runs where the program does: it could not be entered either."""
    rig = Rig(32, cpl=3)
    rig.describe(0x38, segment(0x38, 0xF))
    spoil(rig)
    for fault in FAULTS:
        rig.gate(fault, gate32(0x38, fault))
    deliver(rig.registers, rig.memory, SOFTWARE)
    assert (rig.registers.rip, rig.stack(1, 4)[0]) == (vector, code)


def test_software_may_not_use_gates_of_more_privilege_but_exceptions_may() -> None:
    rig = Rig(32, cpl=3)
    rig.gate(0x20, gate32(CODE, HANDLER))
    assert fault_of(rig, SOFTWARE) == (GENERAL_PROTECTION, IN_IDT)
    rig = Rig(32, cpl=3)
    rig.gate(0x20, gate32(CODE, HANDLER))
    deliver(rig.registers, rig.memory, EXTERNAL)
    assert rig.registers.rip == HANDLER


def test_a_64_bit_handler_must_be_64_bit_code() -> None:
    rig = Rig(64)
    rig.describe(0x30, segment(0x30, 0xB, bits=32))
    rig.gate(0x20, gate64(0x30, HANDLER))
    assert fault_of(rig, EXTERNAL) == (GENERAL_PROTECTION, 0x31)


def test_a_stack_that_is_not_canonical_is_a_stack_fault() -> None:
    rig = Rig(64)
    rig.memory.write(TSS + 0x24, 8, 1 << 47)
    rig.gate(0x20, gate64(CODE, HANDLER, ist=1))
    assert fault_of(rig, EXTERNAL) == (STACK_FAULT, 1)


def test_no_room_on_the_stack_is_a_stack_fault_and_then_a_double_fault_s_end() -> None:
    rig = Rig(32)
    rig.registers.ss = rig.registers.ss._replace(limit=STACK - 5)
    rig.gate(0x20, gate32(CODE, HANDLER))
    handle_faults(rig)
    with pytest.raises(TripleFault):
        deliver(rig.registers, rig.memory, EXTERNAL)
    assert (rig.registers.rip, rig.registers.rsp) == (0x4000, STACK)


def test_a_page_fault_in_delivery_is_told_in_cr2() -> None:
    rig = Rig(64)
    rig.memory.holes[range(0x2200, 0x2210)] = 0
    assert fault_of(rig, EXTERNAL) == (PAGE_FAULT, 0)
    assert rig.registers.cr2 == 0x2200


@pytest.mark.parametrize(
    ("first", "second", "then"),
    [
        (GENERAL_PROTECTION, GENERAL_PROTECTION, DOUBLE_FAULT),
        (0, SEGMENT_NOT_PRESENT, DOUBLE_FAULT),
        (PAGE_FAULT, GENERAL_PROTECTION, DOUBLE_FAULT),
        (PAGE_FAULT, PAGE_FAULT, DOUBLE_FAULT),
        (GENERAL_PROTECTION, PAGE_FAULT, PAGE_FAULT),  # not: contributory, then page fault
        (6, GENERAL_PROTECTION, GENERAL_PROTECTION),
        (3, PAGE_FAULT, PAGE_FAULT),
    ],
)
def test_two_faults_are_one_after_the_other_or_double(first: int, second: int, then: int) -> None:
    """SDM vol. 3A, table 6-5."""
    rig = Rig(32)
    handle_faults(rig)
    at = 0x2000 + first * 8
    match second:
        case _ if second == PAGE_FAULT:
            rig.memory.holes[range(at, at + 8)] = 0
        case _ if second == SEGMENT_NOT_PRESENT:
            rig.gate(first, gate32(CODE, HANDLER, present=0))
        case _:
            rig.gate(first, 0)
    if first == second == GENERAL_PROTECTION or then == DOUBLE_FAULT:
        deliver(rig.registers, rig.memory, exception(first, 0))
        assert (rig.registers.rip, rig.stack(1, 4)[0]) == (DOUBLE_FAULT, 0)
        return
    deliver(rig.registers, rig.memory, exception(first, 0))
    assert rig.registers.rip == then


def test_a_fault_in_delivering_a_double_fault_is_the_end() -> None:
    rig = Rig(32)
    rig.registers.idt = DescriptorTable(0, 0)
    with pytest.raises(TripleFault):
        deliver(rig.registers, rig.memory, exception(6, 0))
    assert rig.registers.rip == 0x4000
