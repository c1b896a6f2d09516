"""INT3 in memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.debug.patches import INT3, Patches
from pykvm.debug.points import Point
from pykvm.memory import Gpa, GuestMemory

CODE = bytes(range(0x10, 0x20))
AT = Gpa(0x100)
FIRST, SECOND = Point("software", 0x100), Point("software", 0xFFFF_8100)


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    with GuestMemory(0x1000) as ram:
        ram.write(AT, CODE)
        yield ram


@pytest.fixture
def patches(memory: GuestMemory) -> Patches:
    return Patches(memory)


def test_the_guest_finds_int3_and_readers_do_not(memory: GuestMemory, patches: Patches) -> None:
    patches.put(FIRST, Gpa(AT + 3))
    assert memory.read(AT, 5) == bytes.fromhex("10 11 12 cc 14")
    assert patches.hide(AT, memory.read(AT, 5)) == CODE[:5]
    assert patches.at(AT + 3) == FIRST
    assert patches.at(AT) is None


def test_a_page_mapped_twice_is_patched_once(memory: GuestMemory, patches: Patches) -> None:
    patches.put(FIRST, AT)
    patches.put(SECOND, AT)
    patches.take(FIRST)
    assert memory.read(AT, 1) == bytes([INT3])
    patches.take(SECOND)
    assert memory.read(AT, 1) == CODE[:1]
    assert not patches


def test_what_is_lifted_comes_back(memory: GuestMemory, patches: Patches) -> None:
    patches.put(FIRST, AT)
    patches.lift(AT)
    assert memory.read(AT, 1) == CODE[:1]
    patches.restore(AT)
    assert memory.read(AT, 1) == bytes([INT3])


def test_what_the_guest_writes_meanwhile_is_kept(memory: GuestMemory, patches: Patches) -> None:
    patches.put(FIRST, AT)
    memory.write(AT, b"\x77")  # the guest's own store: the breakpoint is gone until the next time
    assert patches.hide(AT, b"\x77") == b"\x77"
    patches.lift(AT)
    patches.restore(AT)
    assert patches.hide(AT, memory.read(AT, 1)) == b"\x77"
    patches.take(FIRST)
    assert memory.read(AT, 1) == b"\x77"


def test_int3_of_the_guest_s_own_underneath(memory: GuestMemory, patches: Patches) -> None:
    memory.write(AT, bytes([INT3]))
    patches.put(FIRST, AT)
    patches.take(FIRST)
    assert memory.read(AT, 1) == bytes([INT3])


@given(
    st.sets(st.integers(0, 15)),
    st.lists(st.tuples(st.integers(0, 15), st.binary(min_size=1, max_size=16)), max_size=5),
)
def test_writes_go_underneath(places: set[int], writes: list[tuple[int, bytes]]) -> None:
    with GuestMemory(0x1000) as memory:
        memory.write(AT, CODE)
        patches = Patches(memory)
        expected = bytearray(CODE + bytes(16))
        for place in places:
            patches.put(Point("software", AT + place), Gpa(AT + place))
        for place, data in writes:
            patches.write(Gpa(AT + place), data)
            expected[place : place + len(data)] = data
        assert patches.hide(AT, memory.read(AT, 32)) == expected
        assert all(memory.read(Gpa(AT + place), 1) == bytes([INT3]) for place in places)
        for place in places:
            patches.take(Point("software", AT + place))
        assert memory.read(AT, 32) == expected
