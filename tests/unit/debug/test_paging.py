"""Walks of page tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.debug.page_entries import Controls, PagingMode
from pykvm.debug.paging import Translation, translate
from pykvm.x86 import Cr0, Cr4, Efer

RAM = 0x40000
CR3 = 0x1000
LARGE = 0x80
XD = 1 << 63

CONTROLS = {
    PagingMode.NONE: Controls(Cr0.PE, CR3, 0, 0, 40),
    PagingMode.BITS_32: Controls(Cr0.PE | Cr0.PG, CR3, Cr4.PSE, 0, 40),
    PagingMode.PAE: Controls(Cr0.PE | Cr0.PG, CR3, Cr4.PAE, Efer.NX, 40),
    PagingMode.LEVEL_4: Controls(Cr0.PE | Cr0.PG, CR3, Cr4.PAE, Efer.LME | Efer.LMA | Efer.NX, 40),
    PagingMode.LEVEL_5: Controls(
        Cr0.PE | Cr0.PG, CR3, Cr4.PAE | Cr4.LA57, Efer.LME | Efer.LMA | Efer.NX, 40
    ),
}


class Tables:
    """Physical memory that holds page tables and nothing else."""

    def __init__(self, entries: dict[int, int], size: int = 8) -> None:
        self.ram = bytearray(RAM)
        for address, value in entries.items():
            self.ram[address : address + size] = value.to_bytes(size, "little")

    def read(self, address: int, length: int) -> bytes | None:
        return bytes(self.ram[address : address + length]) if address + length <= RAM else None


def walk(mode: PagingMode, entries: dict[int, int], gva: int, **changes: int | bool) -> Translation:
    tables = Tables(entries, 4 if mode is PagingMode.BITS_32 else 8)
    return translate(tables.read, CONTROLS[mode]._replace(**changes), gva)  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", list(PagingMode))
def test_the_registers_say_which_mode_it_is(mode: PagingMode) -> None:
    assert CONTROLS[mode].mode is mode


def test_without_paging_an_address_is_itself() -> None:
    found = walk(PagingMode.NONE, {}, 0xFFFF_FFF0)
    assert (found.gpa, found.levels, found.page_size) == (0xFFFF_FFF0, (), None)


FOUR = {0x1000: 0x2007, 0x2000: 0x3003, 0x3000: 0x4007, 0x4008: 0x5067}


def test_a_page_of_4_kib_through_four_levels() -> None:
    found = walk(PagingMode.LEVEL_4, FOUR, 0x1ABC)
    assert (found.gpa, found.page_size, found.failure) == (0x5ABC, 4096, None)
    assert str(found) == (
        "0x1abc -> 0x5abc  (4-level paging)\n"
        "  PML4E  at 0x1000: 0000000000002007 [P RW US]\n"
        "  PDPTE  at 0x2000: 0000000000003003 [P RW]\n"
        "  PDE    at 0x3000: 0000000000004007 [P RW US]\n"
        "  PTE    at 0x4008: 0000000000005067 [P RW US A D]  maps 4 KiB"
    )
    assert found.writable
    assert found.executable
    assert not found.user  # the PDPTE keeps ring 3 out


HIGH = 0xFFFF_8123_4567_89AB


def test_each_level_takes_its_own_bits_of_the_address() -> None:
    index = [HIGH >> shift & 0x1FF for shift in (39, 30, 21, 12)]
    entries = {
        0x1000 * (level + 1) + 8 * i: 0x1000 * (level + 2) | 1 for level, i in enumerate(index)
    }
    assert walk(PagingMode.LEVEL_4, entries, HIGH).gpa == 0x59AB
    gva = HIGH & (1 << 48) - 1 | 0x12 << 48
    entries = {address + 0x1000: value + 0x1000 for address, value in entries.items()}
    entries[0x1000 + 8 * 0x12] = 0x2001
    assert walk(PagingMode.LEVEL_5, entries, gva).gpa == 0x69AB
    assert len(walk(PagingMode.LEVEL_5, entries, gva).levels) == 5


@pytest.mark.parametrize(
    ("mode", "entries", "size"),
    [
        (PagingMode.LEVEL_4, {0x1000: 0x2001, 0x2000: 1 << 30 | LARGE | 1}, 1 << 30),
        (
            PagingMode.LEVEL_4,
            {0x1000: 0x2001, 0x2000: 0x3001, 0x3000: 1 << 21 | LARGE | 1},
            1 << 21,
        ),
        (PagingMode.PAE, {0x1000: 0x3001, 0x3000: 1 << 21 | LARGE | 1}, 1 << 21),
        (PagingMode.PAE, {0x1000: 0x3001, 0x3000: 0x4001, 0x4000: 0x1001}, 1 << 12),
        (PagingMode.BITS_32, {0x1000: 1 << 22 | LARGE | 1}, 1 << 22),
        (PagingMode.BITS_32, {0x1000: 0x2001, 0x2000: 0x1001}, 1 << 12),
    ],
)
def test_pages_of_each_size(mode: PagingMode, entries: dict[int, int], size: int) -> None:
    found = walk(mode, entries, 0xABC)
    assert found.page_size == size
    assert found.gpa == size + 0xABC  # the second page of each size is what is mapped


def test_pse_36_reaches_beyond_4_gib() -> None:
    found = walk(PagingMode.BITS_32, {0x1000: 1 << 22 | 0x5 << 13 | LARGE | 1}, 0x12_3456)
    assert found.gpa == 0x5_0052_3456


@pytest.mark.parametrize(("bits", "fits"), [(40, True), (37, True), (36, False), (32, False)])
def test_pse_36_has_as_many_bits_as_the_processor(bits: int, fits: bool) -> None:
    entries = {0x1000: 1 << 22 | 0x10 << 13 | LARGE | 1}  # bit 36 of the page's address
    found = walk(PagingMode.BITS_32, entries, 0, physical_bits=bits)
    assert found.gpa == (0x10_0040_0000 if fits else None)


def test_without_pse_a_pde_maps_no_page() -> None:
    entries = {0x1000: 0x2001 | LARGE, 0x2000: 0x7001}
    assert walk(PagingMode.BITS_32, entries, 0, cr4=0).gpa == 0x7000


def test_pae_takes_32_bytes_of_pointers_anywhere_below_4_gib() -> None:
    entries = {0x1028: 0x3001, 0x3000: LARGE | 1}
    assert walk(PagingMode.PAE, entries, 1 << 30, cr3=0x1020).gpa == 0


@pytest.mark.parametrize(
    ("mode", "entries", "words"),
    [
        (PagingMode.LEVEL_4, {}, "the PML4E is not present"),
        (PagingMode.LEVEL_4, {0x1000: LARGE | 1}, "the PML4E has reserved bits set: 0x80"),
        (PagingMode.LEVEL_4, {0x1000: 1 << 40 | 1}, "the PML4E has reserved bits set"),
        (PagingMode.LEVEL_4, {0x1000: 0x2001, 0x2000: 1 << 13 | LARGE | 1}, "the PDPTE has res"),
        (PagingMode.LEVEL_4, {0x1000: 0x2001, 0x2000: 0x3001, 0x3000: 1 << 20 | LARGE | 1}, "PDE"),
        (PagingMode.LEVEL_4, {0x1000: RAM | 1}, f"the PDPTE at {RAM:#x} is not in RAM"),
        (PagingMode.PAE, {0x1000: 0x3003}, "the PDPTE has reserved bits set: 0x2"),
        (PagingMode.PAE, {0x1000: 0x3001, 0x3000: 1 << 52 | LARGE | 1}, "the PDE has reserved"),
        (PagingMode.BITS_32, {0x1000: 1 << 21 | LARGE | 1}, "the PDE has reserved bits set"),
    ],
)
def test_why_there_is_none(mode: PagingMode, entries: dict[int, int], words: str) -> None:
    found = walk(mode, entries, 0)
    assert found.gpa is None
    assert found.page_size is None
    assert found.failure is not None
    assert words in found.failure
    assert not found.writable


def test_no_execute_is_a_reserved_bit_until_it_is_turned_on() -> None:
    entries = {**FOUR, 0x4008: 0x5001 | XD}
    found = walk(PagingMode.LEVEL_4, entries, 0x1000)
    assert found.gpa == 0x5000
    assert not found.executable
    failed = walk(PagingMode.LEVEL_4, entries, 0x1000, efer=Efer.LMA)
    assert failed.failure == f"the PTE has reserved bits set: {XD:#x}"


def test_what_long_mode_ignores() -> None:
    entries = {**FOUR, 0x4008: 0x5001 | 0x7FF << 52}
    assert walk(PagingMode.LEVEL_4, entries, 0x1000).gpa == 0x5000


def test_a_page_of_1_gib_that_the_processor_does_not_have() -> None:
    entries = {0x1000: 0x2001, 0x2000: 1 << 30 | LARGE | 1}
    assert walk(PagingMode.LEVEL_4, entries, 0, gigabyte_pages=False).gpa is None


@pytest.mark.parametrize(
    ("mode", "gva", "fits"),
    [
        (PagingMode.LEVEL_4, 0x7FFF_FFFF_FFFF, True),
        (PagingMode.LEVEL_4, 0x8000_0000_0000, False),
        (PagingMode.LEVEL_4, 0xFFFF_8000_0000_0000, True),
        (PagingMode.LEVEL_4, 0xFFFF_7FFF_FFFF_FFFF, False),
        (PagingMode.LEVEL_5, 0x8000_0000_0000, True),
        (PagingMode.LEVEL_5, 0x100_0000_0000_0000, False),
        (PagingMode.LEVEL_5, 0xFF00_0000_0000_0000, True),
        (PagingMode.PAE, 1 << 32, False),
        (PagingMode.NONE, 1 << 32, False),
        (PagingMode.NONE, -1, False),
        (PagingMode.LEVEL_4, 1 << 64, False),
    ],
)
def test_addresses_that_a_mode_has(mode: PagingMode, gva: int, fits: bool) -> None:
    found = walk(mode, {0x1000: 0x1001}, gva)
    is_unfit = found.failure is not None and ("canonical" in found.failure or "32" in found.failure)
    assert is_unfit == (not fits)


def test_a_table_that_is_its_own_page() -> None:
    """As kernels have it: the last walk of four ends at the table itself."""
    found = walk(PagingMode.LEVEL_4, {0x1000: 0x1003}, 0)
    assert found.gpa == 0x1000
    assert [level.address for level in found.levels] == [0x1000] * 4


entry = st.one_of(
    st.integers(0, (1 << 64) - 1),
    st.builds(
        lambda page, flags, high: page << 12 | flags | high,
        st.integers(0, 0x50),
        st.integers(0, 0xFFF).map(lambda flags: flags | 1),
        st.sampled_from([0, 0, 0, XD, 1 << 45, 1 << 59]),
    ),
)


@given(
    st.sampled_from(list(PagingMode)),
    st.lists(entry, min_size=32, max_size=32),
    st.integers(0, (1 << 64) - 1) | st.integers(0, 0xFFFF_FFFF),
    st.integers(0, (1 << 64) - 1) | st.integers(0, RAM),
)
def test_hostile_tables_give_an_answer(
    mode: PagingMode, entries: list[int], gva: int, cr3: int
) -> None:
    """Whatever they say: loops, rubbish, tables outside of RAM."""
    pattern = b"".join(value.to_bytes(8, "little") for value in entries)

    def read(address: int, length: int) -> bytes | None:
        at = address % len(pattern)
        return pattern[at : at + length] if address + length <= RAM else None

    found = translate(read, CONTROLS[mode]._replace(cr3=cr3), gva)
    assert (found.gpa is None) == (found.failure is not None)
    assert len(found.levels) <= 5
    assert str(found)
    if found.gpa is not None and found.page_size is not None:
        assert found.gpa % found.page_size == gva % found.page_size
        assert found.gpa < 1 << 52
