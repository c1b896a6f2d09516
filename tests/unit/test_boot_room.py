"""Room in RAM: what is found is free, and what is free is found."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.boot.e820 import ACPI, Range
from pykvm.boot.request import Request
from pykvm.boot.room import INITIAL_STACK, Room
from pykvm.boot.state import Piece
from pykvm.errors import ImageError
from pykvm.layout import GIB, HIGH_RAM_BASE, KIB, MIB

PAGE = 4096


def room(ram: int = 16 * MIB, *spans: tuple[int, int], **more: object) -> Room:
    pieces = tuple(Piece(start, b"", end - start, "it") for start, end in spans)
    return Room(Request(ram, **more), pieces)  # type: ignore[arg-type]


def test_the_lowest_and_the_highest_place() -> None:
    free = room(16 * MIB, (MIB, 2 * MIB))
    assert free.lowest(100, align=4) == 0x1000
    assert free.lowest(100, align=PAGE, start=0x1001) == 0x2000
    assert free.lowest(MIB, align=PAGE) == 2 * MIB
    assert free.lowest(MIB, align=4 * MIB) == 4 * MIB
    assert free.highest(100, align=4) == 16 * MIB - 100
    assert free.highest(100, align=PAGE) == 16 * MIB - PAGE
    assert free.highest(100, align=PAGE, end=2 * MIB) == 0x9_F000
    assert free.highest(100, align=PAGE, start=0x9_F001, end=2 * MIB) is None
    assert free.lowest(15 * MIB, align=4) is None


def test_reserved_memory_is_no_room() -> None:
    kept = (Range(15 * MIB, MIB, ACPI),)
    assert room(16 * MIB, reserved=kept).highest(1, align=1) == 15 * MIB - 1
    assert room(16 * MIB).lowest(1, align=1, start=0x9_FC00) == MIB
    assert room(16 * MIB).highest(1, align=1, end=MIB) == 0x9_FC00 - 1


def test_a_stack_is_left_free() -> None:
    free = Room(Request(16 * MIB), (), stack=8 * MIB)
    assert free.highest(1, align=1, end=8 * MIB) == 8 * MIB - INITIAL_STACK - 1
    assert free.lowest(1, align=1, start=8 * MIB - 1) == 8 * MIB


def test_what_was_put_is_taken() -> None:
    free = room()
    free.put(Piece(0x1000, b"x", 0x1000, "first"))
    assert free.lowest(1, align=1) == 0x2000
    free.put(Piece(0x3000, b"", 0, "nothing"))
    assert [p.name for p in free.pieces] == ["first", "nothing"]
    assert free.is_free(0x2000, 0x9_FC00)
    assert not free.is_free(0x1FFF, 0x3000)
    assert not free.is_free(0x2000, 0x9_FC01)


def test_ram_above_4_gib_is_found_when_it_may_be_used() -> None:
    free = room(5 * GIB)
    assert free.highest(PAGE, align=PAGE) == 3 * GIB - PAGE
    assert free.highest(PAGE, align=PAGE, end=1 << 64) == 6 * GIB - PAGE
    assert free.lowest(PAGE, align=PAGE, start=3 * GIB, end=1 << 64) == HIGH_RAM_BASE


def test_low_structures_avoid_the_first_64_kib_if_they_can() -> None:
    assert room().find_low(100, "it") == 0x1_0000
    assert room(64 * KIB).find_low(100, "it") == 0x1000
    assert room(16 * MIB, (0x1_0000, 0x9_FC00)).find_low(100, "it") == 0x1000
    assert room(16 * MIB, (0, MIB)).find_low(100, "it", end=1 << 32) == MIB
    with pytest.raises(ImageError, match="it: there is no room for 100 bytes beside the kernel"):
        room(16 * MIB, (0, MIB)).find_low(100, "it")


span = st.tuples(st.integers(0, 70), st.integers(0, 12)).map(lambda s: (s[0], s[0] + s[1]))


@given(
    pages=st.integers(16, 64),
    spans=st.lists(span),
    size=st.integers(1, 9),
    align=st.sampled_from([1, 2, 4, 8]),
    between=st.tuples(st.integers(0, 70), st.integers(0, 80)),
)
def test_the_first_and_last_free_place_of_any_ram_are_found(
    pages: int, spans: list[tuple[int, int]], size: int, align: int, between: tuple[int, int]
) -> None:
    """Against a map of pages; all numbers are pages."""
    start, end = between
    taken = {page for first, behind in spans for page in range(first, behind)}
    free = [
        place
        for place in range(0, 100, align)
        if start <= place
        and place + size <= min(end, pages)
        and not taken & set(range(place, place + size))
    ]
    found = room(pages * PAGE, *((a * PAGE, b * PAGE) for a, b in spans))
    where = {"align": align * PAGE, "start": start * PAGE, "end": end * PAGE}
    lowest, highest = found.lowest(size * PAGE, **where), found.highest(size * PAGE, **where)
    assert lowest == (free[0] * PAGE if free else None)
    assert highest == (free[-1] * PAGE if free else None)
    for place in range(80):
        is_free = place + size <= pages and not taken & set(range(place, place + size))
        assert found.is_free(place * PAGE, (place + size) * PAGE) == is_free
