"""Hexdumps and searches."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.debug.dump import hexdump, search


def test_a_hexdump() -> None:
    assert hexdump(b"Hello, world!\x00\x7f\xff\n", 0x1000) == [
        "00001000  48 65 6c 6c 6f 2c 20 77  6f 72 6c 64 21 00 7f ff  |Hello, world!...|",
        "00001010  0a                                                |.|",
    ]


def test_equal_lines_are_told_once_and_the_last_one_always() -> None:
    lines = hexdump(bytes(16 * 5) + b"x" * 16, 0)
    assert [line[:8] for line in lines] == ["00000000", "*", "00000050"]
    assert [line[:8] for line in hexdump(bytes(16 * 5), 0)] == ["00000000", "*", "00000040"]


def test_columns_are_addresses_wherever_it_begins() -> None:
    assert hexdump(b"AB", 0xFFFF_8000_0000_000F) == [
        "ffff800000000000                                                41  |               A|",
        "ffff800000000010  42                                                |B|",
    ]


def test_nothing_is_no_line() -> None:
    assert hexdump(b"", 5) == []


@given(st.binary(max_size=200), st.integers(0, 1 << 40))
def test_all_bytes_are_there(data: bytes, address: int) -> None:
    shown: list[int] = []
    for line in hexdump(data, address):
        if line == "*":
            continue
        digits = line.index(" ")
        at = int(line[:digits], 16)
        while len(shown) < at - address:  # what the star left out
            shown += shown[-16:]
        shown += [int(cell, 16) for cell in line[digits:].split("|")[0].split()]
    assert bytes(shown) == data


RAM = 0x6000


class Memory:
    """RAM up to RAM with a hole of one page."""

    def __init__(self, data: bytes, hole: int) -> None:
        self.data = data.ljust(RAM, b"\0")
        self.hole = hole

    def read(self, address: int, length: int) -> bytes | None:
        assert length <= 4096
        if address >> 12 == self.hole or address + length > RAM:
            return None
        return self.data[address : address + length]

    def places(self, pattern: bytes, start: int, end: int) -> list[int]:
        """By looking at every address."""
        return [
            at
            for at in range(start, min(end, RAM) - len(pattern) + 1)
            if self.data[at : at + len(pattern)] == pattern
            and not any(
                at <= a < at + len(pattern) for a in range(self.hole << 12, self.hole + 1 << 12)
            )
        ]


@given(
    st.lists(st.tuples(st.integers(0, RAM - 8), st.sampled_from([b"a", b"ab", b"aba"]))),
    st.sampled_from([b"a", b"aa", b"ab", b"aba", b"ababab"]),
    st.integers(0, RAM),
    st.integers(0, RAM + 0x1000),
    st.integers(0, 9),
)
def test_a_search_finds_what_looking_finds(
    words: list[tuple[int, bytes]], pattern: bytes, start: int, end: int, hole: int
) -> None:
    data = bytearray(RAM)
    for at in (0xFFE, 0x1FFF, 0x2FFD):
        data[at : at + 6] = b"ababab"
    for at, word in words:
        data[at : at + len(word)] = word
    memory = Memory(bytes(data), hole)
    found = list(search(memory.read, pattern, start, end, limit=1 << 20))
    assert found == memory.places(pattern, start, end)


def test_a_search_ends_at_its_limit() -> None:
    memory = Memory(b"", 99)
    assert list(search(memory.read, b"\0", 0, RAM, limit=3)) == [0, 1, 2]


def test_an_empty_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        list(search(Memory(b"", 9).read, b"", 0, 1))
