"""Linear addresses become physical ones as SDM vol. 3A, chapter 4, says."""

from __future__ import annotations

import pytest

from pykvm.emu.events import PAGE_FAULT, Fault
from pykvm.emu.linear import LinearMemory
from pykvm.emu.paging import LOOK, Access, PageFault, Paging
from pykvm.x86 import Cr0, Cr4, Efer

P, W, U, A, D, PS = 1, 2, 4, 0x20, 0x40, 0x80
ALL = P | W | U
NX = 1 << 63
READ, WRITE = Access(), Access(is_write=True)
USER_READ, USER_WRITE = Access(is_user=True), Access(is_write=True, is_user=True)
LINEAR = 0x1234_5678


class Physical:
    """Physical memory that is zero until written."""

    def __init__(self) -> None:
        self.bytes: dict[int, int] = {}

    def read(self, address: int, size: int) -> int:
        return sum(self.bytes.get(address + i, 0) << 8 * i for i in range(size))

    def write(self, address: int, size: int, value: int) -> None:
        for i in range(size):
            self.bytes[address + i] = value >> 8 * i & 0xFF


def long(cr4: int = 0, *, cr0: int = 0, efer: int = 0, ac: bool = False) -> Paging:
    return Paging(Cr0.PE | Cr0.PG | cr0, 0x1000, Cr4.PAE | cr4, Efer.LMA | Efer.LME | efer, ac=ac)


def map_long(memory: Physical, *flags: int, page: int = 0x9000) -> list[int]:
    """Tables from 0x1000 on that map LINEAR; returns where its entries are."""
    places = []
    for level, (shift, flag) in enumerate(zip((39, 30, 21, 12), flags, strict=False)):
        at = 0x1000 * (level + 1) + (LINEAR >> shift & 0x1FF) * 8
        last = level == len(flags) - 1
        memory.write(at, 8, (page if last else 0x1000 * (level + 2)) | flag)
        places.append(at)
    return places


def test_without_paging_addresses_stay_and_have_32_bits() -> None:
    paging = Paging(Cr0.PE, 0, 0, 0)
    assert paging.translate(Physical(), 0x1_2345_6789) == 0x2345_6789


def test_four_levels_lead_to_a_page() -> None:
    memory = Physical()
    map_long(memory, ALL, ALL, ALL, ALL)
    assert long().translate(memory, LINEAR, READ) == 0x9678


@pytest.mark.parametrize(("levels", "mask"), [(3, (1 << 21) - 1), (2, (1 << 30) - 1)])
def test_large_pages_end_the_walk_early(levels: int, mask: int) -> None:
    memory = Physical()
    map_long(memory, *[ALL] * (levels - 1), ALL | PS, page=0x4000_0000)
    assert long().translate(memory, LINEAR, READ) == 0x4000_0000 | LINEAR & mask


def test_five_levels() -> None:
    memory = Physical()
    map_long(memory, ALL, ALL, ALL, ALL)
    memory.write(0x6000, 8, 0x1000 | ALL)
    paging = long(Cr4.LA57)._replace(cr3=0x6000)
    assert paging.translate(memory, LINEAR, READ) == 0x9678


def test_32_bit_tables_lead_to_small_and_large_pages() -> None:
    memory = Physical()
    paging = Paging(Cr0.PE | Cr0.PG, 0x1000, Cr4.PSE, 0)
    directory = 0x1000 + (LINEAR >> 22) * 4
    memory.write(directory, 4, 0x2000 | ALL)
    memory.write(0x2000 + (LINEAR >> 12 & 0x3FF) * 4, 4, 0x9000 | ALL)
    assert paging.translate(memory, LINEAR, READ) == 0x9678
    memory.write(directory, 4, 0x0080_0000 | 1 << 13 | ALL | PS)  # bit 13 is address bit 32
    assert paging.translate(memory, LINEAR, READ) == 0x1_0080_0000 | LINEAR & 0x3F_FFFF


def test_pae_has_a_first_level_of_four_entries_without_rights() -> None:
    memory = Physical()
    paging = Paging(Cr0.PE | Cr0.PG, 0x1020, Cr4.PAE, 0)
    memory.write(0x1020, 8, 0x2000 | P)
    memory.write(0x2000 + (LINEAR >> 21) * 8, 8, 0x3000 | ALL)
    memory.write(0x3000 + (LINEAR >> 12 & 0x1FF) * 8, 8, 0x9000 | ALL)
    assert paging.translate(memory, LINEAR, USER_WRITE) == 0x9678
    assert memory.read(0x1020, 8) == 0x2000 | P


def test_accessed_and_dirty_bits_are_set_but_for_onlookers() -> None:
    memory = Physical()
    places = map_long(memory, ALL, ALL, ALL, ALL)
    before = dict(memory.bytes)
    long().translate(memory, LINEAR, LOOK)
    assert memory.bytes == before
    long().translate(memory, LINEAR, READ)
    assert [memory.read(at, 8) & (A | D) for at in places] == [A] * 4
    long().translate(memory, LINEAR, WRITE)
    assert [memory.read(at, 8) & (A | D) for at in places] == [A, A, A, A | D]


@pytest.mark.parametrize("level", range(4))
@pytest.mark.parametrize(
    ("missing", "paging", "access", "code"),
    [
        (P, long(), READ, 0),
        (P, long(), WRITE, 2),
        (P, long(), USER_READ, 4),
        (U, long(), USER_READ, 5),
        (W, long(), USER_WRITE, 7),
        (W, long(cr0=Cr0.WP), WRITE, 3),
    ],
)
def test_each_level_can_forbid(
    level: int, missing: int, paging: Paging, access: Access, code: int
) -> None:
    memory = Physical()
    flags = [ALL] * 4
    flags[level] &= ~missing
    map_long(memory, *flags)
    with pytest.raises(PageFault) as caught:
        paging.translate(memory, LINEAR, access)
    assert (caught.value.address, caught.value.error_code) == (LINEAR, code)


def test_a_supervisor_writes_read_only_pages_without_wp() -> None:
    memory = Physical()
    map_long(memory, ALL, ALL, ALL, P | U)
    assert long().translate(memory, LINEAR, WRITE) == 0x9678


def test_smap_keeps_a_supervisor_off_user_pages_unless_ac_says_otherwise() -> None:
    memory = Physical()
    map_long(memory, ALL, ALL, ALL, ALL)
    with pytest.raises(PageFault):
        long(Cr4.SMAP).translate(memory, LINEAR, READ)
    assert long(Cr4.SMAP, ac=True).translate(memory, LINEAR, READ) == 0x9678


@pytest.mark.parametrize("bit", [1 << 40, 1 << 51, NX])
def test_reserved_bits_are_a_fault_of_their_own(bit: int) -> None:
    memory = Physical()
    map_long(memory, ALL, ALL, ALL, ALL | bit)
    with pytest.raises(PageFault) as caught:
        long().translate(memory, LINEAR, READ)
    assert caught.value.error_code == 9


def test_no_execute_is_not_reserved_where_it_is_on() -> None:
    memory = Physical()
    map_long(memory, ALL, ALL, ALL, ALL | NX)
    assert long(efer=Efer.NX).translate(memory, LINEAR, READ) == 0x9678


def test_what_crosses_a_page_is_in_two_and_written_all_or_not_at_all() -> None:
    physical = Physical()
    paging = Paging(Cr0.PE | Cr0.PG, 0x1000, 0, 0)
    physical.write(0x1000, 4, 0x2000 | ALL)
    physical.write(0x2000, 4, 0x8000 | ALL)
    physical.write(0x2004, 4, 0x5000 | ALL)
    memory = LinearMemory(paging, physical)
    memory.write(0xFFE, 4, 0x4433_2211)
    assert (physical.read(0x8FFE, 2), physical.read(0x5000, 2)) == (0x2211, 0x4433)
    assert memory.read(0xFFE, 4) == 0x4433_2211
    physical.write(0x2004, 4, 0)
    with pytest.raises(Fault) as caught:
        memory.write(0xFFE, 4, 0)
    fault = caught.value
    assert (fault.vector, fault.error_code, fault.address) == (PAGE_FAULT, 2, 0x1000)
    assert physical.read(0x8FFE, 2) == 0x2211
