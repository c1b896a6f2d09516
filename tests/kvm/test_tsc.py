"""How fast the host's TSC ticks."""

from __future__ import annotations

import time

from pykvm._shim import lib
from pykvm.kvm.tsc import AGREEMENT, TscClock
from tests.support.bare import Bare


def test_the_clock_agrees_with_the_host(bare: Bare) -> None:
    """Over a time that no scheduling makes differ by more than what it allows itself."""
    clock = TscClock(bare.cpu.vcpu)
    assert clock.source in ("KVM_GET_TSC_KHZ", "CLOCK_MONOTONIC")
    before, ticks = time.monotonic_ns(), lib.shim_tsc()
    while time.monotonic_ns() - before < 50_000_000:
        pass
    ticks, after = lib.shim_tsc() - ticks, time.monotonic_ns()
    assert clock.ns(ticks) <= (after - before) * (1 + 2 * AGREEMENT)


def test_the_rate_stays_what_it_was(bare: Bare) -> None:
    clock = TscClock(bare.cpu.vcpu)
    assert clock.khz == clock.khz
    assert clock.ns(round(clock.khz * 1000)) == 1_000_000_000
