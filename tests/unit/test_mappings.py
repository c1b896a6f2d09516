"""What page tables map, range by range; a model walks them address by address."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm.debug import mappings
from pykvm.debug.mappings import Range, find_mappings
from pykvm.kvm.registers import Sregs
from pykvm.memory import Gpa, GuestMemory
from pykvm.x86 import Cr0, Cr4, Efer

P, PS = 1, 0x80
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
PAGE = 4 * KIB
RAM = 16 * MIB

TWO_LEVELS = Sregs(cr0=Cr0.PG | Cr0.PE, cr3=0x1000)
TWO_LEVELS_PSE = Sregs(cr0=Cr0.PG | Cr0.PE, cr3=0x1000, cr4=Cr4.PSE)
PAE = Sregs(cr0=Cr0.PG | Cr0.PE, cr3=0x1020, cr4=Cr4.PAE)
FOUR_LEVELS = Sregs(cr0=Cr0.PG | Cr0.PE, cr3=0x1000, cr4=Cr4.PAE, efer=Efer.LMA)
FIVE_LEVELS = Sregs(cr0=Cr0.PG | Cr0.PE, cr3=0x1000, cr4=Cr4.PAE | Cr4.LA57, efer=Efer.LMA)
ALL = (TWO_LEVELS, TWO_LEVELS_PSE, PAE, FOUR_LEVELS, FIVE_LEVELS)


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    with GuestMemory(RAM) as ram:
        yield ram


def put(memory: GuestMemory, size: int, entries: dict[int, int]) -> None:
    """Store entries of `size` bytes at addresses."""
    for address, entry in entries.items():
        memory.write_uint(Gpa(address), size, entry)


def test_pages_that_follow_each_other_are_one_range(memory: GuestMemory) -> None:
    put(memory, 4, {0x1000: 0x2000 | P, 0x1004: 0x3000 | P})
    put(memory, 4, {0x2000 + 4 * i: 0x10_0000 + PAGE * i | P for i in range(1024)})
    put(memory, 4, {0x3000: 0x50_0000 | P, 0x3004: 0x60_0000 | P, 0x300C: 0x60_1000 | P})
    assert find_mappings(TWO_LEVELS, memory).ranges == [
        Range(0, 0x10_0000, 4 * MIB + PAGE),
        Range(4 * MIB + PAGE, 0x60_0000, PAGE),
        Range(4 * MIB + 3 * PAGE, 0x60_1000, PAGE),
    ]


def test_large_pages_of_32_bit_paging_want_cr4_pse(memory: GuestMemory) -> None:
    put(memory, 4, {0x1000 + 4 * 0x300: 0x40_0000 | PS | P})
    assert find_mappings(TWO_LEVELS_PSE, memory).ranges == [Range(0xC000_0000, 4 * MIB, 4 * MIB)]
    put(memory, 4, {0x40_0000: 0x5000 | P})
    assert find_mappings(TWO_LEVELS, memory).ranges == [Range(0xC000_0000, 0x5000, PAGE)]


def test_large_pages_of_32_bit_paging_reach_beyond_4_gib(memory: GuestMemory) -> None:
    put(memory, 4, {0x1000: 1 << 13 | PS | P})
    assert find_mappings(TWO_LEVELS_PSE, memory).ranges == []


def test_pae_has_four_pointers(memory: GuestMemory) -> None:
    put(memory, 8, {0x1020: 0x2000 | P, 0x1038: 0x2000 | P, 0x1040: 0x2000 | P})
    put(memory, 8, {0x2000: 0x20_0000 | PS | P})
    assert find_mappings(PAE, memory).ranges == [
        Range(0, 2 * MIB, 2 * MIB),
        Range(3 * GIB, 2 * MIB, 2 * MIB),
    ]


def test_high_halves_are_canonical(memory: GuestMemory) -> None:
    put(memory, 8, {0x1FF8: 0x2000 | P, 0x2FF0: 0x3000 | P, 0x3000: 0x20_0000 | PS | P})
    high = 0xFFFF_FFFF_8000_0000
    assert find_mappings(FOUR_LEVELS, memory).ranges == [Range(high, 2 * MIB, 2 * MIB)]
    put(memory, 8, {0x2FF0: 0, 0x2FF8: 0x3000 | P, 0x3000: 0x4000 | P, 0x4000: 0 | PS | P})
    higher = 0xFFFF_FF80_0000_0000
    assert find_mappings(FIVE_LEVELS, memory).ranges == [Range(higher, 0, 2 * MIB)]


def test_of_a_large_page_what_is_ram_is_told(memory: GuestMemory) -> None:
    put(memory, 8, {0x1000: 0x2000 | P, 0x2000: 0 | PS | P, 0x2008: 5 * GIB | PS | P})
    assert find_mappings(FOUR_LEVELS, memory).ranges == [Range(0, 0, RAM)]


def test_tables_outside_of_ram_map_nothing(memory: GuestMemory) -> None:
    put(memory, 8, {0x1000: RAM | P, 0x1008: (1 << 51) | P, 0x1010: 0xF_FFFF_FFFF_F000 | P})
    assert find_mappings(FOUR_LEVELS, memory) == ([], True)
    assert find_mappings(Sregs(cr0=Cr0.PG, cr3=0xFFFF_F000), memory) == ([], True)


@pytest.mark.parametrize("sregs", ALL)
def test_tables_of_nothing_but_themselves_come_to_an_end(
    memory: GuestMemory, sregs: Sregs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mappings, "MOST_TABLES", 600)
    size = 4 if not sregs.cr4 & Cr4.PAE else 8
    put(memory, size, {0x1000 + i: 0x1000 | P for i in range(0, PAGE, size)})
    found = find_mappings(sregs, memory)
    assert not found.complete
    assert {r.gpa for r in found.ranges} == {0x1000}


def test_a_wall_of_tables_that_lead_nowhere_comes_to_an_end(
    memory: GuestMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mappings, "MOST_TABLES", 100)
    put(memory, 8, {0x1000 + i: 0x1000 | P for i in range(0, PAGE - 8, 8)})
    put(memory, 8, {0x1FF8: RAM | P})
    assert not find_mappings(FIVE_LEVELS, memory).complete


def test_ranges_are_bounded(memory: GuestMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mappings, "MOST_RANGES", 5)
    put(memory, 4, {0x1000: 0x2000 | P})
    put(memory, 4, {0x2000 + 4 * i: 0x5000 | P for i in range(6)})
    found = find_mappings(TWO_LEVELS, memory)
    assert (len(found.ranges), found.complete) == (5, False)
    put(memory, 4, {0x2014: 0})
    assert find_mappings(TWO_LEVELS, memory).complete


def model(memory: GuestMemory, sregs: Sregs, linear: int) -> int | None:
    """One address through the tables, as SDM vol. 3A, figures 4-2 to 4-11 draw it."""
    if not sregs.cr4 & Cr4.PAE:
        steps, width, mask = [(22, 10), (12, 10)], 4, 0xFFFF_F000
    elif not sregs.efer:
        steps, width, mask = [(30, 2), (21, 9), (12, 9)], 8, 0xF_FFFF_FFFF_F000
    else:
        steps, width, mask = [(39, 9), (30, 9), (21, 9), (12, 9)], 8, 0xF_FFFF_FFFF_F000
    table = sregs.cr3
    for shift, bits in steps:
        at = table + (linear >> shift & (1 << bits) - 1) * width
        if not memory.contains(at, width):
            return None
        entry = memory.read_uint(Gpa(at), width)
        if not entry & P:
            return None
        large = shift == 21 or (width == 8 and shift == 30 and bits == 9)
        large = large or (shift == 22 and bool(sregs.cr4 & Cr4.PSE))
        if shift > 12 and large and entry & PS:
            frame = entry & mask & -(1 << shift)
            if shift == 22:
                frame = entry & 0xFFC0_0000 | (entry >> 13 & 0xFF) << 32
            return frame + (linear & (1 << shift) - 1)
        table = entry & mask
    return table + (linear & 0xFFF)


ENTRY = st.builds(
    lambda frame, bits: frame << 12 | bits,
    st.integers(0, 24) | st.sampled_from([0x200, 0x400, 0x800, 0xFFF, 0x1000, 0xF_FFFF]),
    st.sampled_from([0, P, P, P | 6, PS | P]),
)


@settings(deadline=None, max_examples=60)
@given(
    sregs=st.sampled_from([TWO_LEVELS, TWO_LEVELS_PSE, PAE, FOUR_LEVELS]),
    entries=st.lists(
        st.tuples(st.integers(1, 8), st.sampled_from([0, 1, 2, 255, 256, 511]), ENTRY), max_size=40
    ),
    asked=st.lists(st.tuples(*[st.sampled_from([0, 1, 2, 255, 256, 511])] * 4), max_size=30),
)
def test_ranges_say_what_a_walk_finds(
    sregs: Sregs,
    entries: list[tuple[int, int, int]],
    asked: list[tuple[int, int, int, int]],
) -> None:
    width = 8 if sregs.cr4 & Cr4.PAE else 4
    with GuestMemory(RAM) as memory:
        for page, number, entry in entries:
            struct.pack_into(
                f"<{'Q' if width == 8 else 'I'}",
                memory.view(Gpa(page << 12), PAGE),
                number * width,
                entry & (1 << 8 * width) - 1,
            )
        found = find_mappings(sregs, memory)
        assert found.complete
        for before, after in zip(found.ranges, found.ranges[1:], strict=False):
            assert before.linear + before.size <= after.linear
        top = 48 if sregs.efer else 32
        for numbers in asked:
            linear = 0
            for number in numbers:
                linear = linear << 9 | number
            linear = (linear << 12 | 0x123) & (1 << top) - 1
            canonical = linear | (0xFFFF << 48 if top == 48 and linear >> 47 else 0)
            told = [
                r.gpa + canonical - r.linear
                for r in found.ranges
                if r.linear <= canonical < r.linear + r.size
            ]
            gpa = model(memory, sregs, linear)
            assert told == ([gpa] if gpa is not None and memory.contains(gpa, 1) else [])
