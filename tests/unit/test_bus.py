"""Buses: random accesses against a model that knows single bytes only, and the rules one by one."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm.bus import MEMORY_SPACE, PORT_SPACE, UNCLAIMED_KEPT, Bus, Device, Shortcuts
from pykvm.errors import BusError, UnclaimedAccess
from tests.unit.bus_model import WINDOW, Layout, Model, Ram, layouts

accesses = st.lists(
    st.tuples(
        st.booleans(),  # a write?
        st.integers(0, WINDOW - 1),
        st.integers(1, 8),  # size
        st.integers(1, 4),  # elements
        st.binary(min_size=32, max_size=32),
    ),
    max_size=20,
)


@settings(max_examples=300)
@given(layout=layouts(), program=accesses)
def test_random_accesses_equal_the_byte_model(
    layout: Layout, program: list[tuple[bool, int, int, int, bytes]]
) -> None:
    bus = Bus("test", layout.limit)
    model = Model(set())
    rams = []
    for offset, length, width in layout.devices:
        ram = Ram(width, length)
        rams.append(ram)
        bus.attach(layout.origin + offset, length, ram)
        model.claimed.update(range(layout.origin + offset, layout.origin + offset + length))
    for is_write, offset, size, count, noise in program:
        address = layout.origin + offset
        data = noise[: size * count]
        values = [int.from_bytes(data[i : i + size], "little") for i in range(0, len(data), size)]
        if is_write and count == 1:
            bus.write(address, size, values[0])
        elif is_write:
            bus.write_block(address, size, data)
        if is_write:
            for value in values:
                model.access(address, size, is_write=True, value=value)
            continue
        expected = [model.access(address, size, is_write=False) for _ in range(count)]
        if count == 1:
            assert bus.read(address, size) == expected[0]
        else:
            got = bus.read_block(address, size, count)
            assert got == b"".join(value.to_bytes(size, "little") for value in expected)
    assert bus.unclaimed == model.unclaimed
    for attachment in bus.attachments:
        assert isinstance(attachment.device, Ram)
        whole = range(attachment.base, attachment.end)
        assert list(attachment.device.bytes) == [model.bytes.get(address, 0) for address in whole]
    for ram in rams:
        for _, offset, size, value in ram.calls:
            assert size in (1, 2, 4, 8)
            assert size <= ram.width
            assert 0 <= offset <= len(ram.bytes) - size
            assert 0 <= value < 1 << 8 * size


@pytest.mark.parametrize(
    ("width", "size", "parts"),
    [
        (8, 8, [(0, 8)]),
        (4, 8, [(0, 4), (4, 4)]),
        (2, 8, [(0, 2), (2, 2), (4, 2), (6, 2)]),
        (1, 4, [(0, 1), (1, 1), (2, 1), (3, 1)]),
        (8, 7, [(0, 4), (4, 2), (6, 1)]),
        (8, 3, [(0, 2), (2, 1)]),
        (4, 3, [(0, 2), (2, 1)]),
        (2, 3, [(0, 2), (2, 1)]),
    ],
)
def test_a_wide_access_is_split_lowest_offset_first(
    width: int, size: int, parts: list[tuple[int, int]]
) -> None:
    ram = Ram(width, 8)
    bus = Bus("test", PORT_SPACE)
    bus.attach(0x100, 8, ram)
    value = int.from_bytes(b"\x10\x21\x32\x43\x54\x65\x76\x87"[:size], "little")
    bus.write(0x100, size, value)
    assert bus.read(0x100, size) == value
    for is_write in (True, False):
        seen = [(offset, step) for w, offset, step, _ in ram.calls if w is is_write]
        assert seen == parts


def test_an_access_over_neighbours_and_a_gap_reaches_each_with_its_own_bytes() -> None:
    low, high = Ram(4, 2), Ram(4, 4)
    bus = Bus("test", PORT_SPACE)
    bus.attach(0x10, 2, low)
    bus.attach(0x13, 4, high)
    bus.write(0x10, 4, 0x44332211)
    assert bytes(low.bytes + high.bytes) == b"\x11\x22\x44\0\0\0"
    assert bus.read(0x10, 4) == 0x44FF2211
    assert bus.unclaimed == {(True, 0x12): 1, (False, 0x12): 1}


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_what_nobody_claims_reads_all_ones_and_counts_once_an_access(size: int) -> None:
    bus = Bus("port", PORT_SPACE)
    bus.attach(0, 1, Device())
    assert bus.read(0x80, size) == (1 << 8 * size) - 1
    bus.write(0x80, size, 0)
    bus.write_block(0x80, size, bytes(3 * size))
    assert bus.read_block(0x80, size, 2) == b"\xff" * 2 * size
    assert bus.unclaimed == {(False, 0x80): 3, (True, 0x80): 4}


def test_the_end_of_the_space_is_unclaimed_not_its_beginning() -> None:
    bus = Bus("port", PORT_SPACE)
    first, last = Ram(1, 1), Ram(1, 1)
    bus.attach(0, 1, first)
    bus.attach(PORT_SPACE - 1, 1, last)
    bus.write(PORT_SPACE - 1, 4, 0x01020304)
    assert bytes(first.bytes + last.bytes) == b"\0\4"
    assert bus.read(PORT_SPACE - 1, 2) == 0xFF04


@pytest.mark.parametrize(
    ("is_write", "words"),
    [(True, "2-byte write to port 0x1234"), (False, "2-byte read of port 0x1234")],
)
def test_strict_refuses_what_nobody_claims(is_write: bool, words: str) -> None:
    bus = Bus("port", PORT_SPACE, strict=True)
    access = partial(bus.write, value=0) if is_write else bus.read
    with pytest.raises(UnclaimedAccess, match=words):
        access(0x1234, 2)
    assert bus.unclaimed == {(is_write, 0x1234): 1}


def test_a_strict_bus_lets_claimed_accesses_pass() -> None:
    bus = Bus("port", PORT_SPACE, strict=True)
    bus.attach(0x10, 4, Ram(1, 4))
    bus.write(0x10, 4, 0x04030201)
    assert bus.read(0x10, 4) == 0x04030201


def test_the_record_of_unclaimed_accesses_is_bounded() -> None:
    """A guest may touch every address there is; the host must not remember them all."""
    bus = Bus("MMIO", MEMORY_SPACE)
    for page in range(UNCLAIMED_KEPT + 92):
        bus.write(0x1000 * page, 4, 0)
    bus.write(0, 4, 0)
    assert len(bus.unclaimed) == UNCLAIMED_KEPT
    assert bus.unclaimed[True, 0] == 2
    assert bus.unclaimed_elsewhere == 92


@pytest.mark.parametrize("wrong", [-1, 0x1_23, 0xFFFF_FFFF_FF12])
def test_a_read_result_wider_than_asked_is_cut(wrong: int) -> None:
    class Chatty(Device):
        width = 2

        def read(self, offset: int, size: int) -> int:
            return wrong

    bus = Bus("port", PORT_SPACE)
    bus.attach(0, 4, Chatty())
    low, word = wrong & 0xFF, wrong & 0xFFFF
    assert bus.read(0, 1) == low
    assert bus.read(0, 2) == word
    assert bus.read(0, 4) == word << 16 | word
    assert bus.read_block(1, 1, 3) == bytes([low] * 3)


@pytest.mark.parametrize(
    ("base", "length"),
    [(0x3F8, 8), (0x3F0, 9), (0x3FF, 1), (0x3FA, 2), (0x300, 0x1000), (0x3F8, 1)],
)
def test_overlap_is_refused_and_both_are_named(base: int, length: int) -> None:
    bus = Bus("port", PORT_SPACE)
    bus.attach(0x3F8, 8, Device(), "COM1")
    bus.attach(0x2F8, 8, Device(), "COM2")
    late = Ram(1, length, name="latecomer")
    with pytest.raises(BusError, match=rf"^latecomer at port {base:#x}-.* overlaps COM1 at 0x3f8-"):
        bus.attach(base, length, late)
    assert [a.name for a in bus.attachments] == ["COM2", "COM1"]


@pytest.mark.parametrize(
    ("base", "length"),
    [(0, 0), (0, -1), (-1, 2), (PORT_SPACE, 1), (PORT_SPACE - 1, 2), (0, PORT_SPACE + 1)],
)
def test_a_range_that_is_not_in_the_space_is_refused(base: int, length: int) -> None:
    bus = Bus("port", PORT_SPACE)
    with pytest.raises(BusError, match="cannot sit at port"):
        bus.attach(base, length, Device())
    assert bus.attachments == ()


@pytest.mark.parametrize("width", [0, 3, 16, -1])
def test_a_device_of_no_possible_width_is_refused(width: int) -> None:
    bus = Bus("port", PORT_SPACE)
    with pytest.raises(BusError, match="width"):
        bus.attach(0, 4, Ram(width, 4))


def test_neighbours_touch_and_one_device_may_sit_in_two_places() -> None:
    bus = Bus("port", PORT_SPACE)
    twice = Ram(1, 2)
    bus.attach(0x10, 2, twice)
    bus.attach(0x12, 2, twice)
    bus.write(0x13, 1, 0x55)
    assert bus.read(0x11, 1) == 0x55
    assert [(a.base, a.end, a.device) for a in bus.attachments] == [
        (0x10, 0x12, twice),
        (0x12, 0x14, twice),
    ]
    assert bus.find(0x0F) is None
    assert bus.find(0x14) is None


def test_a_block_reaches_a_device_that_takes_blocks_whole() -> None:
    class Blocks(Ram):
        def write_block(self, offset: int, size: int, data: bytes) -> None:
            blocks.append((offset, size, data))

    blocks: list[tuple[int, int, bytes]] = []
    ram = Blocks(2, 4)
    bus = Bus("port", PORT_SPACE)
    bus.attach(0x10, 4, ram)
    bus.write_block(0x12, 2, b"abcdef")
    assert (blocks, ram.calls) == ([(2, 2, b"abcdef")], [])
    bus.write_block(0x10, 4, b"abcdwxyz")  # wider than the device takes: in elements' parts
    assert [call[1:] for call in ram.calls] == [
        (0, 2, 0x6261),
        (2, 2, 0x6463),
        (0, 2, 0x7877),
        (2, 2, 0x7A79),
    ]


def test_a_device_that_cannot_be_connected_is_not_attached() -> None:
    class Broken(Device):
        def connect(self, shortcuts: Shortcuts) -> None:
            raise RuntimeError("no")

    bus = Bus("port", PORT_SPACE)
    with pytest.raises(RuntimeError):
        bus.attach(0x100, 8, Broken())
    assert bus.attachments == ()
    bus.attach(0x100, 8, Device())


def test_a_device_that_is_detached_answers_no_more() -> None:
    bus = Bus("port", 0x1_0000)
    for base in (0x10, 0x20, 0x30):
        bus.attach(base, 8, Device())
    bus.detach(0x20)
    assert [attachment.base for attachment in bus.attachments] == [0x10, 0x30]
    assert bus.find(0x20) is None
    for base in (0x20, 0x31, 0x0F):
        with pytest.raises(BusError, match="nothing is attached"):
            bus.detach(base)
    bus.attach(0x20, 16, Device())
    found = bus.find(0x2F)
    assert found is not None
    assert found.base == 0x20


def test_a_device_that_is_detached_is_forgotten_even_if_it_was_the_last_one_reached() -> None:
    bus = Bus("port", 0x1_0000)
    bus.attach(0x20, 4, Ram(1, 4))
    bus.write(0x20, 1, 0x5A)
    assert bus.read(0x20, 1) == 0x5A
    bus.detach(0x20)
    assert bus.read(0x20, 1) == 0xFF
