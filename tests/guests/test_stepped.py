"""Bundled guests, every instruction of them stepped: none can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykvm import Machine
from pykvm.debug.debugger import Debugger, Point
from pykvm.layout import DEFAULT_RAM
from pykvm.manifest import load_manifest
from tests.support.debugged import facilities

GUESTS = load_manifest(Path(__file__).resolve().parents[2] / "guests")
NAMES = (
    "hello",
    "real_to_protected",
    "real_to_long",
    "undefined_opcode",
    "rep_outs",
    "rep_ins",
    "fw_cfg",
    "pit_ticks",
    "ioapic",
    "ipi",
    "apic_timer",
    "triple_fault",
)
PATIENCE = 60
NOWHERE = Point("write", 0x90)
"""In a vector that none of them has: found by steps where nothing else finds it."""


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.needs(*GUESTS[n].needs), id=n) for n in NAMES]
)
def test_a_guest_ends_as_ever(name: str) -> None:
    guest = GUESTS[name]
    with Machine(guest.memory or DEFAULT_RAM, smp=guest.smp) as machine:
        machine.load(guest.path, mode=guest.mode, load_address=guest.load_address)
        with Debugger(machine) as debugger:
            facilities(debugger).watch = False
            debugger.insert(NOWHERE)
            event = debugger.resume(timeout=PATIENCE)
        if event.kind == "crash":
            assert guest.status == 126
        else:
            assert event.stop is not None
            assert event.stop.status == guest.status
        if guest.output is not None:
            assert machine.output == guest.output
