"""What measuring itself costs, so that it can be subtracted, and how long a tick is."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from pykvm._shim import lib
from pykvm.bench.rig import Rig, Unable, metered
from pykvm.errors import PykvmError
from pykvm.kvm.meter import Meter
from pykvm.kvm.tsc import TscClock

if TYPE_CHECKING:
    from pykvm.bench.histogram import Histogram
    from pykvm.kvm.system import System

IDLE_EXITS = 20_000
STAMPS, STAMP_RUNS = 300, 5
LOOP_TURNS, LOOP_LENGTHS = 60, (50, 350)
INSTRUCTIONS = 2
"""The empty loop's: DEC and JNZ."""

SLOW_STAMP_NS = 200
"""Above that RDTSC is no plain instruction in the guest: it is intercepted, or emulated."""

RATE_NS = (10_000_000, 70_000_000)
"""How long the clocks are held against each other."""

MOST_TURNS = (1 << 32) - 1
"""The empty loop counts in 32 bits."""

AGREEMENT = 0.1
"""By how much the guest's TSC may differ in rate from the host's and be held for the same."""


class Calibration(NamedTuple):
    """What is subtracted.  Ticks are the host's TSC's, but where the guest's are named.

    Attributes:
        khz: the host's ticks in a millisecond.
        source: whose figure that is (see `TscClock`).
        inside, outside: what the C loop's stamps add to those figures, in ticks.
        guest_khz: the guest's ticks in a millisecond; 0 where its TSC is of no use.
        stamp: what the guest's two stamps take, in its ticks.
        instruction: what one instruction of an empty loop takes, in the guest's ticks.
        words: why there are no stamps in the guest, or what is to be said about them; "" for
            nothing.
    """

    khz: float
    source: str
    inside: float
    outside: float
    guest_khz: float
    stamp: float
    instruction: float
    words: str

    @property
    def stamp_ns(self) -> float:
        """What the guest's two stamps take, in ns; 0 where there are none."""
        return self.stamp * 1e6 / self.guest_khz if self.guest_khz else 0.0

    @property
    def instruction_ns(self) -> float:
        """What an instruction of an empty loop takes, in ns; 0 where the guest cannot tell."""
        return self.instruction * 1e6 / self.guest_khz if self.guest_khz else 0.0


def calibrate(system: System) -> Calibration:
    """Measure what measuring costs, on the processor that this thread is on."""
    with ExitStack() as stack:
        rig = Rig(stack, "empty.bin64", system=system)
        clock = TscClock(rig.vcpu)
        meter = Meter()
        meter.idle(IDLE_EXITS)
        idle = metered(meter)
        assert idle.inside is not None
        assert idle.outside is not None
        parts = (idle.inside.quantile(0.5), idle.outside.quantile(0.5))
        try:
            # what disturbs them only adds to them, and would be subtracted everywhere
            runs = [rig.turns(STAMPS).total for _ in range(STAMP_RUNS)]
            stamps = min(runs, key=lambda run: run.quantile(0.5))
            guest_khz, instruction = _guest(system, clock)
        except PykvmError as error:
            words = f"the guest cannot take stamps: {error}"
            return Calibration(clock.khz, clock.source, *parts, 0.0, 0.0, 0.0, words)
        found = Calibration(
            clock.khz, clock.source, *parts, guest_khz, stamps.quantile(0.5), instruction, ""
        )
        return found._replace(words=_on_stamps(found, stamps))


def _guest(system: System, clock: TscClock) -> tuple[float, float]:
    """The guest's ticks a millisecond, and its ticks for an instruction of an empty loop.

    Both are differences between a longer and a shorter loop: all else cancels out.  Of many turns
    the fastest counts, since whatever disturbs one only adds to it.
    """
    ticks = []
    with ExitStack() as stack:
        rig = Rig(stack, "loop.bin64", system=system)
        for length in LOOP_LENGTHS:
            rig.operand(length)
            ticks.append(rig.turns(LOOP_TURNS, warm_up=1).total.minimum)
        if ticks[1] <= ticks[0]:
            raise Unable("RDTSC does not advance with what the guest does")
        instruction = (ticks[1] - ticks[0]) / (LOOP_LENGTHS[1] - LOOP_LENGTHS[0]) / INSTRUCTIONS
        guests, hosts = [], []
        for ns in RATE_NS:
            turns = ns * clock.khz / 1e6 / instruction / INSTRUCTIONS
            rig.operand(min(int(turns), MOST_TURNS))
            start = lib.shim_tsc()
            guests.append(rig.turns(1, warm_up=0).total.maximum)
            hosts.append(lib.shim_tsc() - start)
        rate = guest_rate(clock.khz, guests[1] - guests[0], hosts[1] - hosts[0])
        return rate, instruction


def guest_rate(khz: float, guest: float, host: float) -> float:
    """The guest's rate in kHz, by what both clocks made of the same time; the host's if it may be.

    Args:
        khz: the host's rate.
        guest, host: ticks of each.
    """
    return khz if abs(guest - host) <= AGREEMENT * host else khz * guest / host


def _on_stamps(found: Calibration, stamps: Histogram) -> str:
    if found.stamp_ns < SLOW_STAMP_NS:
        return ""
    spread = (stamps.quantile(0.9) - stamps.minimum) * 1e6 / found.guest_khz
    return (
        f"RDTSC in the guest is intercepted or emulated here: two stamps take "
        f"{found.stamp_ns:.0f} ns, which is subtracted; what the guest measures itself is no "
        f"more exact than their own spread, {spread:.0f} ns"
    )
