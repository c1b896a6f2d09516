"""The boot tables, as a processor reads them: a page walk and descriptors decoded here anew."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm.boot.state import BootState, Piece
from pykvm.boot.tables import gdt, identity_map, long_state, protected_state, ram_end
from pykvm.errors import ImageError
from pykvm.layout import GIB, HIGH_RAM_BASE, KIB, LOW_RAM_END, MIB
from pykvm.x86 import Cr0, Cr4, Efer, Mode, Segment, flat_code

StateOf = Callable[[int, tuple[Piece, ...], int, int], BootState]

SIZES = [64 * KIB, MIB, 16 * MIB, 3 * GIB, 3 * GIB + 4 * KIB, 4 * GIB, 600 * GIB]


@dataclass
class Memory:
    """Physical memory that holds the pieces of a boot state; other reads fail."""

    pieces: tuple[Piece, ...]

    def qword(self, address: int) -> int:
        for piece in self.pieces:
            if piece.gpa <= address and address + 8 <= piece.end:
                at = address - piece.gpa
                return int.from_bytes(bytes(piece.data[at : at + 8]).ljust(8, b"\0"), "little")
        raise AssertionError(f"the walk reads {address:#x}, where nothing was put")


def walk(memory: Memory, cr3: int, linear: int) -> int | None:
    """Translate as the SDM says (vol. 3A, 4.5), insisting on what a supervisor's write needs."""
    table = cr3 & 0x000F_FFFF_FFFF_F000
    for shift in (39, 30, 21, 12):
        entry = memory.qword(table + (linear >> shift & 0x1FF) * 8)
        if not entry & 1:
            return None
        assert entry & 2, "a page that cannot be written"
        assert not entry >> 63, "a page that cannot be executed"
        large = entry >> 7 & 1
        frame = entry & 0x000F_FFFF_FFFF_F000
        if large or shift == 12:
            assert shift != 39, "bit 7 of a PML4 entry is reserved"
            assert not frame & ((1 << shift) - 1), "reserved bits of a large page"
            return frame | linear & ((1 << shift) - 1)
        table = frame
    raise AssertionError("unreachable")


def boot_long(ram: int) -> BootState:
    return long_state(ram, (), entry=0x1000, stack=0)


@pytest.mark.parametrize("ram", SIZES)
def test_all_ram_and_four_gib_are_mapped_one_to_one(ram: int) -> None:
    state = boot_long(ram)
    memory = Memory(state.pieces)
    end = max(ram_end(ram), 4 * GIB)
    edges = {0, 4095, 2 * MIB, GIB, LOW_RAM_END, HIGH_RAM_BASE - 1, end // 2, end - 1}
    for linear in edges | {end - 2 * MIB, end - GIB}:
        assert walk(memory, state.cr3, linear) == linear
    rounded = -(-end // GIB) * GIB
    assert walk(memory, state.cr3, rounded - 1) == rounded - 1
    for beyond in (rounded, rounded + GIB, (1 << 47) - 1, 0xFFFF_8000_0000_0000, (1 << 64) - 1):
        assert walk(memory, state.cr3, beyond) is None


SMALL = boot_long(16 * MIB)
LARGE = boot_long(600 * GIB)  # more than one table of 512 GiB


@settings(max_examples=300)
@given(linear=st.integers(0, 4 * GIB - 1) | st.integers(0, 601 * GIB - 1))
def test_any_address_is_mapped_to_itself(linear: int) -> None:
    for state, end in ((SMALL, 4 * GIB), (LARGE, 601 * GIB)):
        expected = linear if linear < end else None
        assert walk(Memory(state.pieces), state.cr3, linear) == expected


@pytest.mark.parametrize("base", [0x1000, 0x8000, LOW_RAM_END - MIB])
@pytest.mark.parametrize("end", [1, GIB, GIB + 1, 513 * GIB])
def test_the_tables_may_lie_anywhere(base: int, end: int) -> None:
    tables = identity_map(base, end)
    assert len(tables) % 4096 == 0
    memory = Memory((Piece(base, tables, len(tables), "tables"),))
    mapped = -(-end // GIB) * GIB
    for linear in (0, end - 1, mapped - 1):
        assert walk(memory, base, linear) == linear
    assert walk(memory, base, mapped) is None


@pytest.mark.parametrize("ram", SIZES)
@pytest.mark.parametrize("state_of", [protected_state, long_state])
def test_tables_lie_at_the_end_of_low_ram_apart_from_each_other(
    ram: int, state_of: StateOf
) -> None:
    state = state_of(ram, (), 0x1000, 0)
    spans = sorted((piece.gpa, piece.end) for piece in state.pieces)
    assert spans[-1][1] == min(ram, LOW_RAM_END)
    assert spans[0][0] >= 0
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
    assert all(len(piece.data) <= piece.size for piece in state.pieces)
    assert all(start % 4096 == 0 for start, _ in spans)
    assert state.rsp == spans[0][0]


def decode(descriptor: int) -> dict[str, int]:
    """A segment descriptor's fields (SDM vol. 3A, 3.4.5), by the bytes they are spread over."""
    limit_low, base_low, base_mid, access, flags, base_high = struct.unpack(
        "<HHBBBB", descriptor.to_bytes(8, "little")
    )
    limit = limit_low | (flags & 0xF) << 16
    granular = flags >> 7
    return {
        "base": base_low | base_mid << 16 | base_high << 24,
        "limit": limit << 12 | 0xFFF if granular else limit,
        "type": access & 0xF,
        "s": access >> 4 & 1,
        "dpl": access >> 5 & 3,
        "present": access >> 7,
        "avl": flags >> 4 & 1,
        "l": flags >> 5 & 1,
        "db": flags >> 6 & 1,
        "g": granular,
    }


bit = st.integers(0, 1)


@given(
    base=st.integers(0, (1 << 32) - 1),
    pages=st.integers(0, (1 << 20) - 1),
    type_=st.integers(0, 15),
    dpl=st.integers(0, 3),
    bits=st.tuples(bit, bit, bit, bit, bit, bit),
)
def test_any_segment_survives_its_descriptor(
    base: int, pages: int, type_: int, dpl: int, bits: tuple[int, ...]
) -> None:
    present, db, s, long, g, avl = bits
    limit = pages << 12 | 0xFFF if g else pages
    segment = Segment(base, limit, 8, type_, present, dpl, db, s, long, g, avl)
    fields = decode(segment.descriptor())
    assert fields == {name: getattr(segment, name) for name in fields}


@pytest.mark.parametrize("state_of", [protected_state, long_state])
def test_the_gdt_holds_what_the_segment_registers_do(state_of: StateOf) -> None:
    """So a guest that reloads a register with the selector in it changes nothing."""
    state = state_of(16 * MIB, (), 0x1000, 0)
    memory = Memory(state.pieces)
    assert memory.qword(state.gdt.base) == 0
    assert state.gdt.limit == 3 * 8 - 1
    for segment in (state.cs, state.data):
        assert segment.selector + 7 <= state.gdt.limit
        fields = decode(memory.qword(state.gdt.base + segment.selector))
        assert fields == {name: getattr(segment, name) for name in fields}
        assert (segment.base, segment.limit, segment.dpl) == (0, 0xFFFF_FFFF, 0)
    long = state.mode is Mode.LONG
    assert (state.cs.type, state.cs.l, state.cs.db) == (0xB, long, not long)
    assert (state.data.type, state.data.l, state.data.db) == (0x3, 0, 1)


def test_a_descriptor_must_stand_where_its_selector_says() -> None:
    with pytest.raises(ValueError, match="selector 0x18 at entry 1"):
        gdt(flat_code(0x18, Mode.LONG))


def test_protected_mode_is_protected_and_unpaged() -> None:
    state = protected_state(MIB, (), 0x1234, 0x8000)
    assert state.mode is Mode.PROTECTED
    assert state.cr0 & (Cr0.PE | Cr0.PG | Cr0.CD | Cr0.NW) == Cr0.PE
    assert (state.cr4, state.efer, state.cr3) == (0, 0, 0)
    assert (state.rip, state.rsp, state.rflags) == (0x1234, 0x8000, 2)
    assert state.idt.limit == 0


def test_long_mode_is_what_a_processor_calls_valid() -> None:
    """SDM vol. 3A, 10.8.5: PG with PE, PAE, LME and LMA; no caching oddities; CS.L without CS.D."""
    state = long_state(MIB, (), 0x1234, 0x8000)
    assert state.mode is Mode.LONG
    assert state.cr0 & (Cr0.PE | Cr0.PG | Cr0.CD | Cr0.NW) == Cr0.PE | Cr0.PG
    assert state.cr4 & (Cr4.PAE | Cr4.OSFXSR | Cr4.LA57 | Cr4.PCIDE) == Cr4.PAE | Cr4.OSFXSR
    assert state.efer == Efer.LME | Efer.LMA
    assert not state.cr0 & (Cr0.EM | Cr0.TS), "SSE would fault"
    assert state.cr3 % 4096 == 0
    assert (state.rip, state.rsp, state.rflags) == (0x1234, 0x8000, 2)


def test_the_tables_of_long_mode_need_room() -> None:
    boot_long(28 * KIB)
    with pytest.raises(ImageError, match=r"long mode needs 28 KiB for its tables"):
        boot_long(24 * KIB)
