"""From ticks of the host's TSC to nanoseconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pykvm._shim import lib
from pykvm.errors import KvmIoctlError

if TYPE_CHECKING:
    from pykvm.kvm.vcpu import Vcpu

SHORTEST_NS = 5_000_000
"""A rate is measured over at least that long."""

AGREEMENT = 0.01
"""By how much KVM's figure may differ from what is measured and be believed."""


class TscClock:
    """How fast the host's TSC ticks, settled once, as late as possible.

    KVM's own figure is the one KVM keeps time by, and exact to 1 kHz, but a host may be wrong about
    it (a nested one, an emulator's).  So it is held against CLOCK_MONOTONIC, over the time since
    this object was made, and where they differ by more than 1 % the measured rate counts.

    Args:
        vcpu: which KVM to ask; its TSC's frequency must not have been set (`Vcpu.set_tsc_khz`).

    Attributes:
        start: the TSC when this was made.
    """

    def __init__(self, vcpu: Vcpu) -> None:
        try:
            self._told = vcpu.get_tsc_khz()
        except KvmIoctlError:  # without KVM_CAP_GET_TSC_KHZ
            self._told = 0
        self.start, self._start_ns = _now()
        self._khz = 0.0
        self._source = ""

    @property
    def khz(self) -> float:
        """Ticks a millisecond."""
        self._settle()
        return self._khz

    @property
    def source(self) -> str:
        """Whose figure it is: "KVM_GET_TSC_KHZ" or "CLOCK_MONOTONIC"."""
        self._settle()
        return self._source

    def ns(self, ticks: int) -> int:
        """How long `ticks` are, in ns."""
        return round(ticks * 1e6 / self.khz)

    def time(self, tsc: int) -> int:
        """When that was, since `start`, in ns."""
        return self.ns(tsc - self.start)

    def _settle(self) -> None:
        if self._khz:
            return
        while True:
            ticks, ns = _now()
            if ns - self._start_ns >= SHORTEST_NS:
                break
            time.sleep((SHORTEST_NS - (ns - self._start_ns)) / 1e9)
        measured = (ticks - self.start) * 1e6 / (ns - self._start_ns)
        self._khz, self._source = choose_rate(self._told, measured)


def choose_rate(told: int, measured: float) -> tuple[float, str]:
    """The rate in kHz, and whose it is.

    Args:
        told: KVM's figure in kHz; 0 if it has none.
        measured: against CLOCK_MONOTONIC, likewise.
    """
    if told and abs(told - measured) <= AGREEMENT * measured:
        return float(told), "KVM_GET_TSC_KHZ"
    return measured, "CLOCK_MONOTONIC"


def _now() -> tuple[int, int]:
    """The TSC, and CLOCK_MONOTONIC in ns, at the same moment but for some ns."""
    tries = []
    for _ in range(5):
        before = lib.shim_tsc()
        ns = time.monotonic_ns()
        after = lib.shim_tsc()
        tries.append((after - before, (before + after) // 2, ns))
    _, ticks, ns = min(tries)
    return ticks, ns
