"""Topology: every way that Linux reads it tells each processor its own place, and no host's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm.cpu.model import cpuid_for
from pykvm.cpu.topology import MAX_COUNT
from pykvm.kvm.cpuid import CpuidEntry, to_entries
from tests.unit.cpu.cpuid_tables import (
    ALL,
    AMD,
    INTEL,
    OLD_INTEL,
    Table,
    by_leaf,
    sub,
    supported,
)
from tests.unit.cpu.linux_topology import (
    Place,
    by_amd,
    by_legacy_intel,
    by_levels,
    cache_sharers,
    cpuid,
    order,
)

TABLES = {name: supported(entries) for name, entries in ALL.items()}
TOPOLOGY_LEAVES = {0x1, 0x4, 0xB, 0x1F, 0x80000001, 0x80000008, 0x8000001D, 0x8000001E, 0x80000026}

every_table = pytest.mark.parametrize("name", ALL)


def made(name: str, index: int, count: int) -> Table:
    return by_leaf(cpuid_for(TABLES[name], index, count, lapic=True))


@st.composite
def processors(draw: Any, most: int = MAX_COUNT) -> tuple[int, int]:
    """An index and a count."""
    count = draw(st.one_of(st.integers(1, 9), st.integers(1, most)))
    return draw(st.integers(0, count - 1)), count


@every_table
@given(which=processors())
def test_levels_decode_to_the_processor(name: str, which: tuple[int, int]) -> None:
    index, count = which
    table = made(name, index, count)
    assert by_levels(table, 0xB) == Place(0, index, 0, count)
    assert by_levels(table, 0x1F) in (None, by_levels(table, 0xB))
    assert (by_levels(table, 0x1F) is None) == (name != "intel")
    shift = cpuid(table, 0xB, 1).eax
    assert shift == order(count)


@pytest.mark.parametrize("name", ["intel", "old intel"])
@given(which=processors(most=64))
def test_legacy_leaves_decode_to_the_processor(name: str, which: tuple[int, int]) -> None:
    index, count = which
    assert by_legacy_intel(made(name, index, count)) == Place(0, index, 0, count)


@given(which=processors(most=256))
def test_amd_leaves_decode_to_the_processor(which: tuple[int, int]) -> None:
    index, count = which
    assert by_amd(made("amd", index, count)) == Place(0, index, 0, count)


@every_table
@settings(max_examples=20)
@given(count=st.integers(1, 40))
def test_apic_ids_are_unique_wherever_they_stand(name: str, count: int) -> None:
    tables = [made(name, index, count) for index in range(count)]
    places = [(0xB, 0, "edx", 0), (0xB, 1, "edx", 0), (0x1, 0, "ebx", 24)]
    if name == "amd":
        places.append((0x8000001E, 0, "eax", 0))
    for function, sub_leaf, register, shift in places:
        ids = [getattr(cpuid(table, function, sub_leaf), register) >> shift for table in tables]
        assert ids == list(range(count))


@every_table
@given(which=processors(most=300))
def test_caches_are_shared_from_level_3_on(name: str, which: tuple[int, int]) -> None:
    index, count = which
    caches = [
        entry
        for (function, _), entry in made(name, index, count).items()
        if function in (0x4, 0x8000001D) and entry.eax & 0x1F
    ]
    assert len(caches) == 4
    for entry in caches:
        shared = entry.eax >> 5 & 7 == 3
        assert cache_sharers(entry, index, count) == (list(range(count)) if shared else [index])


@every_table
@given(which=processors())
def test_nothing_else_changes(name: str, which: tuple[int, int]) -> None:
    """Not even within the leaves of topology: what stands beside it is of the host's features."""
    table = made(name, *which)
    before = {(entry.function, entry.index): entry for entry in ALL[name]}
    for key in before.keys() | table.keys():
        if key[0] not in TOPOLOGY_LEAVES | {0, 1}:
            assert table.get(key) == before.get(key)
    one, its = before[0x1, 0], table[0x1, 0]
    assert (its.eax, its.ebx & 0xFFFF) == (one.eax, one.ebx & 0xFFFF)
    assert (its.ecx ^ one.ecx) & ~0x81000000 == 0  # hypervisor, TSC deadline
    assert (its.edx ^ one.edx) & ~0x10000000 == 0  # HTT
    for key, entry in before.items():
        if key[0] in (0x4, 0x8000001D):
            assert (table[key].eax ^ entry.eax) & 0x3FFF == 0
            assert (table[key].ebx, table[key].ecx) == (entry.ebx, entry.ecx)
    assert table[0x80000008, 0].ecx >> 16 == before[0x80000008, 0].ecx >> 16
    assert (table[0x80000001, 0].ecx ^ before[0x80000001, 0].ecx) & ~2 == 0
    null_caches = [key for key, entry in before.items() if key[0] == 0x4 and entry.eax == 0]
    assert all(table[key].eax == 0 for key in null_caches)


@every_table
def test_the_host_s_topology_is_gone(name: str) -> None:
    table = made(name, 0, 1)
    assert (0xB, 2) not in table
    assert (0x1F, 2) not in table
    assert not any(function == 0x80000026 for function, _ in table)
    assert (0x1F, 0) in table or name != "intel"


STALE = [sub(function, 7, 0xDEAD) for function in (0xB, 0x1F, 0x80000026)]


@every_table
@given(data=st.data())
def test_no_stale_leaf_is_left_wherever_it_stood(name: str, data: st.DataObject) -> None:
    """Beyond the highest leaf that leaf 0 tells of, behind all others, next to one another."""
    entries = [entry for entry in ALL[name] if entry.function not in (0xB, 0x1F, 0x80000026)]
    mixed = data.draw(st.permutations(entries + STALE))
    table = by_leaf(cpuid_for(supported(mixed), 0, 1, lapic=True))
    added = {(function, level) for function in (0xB, 0x1F) for level in (0, 1)}
    kept = {(entry.function, entry.index) for entry in entries}
    assert kept <= table.keys() <= kept | added


@every_table
def test_what_kvm_supports_stays_as_it_was(name: str) -> None:
    """One answer of KVM serves for all processors."""
    cpuid_for(TABLES[name], 2, 3, lapic=False)
    assert to_entries(TABLES[name]) == ALL[name]


@pytest.mark.parametrize(("count", "several"), [(1, False), (2, True), (255, True)])
@every_table
def test_flags_of_several_processors(name: str, count: int, several: bool) -> None:
    table = made(name, 0, count)
    assert bool(table[0x1, 0].edx >> 28 & 1) == several
    assert table[0x1, 0].ebx >> 16 & 0xFF == count
    assert bool(table[0x80000001, 0].ecx >> 1 & 1) == (several and name == "amd")


def test_more_than_a_field_holds_is_cut() -> None:
    """255 and 64 are the most that leaves 1 and 4 can tell; 256 what leaf 0x80000008 can."""
    intel = made("intel", 4000, 4096)
    assert intel[0x1, 0].ebx >> 16 == (4000 & 0xFF) << 8 | 0xFF
    assert intel[0x4, 3].eax >> 14 == 63 << 12 | 4095
    amd = made("amd", 4000, 4096)
    assert amd[0x80000008, 0].ecx & 0xFFFF == 12 << 12 | 0xFF
    assert amd[0x8000001E, 0] == CpuidEntry(0x8000001E, 0, 0, 4000, 4000 & 0xFF, 0, 0)


def test_old_processors_get_leaf_0xb_in_reach() -> None:
    assert made("old intel", 0, 1)[0, 0].eax == 0xB
    assert made("intel", 0, 1)[0, 0].eax == INTEL[0].eax
    assert made("amd", 0, 1)[0, 0].eax == AMD[0].eax


def test_intel_s_reserved_fields_stay_0() -> None:
    """Those that only AMD defines."""
    assert made("intel", 3, 8)[0x80000008, 0].ecx == 0


def test_a_table_without_leaf_0_gets_no_levels() -> None:
    entries = [entry for entry in OLD_INTEL if entry.function]
    table = by_leaf(cpuid_for(supported(entries), 0, 2, lapic=True))
    assert (0xB, 0) not in table


@pytest.mark.parametrize(("index", "count"), [(0, 0), (1, 1), (-1, 2), (0, MAX_COUNT + 1)])
def test_processors_that_there_are_not(index: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"no processor {index} of {count}"):
        cpuid_for(TABLES["intel"], index, count, lapic=True)
