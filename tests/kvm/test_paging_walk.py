"""Walks of page tables compared with KVM's own (KVM_TRANSLATE)."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from pykvm.debug.linear import paging_features
from pykvm.debug.page_entries import Controls, PagingMode
from pykvm.debug.paging import translate
from pykvm.kvm.probes.bench import RAM_SIZE, TABLES, Entry, Guest

Make = Callable[..., Guest]

PAGED = [
    pytest.param(
        Entry.PAGING32, PagingMode.BITS_32, id="32-bit", marks=pytest.mark.needs("paging32")
    ),
    pytest.param(Entry.PAE, PagingMode.PAE, id="PAE", marks=pytest.mark.needs("pae_paging")),
    pytest.param(Entry.LONG, PagingMode.LEVEL_4, id="4-level"),
]


def controls_of(guest: Guest) -> Controls:
    return Controls.of(guest.vcpu.get_sregs(), *paging_features(guest.vcpu))


def read_from(guest: Guest) -> Callable[[int, int], bytes | None]:
    def read(address: int, length: int) -> bytes | None:
        return guest.get(address, length) if address + length <= RAM_SIZE else None

    return read


@pytest.mark.parametrize(("entry", "mode"), PAGED)
def test_as_kvm_walks_them(make_guest: Make, entry: Entry, mode: PagingMode) -> None:
    guest = make_guest(entry, b"\xf4")
    controls = controls_of(guest)
    assert controls.mode is mode
    for gva in (0, 0x1234, 0x20_1234, 0x40_0FFF, 0x60_0000, 0x3FFF_FFFF, 0x4000_0000, 1 << 31):
        assert translate(read_from(guest), controls, gva).gpa == guest.vcpu.translate(gva)


@pytest.mark.parametrize(("entry", "mode"), PAGED)
def test_random_tables(make_guest: Make, entry: Entry, mode: PagingMode) -> None:
    """Entries that point to the few pages of RAM, so that walks come to all levels and ends."""
    chance = random.Random(mode.value)
    guest = make_guest(entry, b"\xf4")
    controls = controls_of(guest)
    size = 4 if mode is PagingMode.BITS_32 else 8
    pages = [TABLES, TABLES + 0x1000, TABLES + 0x2000, TABLES + 0x3000]
    if mode is PagingMode.PAE:
        # KVM has read the pointers when CR3 was loaded: they stay, and no walk notes A in them
        pages.remove(TABLES)
    answers = set()
    for _ in range(100):
        for table in range(TABLES, TABLES + 0x4000, 0x1000):
            for index in (*range(4), 0x7F, 0x1FF):
                page = chance.choice([*pages, 0, 1 << 21, 1 << 22])
                flags = chance.choice([0x0, 0x1, 0x7, 0x7, 0x67, 0x67, 0x81, 0x1E7])
                high = chance.choice([0] * 24 + [1 << 21, 1 << 30, 1 << 45, 1 << 54, 1 << 63])
                if size == 4:
                    high &= 0x7FFF_FFFF
                if table not in pages:
                    continue
                guest.word(table + index * size, page | flags | high, size)
        for _ in range(60):
            gva = sum(
                chance.choice([0, 1, 2, 3, 0x7F]) << shift
                for shift in ((22, 12) if size == 4 else (30, 21, 12))
            )
            gva = (gva | chance.getrandbits(12)) & 0xFFFF_FFFF
            if mode is PagingMode.PAE:
                gva &= 0x3FFF_FFFF
            found = translate(read_from(guest), controls, gva)
            known = guest.vcpu.translate(gva)
            assert found.gpa == known, f"{found}\nKVM says {known}"
            answers.add((found.page_size, len(found.levels)))
    # pages of 4 KiB and larger ones, and walks that ended at each of the last two levels
    assert len(answers) >= 4
    assert len({size for size, _ in answers}) >= 3
