"""Bundled guests, every instruction of them stepped: none can tell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pykvm import Machine
from pykvm.debug.debugger import Debugger, Event, Point
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
EMULATED = [name for name in NAMES if GUESTS[name].kvm_only is None]
NOT_BY_STEPS = ("pit_ticks", "rep_ins")
"""It waits for interrupts, which no step takes; it has many iterations, each of them a step."""

PATIENCE = 60
NOWHERE = Point("write", 0x90)
"""In a vector that none of them has: found by steps where nothing else finds it."""


@contextmanager
def debugged(name: str, accel: str) -> Iterator[Debugger]:
    """A debugger on a machine that is about to run a bundled guest."""
    guest = GUESTS[name]
    with Machine(guest.memory or DEFAULT_RAM, smp=guest.smp, accel=accel) as machine:
        machine.load(guest.path, mode=guest.mode, load_address=guest.load_address)
        with Debugger(machine) as debugger:
            yield debugger


def check_end(name: str, debugger: Debugger, event: Event) -> None:
    """See that the guest has ended as its manifest says."""
    guest = GUESTS[name]
    if event.kind == "crash":
        assert guest.status == 126
    else:
        assert event.stop is not None
        assert event.stop.status == guest.status
    if guest.output is not None:
        assert debugger.machine.output == guest.output


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.needs(*GUESTS[n].needs), id=n) for n in NAMES]
)
def test_a_guest_ends_as_ever(name: str) -> None:
    with debugged(name, "kvm") as debugger:
        facilities(debugger).watch = False
        debugger.insert(NOWHERE)
        check_end(name, debugger, debugger.resume(timeout=PATIENCE))


@pytest.mark.emulated
@pytest.mark.parametrize("name", EMULATED)
def test_an_emulated_guest_ends_as_ever(name: str) -> None:
    with debugged(name, "emu") as debugger:
        debugger.insert(NOWHERE)
        check_end(name, debugger, debugger.resume(timeout=PATIENCE))


@pytest.mark.emulated
@pytest.mark.parametrize("name", [name for name in EMULATED if name not in NOT_BY_STEPS])
def test_an_emulated_guest_ends_as_ever_step_by_step(name: str) -> None:
    with debugged(name, "emu") as debugger:
        while (event := debugger.cpus[0].step(timeout=PATIENCE)).kind == "step":
            pass
        check_end(name, debugger, event)
