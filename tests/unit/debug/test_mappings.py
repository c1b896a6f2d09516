"""What page tables map, range by range, compared with walks to single addresses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm.debug import mappings
from pykvm.debug.mappings import Range, find_mappings
from pykvm.debug.page_entries import Controls, canonical
from pykvm.debug.paging import translate
from pykvm.memory import Gpa, GuestMemory
from pykvm.x86 import Cr0, Cr4, Efer

P, PS, XD = 1, 0x80, 1 << 63
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
PAGE = 4 * KIB
RAM = 16 * MIB

ON = Cr0.PG | Cr0.PE
TWO_LEVELS = Controls(ON, 0x1000, 0, 0)
TWO_LEVELS_PSE = Controls(ON, 0x1000, Cr4.PSE, 0)
PAE = Controls(ON, 0x1020, Cr4.PAE, 0)
FOUR_LEVELS = Controls(ON, 0x1000, Cr4.PAE, Efer.LMA)
FIVE_LEVELS = Controls(ON, 0x1000, Cr4.PAE | Cr4.LA57, Efer.LMA)
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
    assert find_mappings(Controls(ON, 0xFFFF_F000, 0, 0), memory) == ([], True)


@pytest.mark.parametrize("controls", ALL)
def test_tables_of_nothing_but_themselves_come_to_an_end(
    memory: GuestMemory, controls: Controls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mappings, "MOST_TABLES", 600)
    size = controls.entry_size
    put(memory, size, {0x1000 + i: 0x1000 | P for i in range(0, PAGE, size)})
    found = find_mappings(controls, memory)
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


@pytest.mark.parametrize(
    ("controls", "entry"),
    [
        (TWO_LEVELS_PSE, 1 << 21 | PS | P),
        (PAE, 1 << 13 | PS | P),
        (PAE, XD | 0x20_0000 | PS | P),
        (PAE, 1 << 62 | 0x20_0000 | PS | P),
        (FOUR_LEVELS, 1 << 13 | PS | P),
        (FOUR_LEVELS, XD | 0x20_0000 | PS | P),
    ],
)
def test_reserved_bits_map_nothing(memory: GuestMemory, controls: Controls, entry: int) -> None:
    """A directory that would map a page, below tables of which each is the next page."""
    tables = [controls.root, *(0x2000 + PAGE * place for place in range(3))]
    above = len(controls.steps) - 2
    for place in range(above):
        put(memory, 8, {tables[place]: tables[place + 1] | P})
    put(memory, controls.entry_size, {tables[above]: entry})
    assert find_mappings(controls, memory).ranges == []
    put(memory, controls.entry_size, {tables[above]: 0x40_0000 | PS | P})
    assert find_mappings(controls, memory).ranges[0].gpa == 0x40_0000


NUMBERS = st.sampled_from([0, 1, 2, 3, 255, 256, 511])
ENTRY = st.builds(
    lambda frame, flags, high: frame << 12 | flags | high,
    st.integers(0, 24) | st.sampled_from([0x200, 0x400, 0x800, 0xFFF, 0x1000, 0xF_FFFF]),
    st.sampled_from([0, P, P, P | 6, PS | P, PS | P | 0x67]),
    st.sampled_from([0, 0, 0, 0, XD, 1 << 62, 1 << 51, 1 << 13]),
)


@settings(max_examples=150)
@given(
    controls=st.sampled_from(ALL),
    no_execute=st.booleans(),
    entries=st.lists(st.tuples(st.integers(1, 8), NUMBERS, ENTRY), max_size=60),
    asked=st.lists(st.tuples(*[NUMBERS] * 5), max_size=30),
    data=st.data(),
)
def test_ranges_say_what_a_walk_finds(
    controls: Controls,
    no_execute: bool,
    entries: list[tuple[int, int, int]],
    asked: list[tuple[int, ...]],
    data: st.DataObject,
) -> None:
    """At the ends of each range, behind it, at some place within it, and elsewhere."""
    controls = controls._replace(efer=controls.efer | no_execute * Efer.NX)
    width = controls.entry_size
    with GuestMemory(RAM) as memory:
        for page, number, entry in entries:
            put(memory, width, {(page << 12) + number * width: entry & (1 << 8 * width) - 1})
        found = find_mappings(controls, memory)
        assert found.complete
        for before, after in pairwise(found.ranges):
            assert before.linear + before.size <= after.linear

        def read(gpa: int, length: int) -> bytes | None:
            return memory.read(Gpa(gpa), length) if memory.contains(gpa, length) else None

        def check(linear: int) -> None:
            told = [
                r.gpa + linear - r.linear
                for r in found.ranges
                if r.linear <= linear < r.linear + r.size
            ]
            gpa = translate(read, controls, linear).gpa
            assert told == ([gpa] if gpa is not None and memory.contains(gpa, 1) else [])

        for some in found.ranges:
            within = data.draw(st.integers(0, some.size - 1))
            for offset in (-1, 0, within, some.size - 1, some.size):
                check(some.linear + offset & (1 << 64) - 1)
        for numbers in asked:
            linear = 0x123
            for place, number in enumerate(numbers):
                linear |= number << 12 + 9 * place
            check(canonical(linear & (1 << controls.linear_bits) - 1, controls))
