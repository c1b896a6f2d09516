"""The C run loop's Python face: it runs a vCPU until there is something for Python to do.

Usable with a bare `Vcpu`; `pykvm.cpu.kvm` puts buses behind it.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from functools import partial

from pykvm._shim import ffi, lib
from pykvm.errors import KvmIoctlError, PykvmError
from pykvm.named import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from pykvm.kvm.meter import Meter
    from pykvm.kvm.recorder import Recorder
    from pykvm.kvm.routes import Routes
    from pykvm.kvm.vcpu import Vcpu

INTERRUPTED: int = lib.SHIM_INTERRUPTED
BUDGET_SPENT: int = lib.SHIM_BUDGET
EVENTS_FULL: int = lib.SHIM_EVENTS

ACCESSES: tuple[int, ...] = (
    lib.KVM_EXIT_IO,
    lib.KVM_EXIT_MMIO,
    lib.KVM_EXIT_X86_RDMSR,
    lib.KVM_EXIT_X86_WRMSR,
)
"""Exits in the middle of an instruction."""

NO_BUDGET = (1 << 64) - 1
KICK_SIGNAL: int = lib.shim_kick_signal()
EVENT_LOG_SIZE = 1 << 16
PORTS = 1 << 16

_HEADER = struct.Struct("<QIBB2x")
assert _HEADER.size == ffi.sizeof("struct shim_event")
_EXIT = struct.Struct("=4x?BHIIQQ8x")
assert _EXIT.size == ffi.sizeof("struct shim_exit")

_run = lib.shim_run  # looked up once, not at each exit
_initialised = lib.shim_init()
if _initialised < 0:
    raise OSError(-_initialised, "cannot install the kick signal's handler")


class PostedWrites(NamedTuple):
    """A run of writes to one address that the guest made one after the other."""

    is_mmio: bool
    address: int
    size: int
    """Bytes of one element."""
    data: bytes
    """The elements, in order."""


class RunLoop:
    """Runs one vCPU in C until an exit is Python's.

    Args:
        vcpu: what to run; it must outlive this object.
        routes: what C answers itself; None for nothing.
        count_ports: keep a count of exits for each port.
        timed: keep the time spent in the guest and the kernel; costs two clock reads an exit.
        budget: another loop's `budget_cell`, to count the exits of both down together.

    Attributes:
        budget_cell: the `uint64_t *` that `budget` is kept in.
        recorder: who records the exits; None, as at first, for nobody.
        access: called after `enter`, what the last I/O or MMIO exit is, at once: is_write, size,
            offset of its data in `page`, count, how many bytes were posted before, address, value
            of a write's first element.
        page: the run page, writable; it dangles once the vCPU is closed.
        exit: the `struct shim_exit` of the last I/O or MMIO exit: is_write, size, count,
            address, data (size * count bytes, writable for reads).
    """

    def __init__(
        self,
        vcpu: Vcpu,
        routes: Routes | None = None,
        *,
        count_ports: bool = False,
        timed: bool = False,
        budget: Any = None,
    ) -> None:
        self._vcpu = vcpu
        self._routes = routes
        self._log = ffi.new("uint8_t[]", EVENT_LOG_SIZE)
        self._ports = ffi.new("uint64_t[]", PORTS) if count_ports else ffi.NULL
        self._c: Any = ffi.new("struct shim_vcpu *")
        self._c.fd = vcpu.fd
        self._c.run = vcpu.page.run
        self._c.coalesced = vcpu.page.coalesced_ring or ffi.NULL
        self.use_routes(True)
        self._c.events = self._log
        self._c.events_size = EVENT_LOG_SIZE
        self._c.port_exits = self._ports
        self.budget_cell: Any = ffi.new("uint64_t *", NO_BUDGET) if budget is None else budget
        self._c.budget = self.budget_cell
        self._c.timed = timed
        self.recorder: Recorder | None = None
        self._meter: Meter | None = None
        self.exit: Any = self._c.exit
        self.page: Any = ffi.buffer(vcpu.page.run, vcpu.page.size)
        self.access: Callable[[], tuple[bool, int, int, int, int, int, int]] = partial(
            _EXIT.unpack_from, ffi.buffer(ffi.addressof(self._c, "exit"))
        )

    def enter(self) -> int:
        """Run until something is Python's; the GIL is free meanwhile.

        Returns:
            an exit reason (KVM_EXIT_*), or INTERRUPTED (a signal, a kick, the timer),
            BUDGET_SPENT or EVENTS_FULL.  Take `posted_writes` first, whatever it is.

        Raises:
            KvmIoctlError: KVM_RUN failed; EBUSY: another thread is in here.
            ValueError: the vCPU is closed.
        """
        if self._vcpu.fd < 0:
            raise ValueError("the vCPU is closed")
        reason: int = _run(self._c) if self.recorder is None else self.recorder.enter()
        if reason < 0:
            raise KvmIoctlError("KVM_RUN", -reason)
        return reason

    def use_routes(self, on: bool) -> None:
        """Whether C answers what `routes` says; if not, every access is Python's."""
        self._c.routes = self._routes.cdata if on and self._routes is not None else ffi.NULL

    def posted_writes(self) -> Iterator[PostedWrites]:
        """What C posted and the kernel coalesced before the exit, in the guest's order."""
        while self._c.events_used:
            log = bytes(ffi.buffer(self._log, self._c.events_used))
            self._c.events_used = 0
            at = 0
            while at < len(log):
                address, length, size, is_mmio = _HEADER.unpack_from(log, at)
                at += _HEADER.size
                yield PostedWrites(bool(is_mmio), address, size, log[at : at + length])
                at += (length + 7) & ~7
            self.drain()

    @property
    def has_posted_writes(self) -> bool:
        """Whether `posted_writes` has anything to give."""
        return bool(self._c.events_used)

    def drain(self) -> None:
        """Fetch what the kernel has coalesced since the last exit, for `posted_writes`."""
        if self._vcpu.fd >= 0:
            lib.shim_drain(self._c)

    @property
    def budget(self) -> int:
        """How many more exits `enter` may take before it returns BUDGET_SPENT.

        Counts down, unless it is NO_BUDGET.
        """
        return int(self.budget_cell[0])

    @budget.setter
    def budget(self, exits: int) -> None:
        self.budget_cell[0] = exits

    def kick(self) -> None:
        """Make the `enter` under way (else the next one) return INTERRUPTED.

        From any thread or signal handler, and even when the vCPU is closed.
        """
        lib.shim_kick(self._c)

    def set_timer(self, first: int, interval: int) -> None:
        """Kick this vCPU at `first` and then every `interval`, until `stop_timer`.

        Args:
            first: CLOCK_MONOTONIC (`time.monotonic_ns`) in ns.
            interval: in ns; 0 for once.

        The calling thread must be the one that calls `enter`.

        Raises:
            PykvmError: the host has no timer left (RLIMIT_SIGPENDING).
        """
        error = lib.shim_set_timer(self._c, first, interval)
        if error < 0:
            why = os.strerror(-error)
            raise PykvmError(f"cannot set a timer for the vCPU: {why} (see `ulimit -i`)")

    def stop_timer(self) -> None:
        """Take the timer away."""
        lib.shim_set_timer(self._c, 0, 0)

    def record(self, recorder: Recorder | None) -> None:
        """Record all exits from now on in `recorder`; None ends that.

        While no thread is in `enter`, or from a callback of the recorder's.

        Raises:
            ValueError: it is at work for another vCPU.
        """
        if self.recorder is not None:
            self.recorder.detach()
            self.recorder = None
        if recorder is not None:
            recorder.attach(self._vcpu, self._c)
            self.recorder = recorder

    def measure(self, meter: Meter | None) -> None:
        """Measure all exits from now on with `meter`; None ends that.

        While no thread is in `enter`.
        """
        self._meter = meter  # C has but a pointer to it
        self._c.meter = ffi.NULL if meter is None else meter.cdata

    @property
    def inside_ns(self) -> int:
        """Time spent in the guest and the kernel so far, in ns (0 unless `timed`)."""
        return int(self._c.inside_ns)

    def exits_by_reason(self) -> dict[int, int]:
        """Counts of all exits so far, C's own included, by KVM_EXIT_* number."""
        return {reason: n for reason, n in enumerate(self._c.exits) if n}

    def exits_by_port(self) -> dict[int, int]:
        """Counts of I/O exits by port (empty unless `count_ports`)."""
        if self._ports == ffi.NULL:
            return {}
        counts = memoryview(ffi.buffer(self._ports)).cast("Q")
        return {port: n for port, n in enumerate(counts) if n}

    def close(self) -> None:
        """Take timer, recorder and meter away; the vCPU itself stays open."""
        self.stop_timer()
        self.record(None)
        self.measure(None)
