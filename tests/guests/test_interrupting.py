"""Guests that are interrupted, told to be so in all the ways they know."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from pykvm import Machine
from pykvm.devices.acpi_pm import HZ, TIMER_BITS
from pykvm.devices.cmos import B_UIE
from pykvm.manifest import guests_folder, load_manifest
from pykvm.memory import Gpa

FOLDER = guests_folder()
assert FOLDER is not None
GUESTS = load_manifest(FOLDER)

LOAD_ADDRESS = 0x1000
CAUSES = 4  # parameters of guests, as offsets in their images
TRIGGER, TICKS = 8, 12

ALARM, PERIODIC = 0x20, 0x40
LEVEL = 0x8000
NS = 1_000_000_000
SOON = NS // 50


def fast_clock(speed: int) -> Callable[[], int]:
    """A clock that runs at a multiple of the host's speed."""
    start = time.monotonic_ns()
    return lambda: start + (time.monotonic_ns() - start) * speed


@pytest.mark.needs("irqchip")
@pytest.mark.parametrize("cause", [PERIODIC, ALARM, B_UIE])
def test_each_cause_of_the_clock_interrupts(monkeypatch: pytest.MonkeyPatch, cause: int) -> None:
    """A guest in HLT, which touches no port meanwhile: the machine's ticks must look for it."""
    with Machine(strict=True) as machine:
        if cause != PERIODIC:
            monkeypatch.setattr(machine.board.cmos, "_clock", fast_clock(50))
        machine.load(GUESTS["rtc_interrupts"].path)
        machine.memory.write_uint(Gpa(LOAD_ADDRESS + CAUSES), 1, cause)
        assert machine.run(timeout=60).status == 0
        assert machine.output == b"...\nPASS\n"


@pytest.mark.needs("irqchip")
def test_the_power_management_timer_interrupts(monkeypatch: pytest.MonkeyPatch) -> None:
    with Machine(strict=True) as machine:
        power = machine.board.power
        half_turn = (NS << (TIMER_BITS - 1)) // HZ
        real = power._clock
        monkeypatch.setattr(power, "_clock", lambda: real() + half_turn - SOON)
        machine.load(GUESTS["power_timer"].path)
        assert machine.run(timeout=60).status == 0
        assert machine.output == b"The timer has overflowed.\nPASS\n"


def run_ioapic(irqchip: str, trigger: int) -> None:
    """Run the guest `ioapic`; where there is no timer, without it."""
    with Machine(strict=True, irqchip=irqchip) as machine:
        machine.load(GUESTS["ioapic"].path)
        machine.memory.write_uint(Gpa(LOAD_ADDRESS + TRIGGER), 4, trigger)
        if irqchip == "split":
            machine.memory.write_uint(Gpa(LOAD_ADDRESS + TICKS), 1, 0)
        assert machine.run(timeout=60).status == 0
        dots = b".....\n" if irqchip == "kernel" else b""
        assert machine.output == b"Each character an interrupt.\n" + dots + b"PASS\n"


@pytest.mark.needs("long_mode", "mmio", "split_irqchip")
def test_the_ioapic_of_pykvm_s_passes_edges_on() -> None:
    run_ioapic("split", 0)


@pytest.mark.needs("long_mode", "mmio", "split_irqchip", "in_service")
def test_the_ioapic_of_pykvm_s_repeats_a_level_after_eoi() -> None:
    """The handler leaves the line asserted: only the EOI, which KVM tells, brings the next one."""
    run_ioapic("split", LEVEL)


@pytest.mark.needs("long_mode", "mmio", "irqchip", "pit", "in_service")
def test_kvm_s_ioapic_repeats_a_level_after_eoi() -> None:
    run_ioapic("kernel", LEVEL)
