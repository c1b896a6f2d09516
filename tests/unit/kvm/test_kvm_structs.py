"""Dataclasses to the API's structs and back, for every class that stands for one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm._shim import ffi
from pykvm.kvm.chipstate import PicState, PitChannel, PitState
from pykvm.kvm.cpuid import CpuidEntry, to_entries, to_table
from pykvm.kvm.registers import Regs, Sregs
from pykvm.kvm.state import DebugRegs, Fpu, VcpuEvents, load_events, store_events
from pykvm.kvm.structs import field_names, load, store
from pykvm.x86 import DescriptorTable, Segment

U8, U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32, 64))
BIT = st.integers(0, 1)
SEGMENT = st.builds(
    Segment, U64, U32, U16, st.integers(0, 15), BIT, st.integers(0, 3), BIT, BIT, BIT, BIT, BIT, BIT
)
TABLE = st.builds(DescriptorTable, U64, U16)
LINE = st.binary(min_size=16, max_size=16)


def through(value: Any, struct: str) -> Any:
    """Store `value` in a struct and load it again."""
    pointer = ffi.new(f"struct {struct} *")
    store(value, pointer)
    return load(type(value), pointer)


@given(st.builds(Regs, **dict.fromkeys(field_names(Regs), U64)))
def test_regs(regs: Regs) -> None:
    assert through(regs, "kvm_regs") == regs


@given(
    st.builds(
        Sregs,
        *[SEGMENT] * 8,
        *[TABLE] * 2,
        *[U64] * 7,
        st.tuples(U64, U64, U64, U64),
    )
)
def test_sregs(sregs: Sregs) -> None:
    assert through(sregs, "kvm_sregs") == sregs


@given(
    st.builds(
        Fpu, st.tuples(*[LINE] * 8), U16, U16, U8, U16, U64, U64, st.tuples(*[LINE] * 16), U32
    )
)
def test_fpu(fpu: Fpu) -> None:
    assert through(fpu, "kvm_fpu") == fpu


@given(st.builds(DebugRegs, st.tuples(U64, U64, U64, U64), U64, U64, U64))
def test_debugregs(registers: DebugRegs) -> None:
    assert through(registers, "kvm_debugregs") == registers


@given(st.builds(PicState, **dict.fromkeys(field_names(PicState), U8)))
def test_pic(state: PicState) -> None:
    assert through(state, "kvm_pic_state") == state


CHANNEL = st.builds(PitChannel, U32, U16, *[U8] * 10, st.integers(-(1 << 63), (1 << 63) - 1))


@given(st.builds(PitState, st.tuples(CHANNEL, CHANNEL, CHANNEL), U32))
def test_pit(state: PitState) -> None:
    assert through(state, "kvm_pit_state2") == state


WIDE_EVENTS = {
    "exception_error_code": U32,
    "sipi_vector": U32,
    "flags": U32,
    "exception_payload": U64,
}


@given(st.builds(VcpuEvents, **{n: WIDE_EVENTS.get(n, U8) for n in field_names(VcpuEvents)}))
def test_vcpu_events(events: VcpuEvents) -> None:
    struct = ffi.new("struct kvm_vcpu_events *")
    store_events(events, struct)
    assert load_events(struct) == events


@given(st.lists(st.builds(CpuidEntry, *[U32] * 7), max_size=8))
def test_cpuid(entries: list[CpuidEntry]) -> None:
    assert to_entries(to_table(entries)) == entries


def test_events_land_at_their_offsets() -> None:
    """Spot checks against the layout that <asm/kvm.h> gives: nested structs are flat here."""
    struct = ffi.new("struct kvm_vcpu_events *")
    store_events(VcpuEvents(interrupt_nr=7, nmi_masked=1, triple_fault_pending=1), struct)
    raw = bytes(ffi.buffer(struct))
    assert raw[9] == 7
    assert raw[14] == 1
    assert raw[28] == 1


def test_a_value_too_wide_is_refused() -> None:
    with pytest.raises(OverflowError):
        through(Regs(rax=1 << 64), "kvm_regs")


def test_an_array_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="db has 4 elements, not 1"):
        through(DebugRegs(db=(1,)), "kvm_debugregs")
    with pytest.raises(ValueError, match="fpr"):
        through(replace(Fpu(), fpr=(b"",) * 8), "kvm_fpu")
