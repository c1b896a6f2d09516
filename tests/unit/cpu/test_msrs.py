"""Registers that KVM leaves to the host: answers, #GP, and what is counted."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator

import pytest

from pykvm.bus import UNCLAIMED_KEPT
from pykvm.cpu.msrs import MsrRefused, MsrSpace
from pykvm.kvm.runpage import RunPage

PAGE = 4096
REASON, UNION = 8, 32
"""Where `struct kvm_run` has its exit_reason and its union."""


class Page:
    """A run page in a file, and what stands in it."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("run page")
        os.truncate(self.fd, PAGE)
        self.page = RunPage(self.fd, PAGE, 0)

    def exit(self, reason: int, index: int, value: int = 0) -> RunPage:
        """Have KVM leave the guest for an MSR."""
        os.pwrite(self.fd, struct.pack("<I", reason), REASON)
        # error, which KVM clears; reason, index, data
        os.pwrite(self.fd, struct.pack("<B7xIIQ", 0, 2, index, value), UNION)
        return self.page

    def rdmsr(self, index: int) -> RunPage:
        return self.exit(29, index, 0xDEAD)

    def wrmsr(self, index: int, value: int) -> RunPage:
        return self.exit(30, index, value)

    def reply(self) -> tuple[bool, int]:
        """Whether KVM will put #GP into the guest, and the data."""
        error, data = struct.unpack("<B15xQ", os.pread(self.fd, 24, UNION))
        return bool(error), data

    def close(self) -> None:
        self.page.close()
        os.close(self.fd)


@pytest.fixture
def run() -> Iterator[Page]:
    made = Page()
    yield made
    made.close()


def test_a_constant_and_a_callable_answer_reads(run: Page) -> None:
    msrs = MsrSpace()
    values = iter([5, 6])
    msrs.answer(0x8B, read=0x01000065_00000000)
    msrs.answer(0x8C, read=lambda: next(values))
    for index, value in ((0x8B, 0x01000065_00000000), (0x8C, 5), (0x8C, 6)):
        msrs.reply(run.rdmsr(index))
        assert run.reply() == (False, value)
    assert not msrs.unclaimed


def test_writes_are_told(run: Page) -> None:
    msrs = MsrSpace()
    written: list[int] = []
    msrs.answer(0x33, write=written.append)
    msrs.reply(run.wrmsr(0x33, (1 << 64) - 1))
    assert run.reply()[0] is False
    assert written == [(1 << 64) - 1]
    assert not msrs.unclaimed


def test_each_direction_is_answered_alone(run: Page) -> None:
    """A register that can only be read refuses writes, and the other way round."""
    msrs = MsrSpace()
    msrs.answer(1, read=7)
    msrs.answer(2, write=lambda _value: None)
    msrs.reply(run.wrmsr(1, 0))
    assert run.reply()[0] is True
    msrs.reply(run.rdmsr(2))
    assert run.reply()[0] is True
    assert msrs.unclaimed == {(True, 1): 1, (False, 2): 1}


def test_a_later_answer_takes_the_place(run: Page) -> None:
    msrs = MsrSpace()
    written: list[int] = []
    msrs.answer(1, read=7, write=written.append)
    msrs.answer(1, read=8)
    assert msrs.read(1) == 8
    msrs.write(1, 3)
    assert written == [3]


def test_an_answer_may_refuse(run: Page) -> None:
    msrs = MsrSpace()

    def no_reserved_bits(value: int) -> None:
        if value & ~1:
            raise MsrRefused

    msrs.answer(1, write=no_reserved_bits)
    msrs.reply(run.wrmsr(1, 1))
    assert run.reply()[0] is False
    msrs.reply(run.wrmsr(1, 2))
    assert run.reply()[0] is True
    assert not msrs.unclaimed


@pytest.mark.parametrize("value", [-1, 1 << 64 | 5])
def test_what_is_computed_too_wide_is_cut(run: Page, value: int) -> None:
    msrs = MsrSpace()
    msrs.answer(1, read=lambda: value)
    msrs.reply(run.rdmsr(1))
    assert run.reply() == (False, value & (1 << 64) - 1)


def test_unknown_registers_raise_gp_and_are_counted(run: Page) -> None:
    msrs = MsrSpace()
    for _ in range(3):
        msrs.reply(run.rdmsr(0xC0010015))
        assert run.reply()[0] is True
    msrs.reply(run.wrmsr(0xC0010015, 9))
    assert run.reply()[0] is True
    assert msrs.unclaimed == {(False, 0xC0010015): 3, (True, 0xC0010015): 1}
    assert msrs.unclaimed_elsewhere == 0


def test_the_count_is_bounded() -> None:
    msrs = MsrSpace()
    for index in range(UNCLAIMED_KEPT + 10):
        with pytest.raises(MsrRefused):
            msrs.read(index)
    with pytest.raises(MsrRefused):
        msrs.read(0)
    assert len(msrs.unclaimed) == UNCLAIMED_KEPT
    assert msrs.unclaimed[False, 0] == 2
    assert msrs.unclaimed_elsewhere == 10


@pytest.mark.parametrize(
    ("index", "value", "message"),
    [
        (-1, 0, "32 bits"),
        (1 << 32, 0, "an MSR's number has 32 bits, 0x100000000 has not"),
        (1, -1, "64 bits"),
        (1, 1 << 64, "MSR 0x1: 0x10000000000000000 does not fit into its 64 bits"),
    ],
)
def test_what_no_register_is(index: int, value: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MsrSpace().answer(index, read=value)
