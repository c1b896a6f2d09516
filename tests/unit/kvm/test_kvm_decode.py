"""Decoding of exits: every field from its place in `struct kvm_run`, and total."""

from __future__ import annotations

import struct
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm._shim import ffi
from pykvm.kvm import exits
from pykvm.kvm.decode import REASONS, decode, reason_name

UNION = 32
"""Where `struct kvm_run`'s union begins."""

PAGE = 4096
RING = PAGE
"""I/O data is in the page behind the first one."""


def run_page(reason: int, union: bytes, tail: bytes = b"") -> Any:
    """A run page of two pages with `union` in its union and `tail` at the second page."""
    page = ffi.new("uint8_t[]", 2 * PAGE)
    buffer = ffi.buffer(page)
    buffer[8:12] = struct.pack("<I", reason)
    buffer[UNION : UNION + len(union)] = union
    buffer[RING : RING + len(tail)] = tail
    return page


def decoded(page: Any) -> exits.Exit:
    return decode(ffi.cast("struct kvm_run *", page), len(page))


Q6 = (10, 11, 12, 13, 14, 15)

CASES: list[tuple[int, bytes, exits.Exit]] = [
    (0, struct.pack("<Q", 77), exits.HardwareExit(77)),
    (1, struct.pack("<II", 14, 2), exits.ExceptionExit(14, 2)),
    (3, struct.pack("<Q6QQII", 9, *Q6, 0, 1, 0), exits.Hypercall(9, Q6, True)),
    (4, struct.pack("<IIQQQ", 1, 0, 0x1001, 0x4FF0, 0x400), exits.Debug(1, 0x1001, 0x4FF0, 0x400)),
    (5, b"", exits.Hlt()),
    (6, struct.pack("<Q8sIB", 0xFEE0, b"abcdefgh", 2, 1), exits.Mmio(0xFEE0, 2, True, b"ab")),
    (6, struct.pack("<Q8sIB", 0xFEE0, b"abcdefgh", 8, 0), exits.Mmio(0xFEE0, 8, False, b"")),
    (6, struct.pack("<Q8sIB", 0xFEE0, b"abcdefgh", 3, 1), exits.Mmio(0xFEE0, 3, True, b"abc")),
    (7, b"", exits.IrqWindowOpen()),
    (8, b"", exits.Shutdown()),
    (9, struct.pack("<QI", 0x80000021, 3), exits.FailEntry(0x80000021, 3)),
    (10, b"", exits.Intr()),
    (11, b"", exits.SetTpr()),
    (12, struct.pack("<QI", 0x1234, 1), exits.TprAccess(0x1234, True)),
    (16, b"", exits.Nmi()),
    (17, struct.pack("<IIQQ", 2, 2, 5, 6), exits.InternalError(2, (5, 6), b"")),
    (
        17,
        struct.pack("<IIQB15s", 1, 3, 1, 2, b"\x0f\x0b" + bytes(13)),
        exits.InternalError(1, (1, 0x0B0F02, 0), b"\x0f\x0b"),
    ),
    (17, struct.pack("<IIQB15s", 1, 0, 1, 2, b"\x0f\x0b"), exits.InternalError(1, (), b"")),
    (24, struct.pack("<IIQ", 2, 1, 7), exits.SystemEvent(2, (7,))),
    (26, b"\x41", exits.IoapicEoi(0x41)),
    (27, struct.pack("<IIQQ2Q", 2, 0, 5, 0, 8, 9), exits.Hyperv(2, 0, 5, (8, 9, 0, 0, 0, 0))),
    (
        27,
        struct.pack("<IIIIQQQ", 1, 0, 0x40000080, 0, 1, 2, 3),
        exits.Hyperv(1, 0x40000080, 0, (1, 2, 3, 0, 0, 0)),
    ),
    (29, struct.pack("<8xIIQ", 2, 0x12345, 0), exits.Rdmsr(0x12345, 2)),
    (30, struct.pack("<8xIIQ", 4, 0x12345, 99), exits.Wrmsr(0x12345, 99, 4)),
    (31, b"", exits.DirtyRingFull()),
    (32, b"", exits.ApResetHold()),
    (33, b"", exits.BusLock()),
    (
        34,
        struct.pack("<I4xIIQQ6Q", 1, 1, 3, 20, 0, *Q6),
        exits.Xen(1, True, 3, 20, Q6),
    ),
    (37, struct.pack("<I", 1), exits.Notify(1)),
    (13, b"\xff" * 16, exits.UnknownExit(13)),
    (255, b"", exits.UnknownExit(255)),
    (0xFFFFFFFF, b"", exits.UnknownExit(0xFFFFFFFF)),
]


@pytest.mark.parametrize(("reason", "union", "wanted"), CASES, ids=lambda v: str(v)[:24])
def test_fields_come_from_their_places(reason: int, union: bytes, wanted: exits.Exit) -> None:
    assert decoded(run_page(reason, union)) == wanted


@pytest.mark.parametrize(("size", "count"), [(1, 1), (2, 3), (4, 1), (1, 20)])
def test_port_writes_carry_all_their_elements(size: int, count: int) -> None:
    data = bytes(range(1, size * count + 1))
    union = struct.pack("<BBHIQ", 1, size, 0x3F8, count, RING)
    wanted = exits.Io(0x3F8, size, count, True, data)
    assert decoded(run_page(2, union, data)) == wanted


def test_port_reads_carry_no_stale_data() -> None:
    union = struct.pack("<BBHIQ", 0, 1, 0x3F8, 4, RING)
    assert decoded(run_page(2, union, b"old!")) == exits.Io(0x3F8, 1, 4, False, b"")


@pytest.mark.parametrize(
    ("size", "count", "offset"),
    [
        (0, 1, RING),
        (3 + 2, 1, RING),
        (1, 0, RING),
        (1, 1, 2 * PAGE),
        (4, 1, 2 * PAGE - 3),
        (1, PAGE + 1, RING),
        (1, 1, (1 << 64) - 1),
        (4, 0xFFFFFFFF, RING),
    ],
)
def test_data_outside_the_mapping_is_not_followed(size: int, count: int, offset: int) -> None:
    union = struct.pack("<BBHIQ", 1, size, 0x3F8, count, offset)
    assert decoded(run_page(2, union)) == exits.UnknownExit(2)


@pytest.mark.parametrize("reason", range(len(REASONS) + 2))
@given(seed=st.integers(0, 1 << 64))
@settings(max_examples=20)
def test_decoding_is_total(reason: int, seed: int) -> None:
    """2 KiB of noise: Hypothesis alone would rather try zeros."""
    assert isinstance(decoded(run_page(reason, Random(seed).randbytes(2048))), exits.Exit)


@pytest.mark.parametrize("claimed", [17, 255, 0xFFFFFFFF])
def test_counts_are_cut_to_what_their_arrays_hold(claimed: int) -> None:
    error = decoded(run_page(17, struct.pack("<II16Q", 2, claimed, *range(16))))
    assert error == exits.InternalError(2, tuple(range(16)), b"")
    event = decoded(run_page(24, struct.pack("<II16Q", 2, claimed, *range(16))))
    assert event == exits.SystemEvent(2, tuple(range(16)))
    text = bytes(range(1, 16))
    error = decoded(run_page(17, struct.pack("<IIQB15s", 1, 3, 1, min(claimed, 255), text)))
    assert isinstance(error, exits.InternalError)
    assert error.instruction == text


def test_every_x86_reason_has_its_class() -> None:
    """All reasons up to MEMORY_FAULT but those of other architectures."""
    foreign = {13, 14, 15, 18, 19, 20, 21, 22, 23, 25, 28, 35, 36, 38, 40, 41}
    for reason in range(len(REASONS)):
        io = struct.pack("<BBHIQ", 1, 1, 0, 1, RING)
        mmio = struct.pack("<Q8sIB", 0, b"", 1, 1)
        exit = decoded(run_page(reason, mmio if reason == 6 else io))
        assert isinstance(exit, exits.UnknownExit) == (reason in foreign), exit


def test_reasons_have_names_and_numbers() -> None:
    assert reason_name(5) == "KVM_EXIT_HLT"
    assert reason_name(1000) == "exit reason 1000"
