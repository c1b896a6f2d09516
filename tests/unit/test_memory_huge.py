"""RAM that asks for huge pages behaves as any other."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import pytest

from pykvm.errors import GuestMemoryError
from pykvm.layout import GIB, MIB
from pykvm.memory import Gpa, GuestMemory, host_memory, wants_huge_pages
from pykvm.x86 import PAGE_SIZE

SIZE = 6 * MIB
PATTERN = 0x1122334455667788


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    with GuestMemory(SIZE, huge=True) as memory:
        yield memory


def test_it_is_aligned_as_a_huge_page(memory: GuestMemory) -> None:
    """Else the host may give some, but KVM could map none for the guest."""
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory.regions[0].view))
    assert start % (2 * MIB) == 0
    assert (memory.regions[0].size, memory.fd) == (SIZE, -1)


def test_its_ends_are_its_own(memory: GuestMemory) -> None:
    memory.write_uint(Gpa(0), 8, PATTERN)
    memory.write_uint(Gpa(SIZE - 8), 8, PATTERN)
    assert (memory.read_uint(Gpa(0), 8), memory.read_uint(Gpa(SIZE - 8), 8)) == (
        PATTERN,
        PATTERN,
    )
    with pytest.raises(GuestMemoryError):
        memory.view(Gpa(SIZE), 1)


def test_zero_clears_what_it_is_told_and_nothing_else(memory: GuestMemory) -> None:
    memory.write(Gpa(0), b"\xff" * SIZE)
    memory.zero(Gpa(100), SIZE - 200)
    assert memory.read(Gpa(0), 101) == b"\xff" * 100 + b"\0"
    assert memory.read(Gpa(SIZE - 101), 101) == b"\0" + b"\xff" * 100
    assert not any(memory.read(Gpa(100), SIZE - 200))


def test_its_pages_cannot_be_left_to_a_file(memory: GuestMemory) -> None:
    memory.write(Gpa(PAGE_SIZE), b"stays")
    with pytest.raises(GuestMemoryError, match="only RAM that is a file"):
        memory.forget_mapping(Gpa(PAGE_SIZE))
    assert memory.read(Gpa(PAGE_SIZE), 5) == b"stays"


def test_it_may_be_more_than_the_host_has() -> None:
    with GuestMemory(host_memory() // GIB * GIB + 2 * GIB, huge=True) as memory:
        memory.write_uint(Gpa(memory.end - 8), 8, PATTERN)
        assert memory.read_uint(Gpa(memory.end - 8), 8) == PATTERN


def test_closing_unmaps_it() -> None:
    memory = GuestMemory(SIZE, huge=True)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory.regions[0].view))
    assert is_mapped(start)
    memory.close()
    assert not is_mapped(start)


def is_mapped(address: int) -> bool:
    """Whether this process has anything at an address."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    ranges = [line.split()[0].split("-") for line in lines]
    return any(int(start, 16) <= address < int(end, 16) for start, end in ranges)


@pytest.mark.parametrize(
    ("ram", "wants"),
    [
        (64 * MIB - PAGE_SIZE, False),
        (64 * MIB, True),
        (2 * GIB, True),
        (2 * GIB + PAGE_SIZE, False),
    ],
)
def test_who_asks_for_huge_pages(monkeypatch: pytest.MonkeyPatch, ram: int, wants: bool) -> None:
    """Not less than 64 MiB, nor more than half of what the host has."""
    monkeypatch.setattr("pykvm.memory.host_memory", lambda: 4 * GIB)
    assert wants_huge_pages(ram) is wants
