"""The exit meter: what each exit costs, counted by the C loop into histograms.

meter = Meter()
machine.cpus[0].loop.measure(meter)
machine.run()
meter.total.buckets
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pykvm._shim import ffi, lib

if TYPE_CHECKING:
    from collections.abc import Sequence

BUCKETS: int = len(ffi.new("struct shim_histogram *").buckets)


class Counts(NamedTuple):
    """What a histogram holds (csrc/histogram.cdef.h says which bucket is whose)."""

    minimum: int
    maximum: int
    buckets: Sequence[int]


class Meter:
    """Measures the exits of one vCPU in ticks of the host's TSC; `RunLoop.measure` puts it to work.

    An exit counts when the guest is entered again.  One that a signal interrupts does not count.

    Args:
        kept: of how many exits, the first ones, the exact total is kept as well.
    """

    def __init__(self, kept: int = 0) -> None:
        self._c: Any = ffi.new("struct shim_meter *")
        self._kept = ffi.new("uint64_t[]", max(kept, 1))
        self._kept_size = kept
        self.reset()

    @property
    def cdata(self) -> Any:
        """The `struct shim_meter *`."""
        return self._c

    @property
    def inside(self) -> Counts:
        """Ticks from KVM_RUN to its return: the guest and the kernel."""
        return _read(self._c.inside)

    @property
    def outside(self) -> Counts:
        """Ticks from there to the next KVM_RUN: userspace."""
        return _read(self._c.outside)

    @property
    def total(self) -> Counts:
        """Ticks of both."""
        return _read(self._c.total)

    @property
    def kept(self) -> list[int]:
        """The totals of the first exits one by one."""
        return list(self._kept[0 : min(self._c.total.count, self._kept_size)])

    @property
    def interrupted(self) -> int:
        """How many exits a signal interrupted, so that they are not counted."""
        return int(self._c.interrupted)

    def reset(self) -> None:
        """Forget all that was measured, and the exit that is not yet answered."""
        ffi.memmove(self._c, bytes(ffi.sizeof(self._c[0])), ffi.sizeof(self._c[0]))
        self._c.kept, self._c.kept_size = self._kept, self._kept_size

    def idle(self, exits: int) -> None:
        """Measure `exits` exits that take no time: what is counted is the meter's own part."""
        lib.shim_meter_idle(self._c, exits)


def _read(histogram: Any) -> Counts:
    buckets = memoryview(ffi.buffer(histogram.buckets)).cast("Q")
    return Counts(histogram.minimum, histogram.maximum, buckets.tolist())
