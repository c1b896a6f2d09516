"""The memory map, as a guest reads it: RAM is usable, what firmware keeps is not."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.boot.e820 import ACPI, NVS, RESERVED, USABLE, Range, map_for_firmware, memory_map, usable
from pykvm.layout import GIB, HIGH_RAM_BASE, KIB, LOW_RAM_END, MIB

BIOS = Range(0x9_FC00, 0x6_0400, RESERVED)
DEVICES = (
    Range(0xFEC0_0000, 0x1000, RESERVED),
    Range(0xFEE0_0000, 0x1000, RESERVED),
    Range(0xFFFB_C000, 0x4000, RESERVED),
)


@pytest.mark.parametrize(
    ("ram", "ranges"),
    [
        (64 * KIB, (Range(0, 64 * KIB, USABLE), BIOS)),
        (640 * KIB, (Range(0, 0x9_FC00, USABLE), BIOS)),
        (MIB, (Range(0, 0x9_FC00, USABLE), BIOS)),
        (16 * MIB, (Range(0, 0x9_FC00, USABLE), BIOS, Range(MIB, 15 * MIB, USABLE))),
        (3 * GIB, (Range(0, 0x9_FC00, USABLE), BIOS, Range(MIB, 3 * GIB - MIB, USABLE))),
    ],
)
def test_a_machine_s_ram_is_usable_but_for_the_bios_area(
    ram: int, ranges: tuple[Range, ...]
) -> None:
    assert memory_map(ram) == (*ranges, *DEVICES)


def test_ram_goes_on_above_the_hole() -> None:
    assert memory_map(5 * GIB)[-1] == Range(4 * GIB, 2 * GIB, USABLE)
    assert memory_map(5 * GIB)[-4:-1] == DEVICES


def test_what_firmware_keeps_is_cut_out() -> None:
    kept = (Range(16 * MIB - 0x3000, 0x3000, ACPI), Range(0xE_0000, 0x1000, ACPI))
    assert memory_map(16 * MIB, kept)[1:-3] == (
        Range(0x9_FC00, 0xE_0000 - 0x9_FC00, RESERVED),
        Range(0xE_0000, 0x1000, ACPI),
        Range(0xE_1000, 0x1_F000, RESERVED),
        Range(MIB, 15 * MIB - 0x3000, USABLE),
        Range(16 * MIB - 0x3000, 0x3000, ACPI),
    )


def test_neighbours_of_one_type_are_one_range() -> None:
    kept = (Range(MIB, 0x1000, RESERVED), Range(MIB + 0x1000, 0x1000, RESERVED))
    assert memory_map(16 * MIB, kept)[1] == Range(0x9_FC00, 0x6_2400, RESERVED)


places = st.integers(0, 40) | st.integers(0, 6 * GIB // 4096)
kept_ranges = st.builds(
    lambda page, pages, type_: Range(page * 4096, pages * 4096, type_),
    places,
    st.integers(0, 300),
    st.sampled_from([RESERVED, ACPI, NVS]),
)


@given(ram=st.integers(1, 6 * GIB // 4096).map(lambda n: n * 4096), kept=st.lists(kept_ranges))
def test_any_map_is_in_order_and_says_of_each_address_what_it_is(
    ram: int, kept: list[Range]
) -> None:
    ranges = memory_map(ram, kept)
    assert all(r.size > 0 for r in ranges)
    assert all(a.end <= b.base and (a.end, a.type) != (b.base, b.type) for a, b in pairwise(ranges))
    low = min(ram, LOW_RAM_END)
    edges = {0, 0x9_FC00, MIB, low, HIGH_RAM_BASE, HIGH_RAM_BASE + ram - low}
    edges |= {edge for r in kept for edge in (r.base, r.end)}
    for address in sorted({max(edge + step, 0) for edge in edges for step in (-1, 0)}):
        told = {r.type for r in ranges if r.base <= address < r.end}
        by_firmware = [r.type for r in kept if r.base <= address < r.end]
        always = 0x9_FC00 <= address < MIB or any(r.base <= address < r.end for r in DEVICES)
        is_ram = address < low or HIGH_RAM_BASE <= address < HIGH_RAM_BASE + ram - low
        if by_firmware:
            assert told == {by_firmware[-1]}
        elif always:
            assert told == {RESERVED}
        else:
            assert told == ({USABLE} if is_ram else set())
    assert usable(ranges) == tuple(r for r in ranges if r.type == USABLE)


@pytest.mark.parametrize("ram", [64 * KIB, 3 * GIB, 3 * GIB + 4096, 5 * GIB])
def test_firmware_is_told_of_ram_and_of_what_kvm_needs(ram: int) -> None:
    ranges = map_for_firmware(ram)
    assert list(ranges) == sorted(ranges)
    assert sum(r.size for r in ranges if r.type == USABLE) == ram
    assert [r for r in ranges if r.type != USABLE] == [Range(0xFFFB_C000, 0x4000, RESERVED)]
    assert set(usable(memory_map(ram))) - set(ranges) <= {
        Range(0, min(ram, 0x9_FC00), USABLE),
        Range(MIB, min(ram, 3 * GIB) - MIB, USABLE),
    }
