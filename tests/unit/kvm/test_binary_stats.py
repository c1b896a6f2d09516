"""KVM's statistics from what its descriptor gives, whatever that is."""

from __future__ import annotations

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.errors import PykvmError
from pykvm.kvm.binary_stats import Statistic, decode

NAME_SIZE = 16
HEADER = 24


def descriptor(name: bytes, flags: int, size: int, offset: int, **more: int) -> bytes:
    head = (flags, more.get("exponent", 0), size, offset, more.get("bucket", 0))
    return struct.pack("=IhHII", *head) + name.ljust(NAME_SIZE, b"\0")


def file_of(*descriptors: bytes, values: bytes, gap: int = 8) -> bytes:
    """A whole file, with the id behind the header and a gap before the values."""
    start = HEADER + NAME_SIZE
    end = start + sum(map(len, descriptors))
    header = struct.pack("=6I", 0, NAME_SIZE, len(descriptors), HEADER, start, end + gap)
    return header + b"kvm-1".ljust(NAME_SIZE, b"\0") + b"".join(descriptors) + bytes(gap) + values


def test_a_count_a_time_and_a_histogram() -> None:
    data = file_of(
        descriptor(b"exits", 0x000, 1, 0),
        descriptor(b"halt_wait_ns", 0x020, 1, 8, exponent=-9),
        descriptor(b"sizes", 0x113, 3, 16, exponent=4, bucket=7),
        values=struct.pack("=5Q", 115, 2000, 1, 2, 1 << 63),
    )
    assert decode(data) == {
        "exits": Statistic("exits", "cumulative", "", 10, 0, 0, (115,)),
        "halt_wait_ns": Statistic("halt_wait_ns", "cumulative", "seconds", 10, -9, 0, (2000,)),
        "sizes": Statistic("sizes", "linear histogram", "bytes", 2, 4, 7, (1, 2, 1 << 63)),
    }
    assert decode(data)["exits"].value == 115


def test_kinds_that_are_not_known_keep_their_numbers() -> None:
    (found,) = decode(file_of(descriptor(b"new", 0x3F9, 0, 0), values=b"")).values()
    assert (found.kind, found.unit, found.base, found.value) == ("type 9", "unit 15", 3, 0)


@pytest.mark.parametrize("cut", [0, 1, HEADER - 1, HEADER, 60, -1])
def test_what_is_cut_off_is_an_error(cut: int) -> None:
    data = file_of(descriptor(b"exits", 0, 1, 0), values=struct.pack("=Q", 1))
    with pytest.raises(PykvmError, match=r"4\.133"):
        decode(data[:cut])


@given(st.binary(max_size=300), st.lists(st.integers(0, (1 << 32) - 1), min_size=6, max_size=6))
def test_decoding_is_total(rest: bytes, header: list[int]) -> None:
    for data in (rest, struct.pack("=6I", *header) + rest, struct.pack("=6B", *rest[:6].ljust(6))):
        with suppress(PykvmError):
            assert all(len(name) < 4000 for name in decode(data))
