"""Which events are shown."""

from __future__ import annotations

import pytest

from pykvm._shim import lib
from pykvm.kvm.recorder import INTR
from pykvm.trace.selection import EVERYTHING, Selection
from tests.unit.trace.by_hand import event

IO, MMIO, HLT = lib.KVM_EXIT_IO, lib.KVM_EXIT_MMIO, lib.KVM_EXIT_HLT
SHUTDOWN = 8


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        (Selection(), {IO, MMIO, HLT, SHUTDOWN}),
        (Selection(frozenset(["io"])), {IO}),
        (Selection(frozenset(["mmio", "hlt"])), {MMIO, HLT}),
        (Selection(frozenset(["intr"])), {INTR}),
        (Selection(frozenset(["other"])), {SHUTDOWN}),
        (Selection(EVERYTHING), {IO, MMIO, HLT, SHUTDOWN, INTR}),
    ],
)
def test_kinds(selection: Selection, taken: set[int]) -> None:
    reasons = {IO, MMIO, HLT, SHUTDOWN, INTR}
    assert {reason for reason in reasons if selection.takes(event(reason=reason))} == taken


def test_ports_alone_are_all_that_is_shown() -> None:
    serial = Selection(ports=(range(0x3F8, 0x400),))
    assert serial.takes(event(address=0x3F8))
    assert serial.takes(event(address=0x3FF))
    assert not serial.takes(event(address=0x400))
    assert not serial.takes(event(address=0x3F7))
    assert not serial.takes(event(reason=MMIO, address=0x3F8))


def test_an_access_that_reaches_into_them_counts() -> None:
    assert Selection(ports=(range(0x3F8, 0x3F9),)).takes(event(address=0x3F7, size=2))


def test_ports_narrow_io_among_other_kinds() -> None:
    both = Selection(frozenset(["io", "hlt"]), (range(0x60, 0x61),))
    assert both.takes(event(reason=HLT))
    assert both.takes(event(address=0x60))
    assert not both.takes(event(address=0x61))
