"""INT 11h, 12h and 15h: what the machine has."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm.boot.e820 import extended_memory, memory_map
from pykvm.layout import GIB, KIB, MIB
from pykvm.memory import Gpa, GuestMemory
from tests.unit.bios.rig import NS, STACK, Result, Rig

Make = Callable[..., Rig]
SMAP = 0x534D4150
BUFFER = 0x5000
TABLE = 0x5000


def walk(rig: Rig, limit: int = 200) -> list[tuple[int, ...]]:
    """The memory map, as a guest asks for it."""
    found: list[tuple[int, ...]] = []
    ebx = 0
    for _ in range(limit):
        result = rig.call(0x15, rax=0xE820, rbx=ebx, rcx=24, rdx=SMAP, es=BUFFER >> 4, di=8)
        assert (result.carry, result.r.eax, result.r.ecx) == (False, SMAP, 20)
        found.append(struct.unpack("<QQI", rig.memory.read(Gpa(BUFFER + 8), 20)))
        ebx = result.r.ebx
        if ebx == 0:
            return found
    raise AssertionError("it does not end")


def test_equipment_and_memory_size(rig: Rig) -> None:
    assert rig.call(0x11, ax=0xFFFF).r.ax == 0x0222  # 80 columns, a coprocessor, COM1
    assert rig.call(0x12, ax=0xFFFF).r.ax == 639


def test_the_map_of_a_bare_machine(rig: Rig) -> None:
    ranges = walk(rig)
    assert ranges == list(memory_map(2 * MIB))
    assert ranges[:3] == [(0, 0x9FC00, 1), (0x9FC00, 0x60400, 2), (0x100000, 0x100000, 1)]
    assert all(kind == 2 for _, _, kind in ranges[3:])


u64 = st.integers(0, (1 << 64) - 1)


@settings(max_examples=25)
@given(ranges=st.lists(st.tuples(u64, u64, st.integers(0, 0xFFFF_FFFF)), min_size=1, max_size=130))
def test_walking_the_map_gives_the_map(ranges: list[tuple[int, int, int]]) -> None:
    rig = Rig(ranges=ranges)
    assert walk(rig) == ranges
    rig.close()


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"rbx": 60}, 0x86),
        ({"rbx": 0xFFFF_FFFF}, 0x86),
        ({"rcx": 19}, 0x86),
        ({"rcx": 0}, 0x86),
        ({"rdx": 0x50414D53}, 0x86),
        ({"di": 0xFFFF}, 0x86),
    ],
)
def test_a_map_that_cannot_be_had(rig: Rig, changes: dict[str, int], status: int) -> None:
    before = rig.memory.read(Gpa(0), MIB)
    registers = {"rax": 0xE820, "rbx": 0, "rcx": 20, "rdx": SMAP, "es": BUFFER >> 4} | changes
    result = rig.call(0x15, **registers)
    assert (result.carry, result.r.ah) == (True, status)
    after = bytearray(rig.memory.read(Gpa(0), MIB))
    after[STACK + 4 : STACK + 6] = before[STACK + 4 : STACK + 6]
    assert after == before


@pytest.mark.parametrize(
    ("ram", "first", "chunks", "old"),
    [
        (MIB, 0, 0, 0),
        (16 * MIB, 15 * KIB, 0, 15 * KIB),
        (17 * MIB, 15 * KIB, 16, 16 * KIB),
        (128 * MIB, 15 * KIB, 112 * 16, 63 * KIB),
        (5 * GIB, 15 * KIB, 0xBF00, 63 * KIB),
    ],
)
def test_memory_sizes(make_rig: Make, ram: int, first: int, chunks: int, old: int) -> None:
    rig = make_rig(ranges=memory_map(ram))
    result = rig.call(0x15, ax=0xE801)
    r = result.r
    assert not result.carry
    assert (r.ax, r.bx, r.cx, r.dx) == (first, chunks, first, chunks)
    result = rig.call(0x15, ax=0x8800)
    assert (result.carry, result.r.ax) == (False, old)


def test_extended_memory_ends_at_the_first_gap() -> None:
    ranges = [(MIB, MIB, 1), (2 * MIB, MIB, 1), (3 * MIB, MIB, 3), (4 * MIB, MIB, 1)]
    assert extended_memory(ranges) == 2 * MIB
    assert extended_memory(reversed(ranges)) == 2 * MIB
    assert extended_memory([(0, MIB, 1)]) == 0
    assert extended_memory([(0, 3 * MIB, 1)]) == 2 * MIB


def test_the_a20_gate(rig: Rig) -> None:
    assert not rig.call(0x15, ax=0x2401).carry
    assert rig.ports.read(0x92, 1) & 2
    assert rig.call(0x15, ax=0x2402).r.ax == 0x0001
    assert not rig.call(0x15, ax=0x2400).carry
    assert not rig.ports.read(0x92, 1) & 2
    assert rig.call(0x15, ax=0x2402).r.ax == 0x0000
    result = rig.call(0x15, ax=0x2403)
    assert (result.carry, result.r.ah, result.r.bx) == (False, 0, 3)
    assert rig.call(0x15, ax=0x2404).carry
    assert rig.resets == []


def test_the_configuration_table(rig: Rig) -> None:
    result = rig.call(0x15, ax=0xC000)
    assert (result.carry, result.r.ah, result.r.es_changed) == (False, 0, True)
    table = rig.memory.read(Gpa(result.r.es.base + result.r.bx), 10)
    assert table[:3] == b"\x08\x00" + rig.memory.read(Gpa(0xFFFFE), 1)


def test_the_extended_data_area(rig: Rig) -> None:
    result = rig.call(0x15, ax=0xC100)
    assert (result.carry, result.r.es) == (False, (0x9FC0, 0x9FC00))
    assert rig.memory.read(Gpa(0x9FC00), 2) == b"\1\0"
    assert rig.memory.read_uint(Gpa(0x40E), 2) == 0x9FC0


def test_a_key_on_its_way_is_left_alone(rig: Rig) -> None:
    for flags in (0x02, 0x03):
        result = rig.call(0x15, ax=0x4F1E, flags=flags)
        assert (result.r.ax, result.carry) == (0x4F1E, bool(flags & 1))


@pytest.mark.parametrize("function", [0x80, 0x81, 0x82, 0x85, 0x90, 0x91])
def test_hooks_for_multitasking_succeed(rig: Rig, function: int) -> None:
    result = rig.call(0x15, ax=function << 8, flags=0x03)
    assert (result.carry, result.r.ah) == (False, 0)


@pytest.mark.parametrize("ax", [0x0000, 0x5300, 0x8300, 0x8900, 0xC200, 0xE800, 0xE881, 0xFFFF])
def test_what_is_not_there(rig: Rig, ax: int) -> None:
    result = rig.call(0x15, ax=ax, rdx=SMAP)
    assert (result.carry, result.r.ah) == (True, 0x86)


class TestWait:
    """AH=86h with CX:DX microseconds."""

    @staticmethod
    def wait(rig: Rig, microseconds: int, sp: int = STACK) -> Result:
        return rig.call(
            0x15, ax=0x8600, cx=microseconds >> 16, dx=microseconds & 0xFFFF, flags=0x03, sp=sp
        )

    def test_it_is_asked_again_until_the_time_is_over(self, rig: Rig) -> None:
        for now in (0, 1, 99_999_999):
            rig.now = now
            result = self.wait(rig, 100_000)
            assert result.signal
            assert result.carry  # the caller's own, untouched
            assert result.r.ax == 0x8600
        assert rig.memory.read(Gpa(0x4A0), 1) == b"\1"
        rig.now = 100_000_000
        result = self.wait(rig, 100_000)
        assert (result.signal, result.carry, result.r.ah) == (False, False, 0)
        assert rig.memory.read(Gpa(0x4A0), 1) == b"\0"
        assert self.wait(rig, 100_000).signal  # a new wait

    def test_no_time_is_over_at_once(self, rig: Rig) -> None:
        result = self.wait(rig, 0)
        assert (result.signal, result.carry) == (False, False)

    def test_the_longest(self, rig: Rig) -> None:
        assert self.wait(rig, 0xFFFF_FFFF).signal
        rig.now = 4295 * NS
        assert not self.wait(rig, 0xFFFF_FFFF).signal

    def test_a_wait_within_a_wait_is_refused(self, rig: Rig) -> None:
        assert self.wait(rig, 1000).signal
        result = self.wait(rig, 10, sp=STACK - 20)
        assert (result.signal, result.carry, result.r.ah) == (False, True, 0x83)
        rig.now = NS
        assert not self.wait(rig, 1000).signal

    def test_one_that_was_given_up_does_not_block_for_ever(self, rig: Rig) -> None:
        assert self.wait(rig, 1000).signal
        rig.now = NS
        assert self.wait(rig, 1000, sp=STACK - 20).signal
        rig.now = NS + 1_000_000
        assert not self.wait(rig, 1000, sp=STACK - 20).signal


def descriptor(base: int, limit: int, access: int = 0x93, flags: int = 0) -> bytes:
    return struct.pack(
        "<HHBBBB",
        limit & 0xFFFF,
        base & 0xFFFF,
        base >> 16 & 0xFF,
        access,
        flags | limit >> 16,
        base >> 24,
    )


def move(rig: Rig, words: int, source: bytes, target: bytes) -> Result:
    table = bytes(16) + source + target + bytes(16)
    rig.memory.write(Gpa(TABLE), table)
    return rig.call(0x15, ax=0x8700, cx=words, es=TABLE >> 4, flags=0x03)


class TestBlockMove:
    """AH=87h."""

    @pytest.fixture
    def filled(self, rig: Rig) -> Rig:
        rig.memory.write(Gpa(0x20000), bytes(i * 3 & 0xFF for i in range(0x10000)))
        return rig

    @pytest.mark.parametrize("words", [0, 1, 0x123, 0x8000])
    def test_up_and_down(self, filled: Rig, words: int) -> None:
        low, high = 0x20000, MIB + 0x80000
        limit = max(2 * words - 1, 0)
        content = filled.memory.read(Gpa(low), 2 * words)
        result = move(filled, words, descriptor(low, limit), descriptor(high, limit))
        assert (result.carry, result.r.ah) == (False, 0)
        assert filled.memory.read(Gpa(high), 2 * words) == content
        assert filled.memory.read(Gpa(high + 2 * words), 16) == bytes(16)
        filled.memory.zero(Gpa(low), 0x10000)
        assert not move(filled, words, descriptor(high, limit), descriptor(low, limit)).carry
        assert filled.memory.read(Gpa(low), 2 * words) == content

    @pytest.mark.parametrize(
        ("words", "source", "target"),
        [
            (0x8001, descriptor(0x20000, 0x1FFFF), descriptor(0x40000, 0x1FFFF)),
            (2, descriptor(0x20000, 2), descriptor(0x40000, 3)),
            (2, descriptor(0x20000, 3), descriptor(0x40000, 2)),
            (2, descriptor(0x20000, 3, 0x13), descriptor(0x40000, 3)),
            (2, descriptor(0x20000, 3), descriptor(0x40000, 3, 0x13)),
            (2, descriptor(0x20000, 3), descriptor(0x40000, 3, 0x91)),
            (2, descriptor(0x20000, 3), descriptor(0x40000, 3, 0x9B)),
            (2, descriptor(2 * MIB - 3, 3), descriptor(0x40000, 3)),
            (2, descriptor(0x20000, 3), descriptor(2 * MIB - 3, 3)),
            (2, descriptor(0x20000, 3), descriptor(0xFFFF_FFFF, 3)),
        ],
    )
    def test_what_would_have_faulted(
        self, filled: Rig, words: int, source: bytes, target: bytes
    ) -> None:
        before = filled.memory.read(Gpa(0x7000), 2 * MIB - 0x7000)
        result = move(filled, words, source, target)
        assert (result.carry, result.r.ah) == (True, 0x02)
        assert filled.memory.read(Gpa(0x7000), 2 * MIB - 0x7000) == before

    def test_limits_in_pages_and_read_only_sources(self, filled: Rig) -> None:
        source = descriptor(0x20000, 0, 0x91, flags=0x80)
        result = move(filled, 0x800, source, descriptor(0x50000, 0xFFFFF, flags=0x80))
        assert not result.carry
        assert move(filled, 0x801, source, descriptor(0x50000, 0xFFFF)).carry

    def test_a_table_beyond_its_segment(self, rig: Rig) -> None:
        result = rig.call(0x15, ax=0x8700, cx=1, es=0x3000, si=0xFFD1)
        assert (result.carry, result.r.ah) == (True, 0x02)


def test_a_bios_needs_a_megabyte() -> None:
    from pykvm.bios import Bios
    from pykvm.bus import Bus
    from pykvm.errors import GuestMemoryError

    with GuestMemory(640 * KIB) as memory, pytest.raises(GuestMemoryError, match="not 640 KiB"):
        Bios(memory, Bus("port", 0x10000))
