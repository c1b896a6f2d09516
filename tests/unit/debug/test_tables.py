"""Descriptor tables, decoded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.debug.tables import (
    MAX_LIMIT,
    Descriptor,
    ReadLinear,
    decode,
    interrupt_descriptors,
    segment_descriptors,
)
from pykvm.x86 import DescriptorTable, Mode, Segment, flat_code, flat_data

BASE = 0x1000


def memory(data: bytes) -> ReadLinear:
    """`data` at BASE, and nothing else."""

    def read(address: int, length: int) -> bytes | None:
        start = address - BASE
        return data[start : start + length] if 0 <= start <= len(data) - length else None

    return read


def gdt(*descriptors: int, long: bool = False) -> list[Descriptor]:
    data = b"".join(d.to_bytes(8, "little") for d in descriptors)
    table = DescriptorTable(BASE, len(data) - 1)
    return list(segment_descriptors(memory(data), table, long=long))


def test_what_a_machine_of_pykvm_has() -> None:
    entries = gdt(
        0,
        flat_code(8, Mode.LONG).descriptor(),
        flat_data(0x10).descriptor(),
        flat_code(0x18, Mode.PROTECTED)._replace(dpl=3).descriptor(),
    )
    assert [str(entry) for entry in entries] == [
        "0000  empty",
        "0008  64-bit code, read      dpl 0  base 0 limit ffffffff",
        "0010  32-bit data, write     dpl 0  base 0 limit ffffffff",
        "0018  32-bit code, read      dpl 3  base 0 limit ffffffff",
    ]


segments = st.builds(
    Segment,
    base=st.integers(0, 0xFFFF_FFFF),
    limit=st.integers(0, 0xF_FFFF),
    type=st.integers(0, 15),
    dpl=st.integers(0, 3),
    present=st.integers(0, 1),
    g=st.integers(0, 1),
    s=st.just(1),
    db=st.integers(0, 1),
    l=st.integers(0, 1),
    avl=st.integers(0, 1),
    selector=st.just(0),
    unusable=st.just(0),
)


@given(segments)
def test_what_a_segment_is_made_of_is_found_again(segment: Segment) -> None:
    if segment.g:
        segment = segment._replace(limit=segment.limit << 12 | 0xFFF)
    [found] = gdt(segment.descriptor())
    assert (found.base, found.limit, found.dpl) == (segment.base, segment.limit, segment.dpl)
    assert found.present == bool(segment.present)
    assert ("code" in found.kind) == (segment.type >= 8)
    assert found.target is None


def test_a_system_descriptor_of_long_mode_is_two_entries_wide() -> None:
    low = Segment(base=0x89AB_CDEF, limit=0x67, type=0xB, s=0).descriptor()
    entries = gdt(low, 0xFFFF_8000, flat_data(0x10).descriptor(), long=True)
    assert [(e.selector, e.kind, e.base) for e in entries] == [
        (0x00, "64-bit TSS, busy", 0xFFFF_8000_89AB_CDEF),
        (0x10, "32-bit data, write", 0),
    ]
    # the same in protected mode is two descriptors
    assert [e.kind for e in gdt(low, 0xFFFF_8000)] == ["32-bit TSS, busy", "reserved type 0"]


def test_one_that_the_limit_cuts_in_two_has_its_lower_half() -> None:
    low = Segment(base=0x1000, limit=0x67, type=0x9, s=0).descriptor()
    [found] = gdt(low, long=True)
    assert (found.kind, found.base, len(found.raw)) == ("64-bit TSS, available", 0x1000, 8)


@pytest.mark.parametrize("limit", [0, 6, 0xFFFF, 0xFFFF_FFFF])
def test_a_hostile_limit_is_cut(limit: int) -> None:
    entries = list(segment_descriptors(memory(b""), DescriptorTable(BASE, limit), long=True))
    assert len(entries) == (min(limit, MAX_LIMIT) + 1) // 8
    assert all(entry.kind == "not in RAM" for entry in entries)


GATE_32 = (0x1234 | 8 << 16 | 0xEE << 40 | 0xC0DE << 48).to_bytes(8, "little")
GATE_64 = (0x5678 | 8 << 16 | 2 << 32 | 0x8F << 40 | 0x1234 << 48).to_bytes(8, "little") + (
    0xFFFF_FFFF
).to_bytes(8, "little")


def test_gates_of_each_mode() -> None:
    table = DescriptorTable(BASE, 0xFFF)
    [gate, *rest] = interrupt_descriptors(memory(GATE_32), table, Mode.PROTECTED)
    assert str(gate) == "0000  32-bit interrupt gate  dpl 3  -> 0008:c0de1234"
    assert (len(rest), rest[0].kind) == (255, "not in RAM")
    [gate, *rest] = interrupt_descriptors(memory(GATE_64), table, Mode.LONG)
    assert str(gate) == (
        "0000  64-bit trap gate       dpl 0  -> 0008:ffffffff12345678 on stack IST2"
    )
    assert len(rest) == 255
    table = DescriptorTable(BASE, 0x3FF)
    [gate, *rest] = interrupt_descriptors(memory(bytes.fromhex("34 12 00 f0")), table, Mode.REAL)
    assert gate.target == (0xF000, 0x1234)
    assert len(rest) == 255


def test_a_task_gate_has_no_offset() -> None:
    raw = (0x1234 | 0x28 << 16 | 0x85 << 40 | 0x5678 << 48).to_bytes(8, "little")
    assert decode(8, 0, raw, long=False).target == (0x28, 0)
    assert decode(8, 0, raw, long=True).kind == "reserved type 5"


@given(st.binary(min_size=8, max_size=8) | st.binary(min_size=16, max_size=16), st.booleans())
def test_anything_is_decoded(raw: bytes, long: bool) -> None:
    found = decode(0, 0, raw, long=long)
    assert str(found)
    assert found.raw == raw
