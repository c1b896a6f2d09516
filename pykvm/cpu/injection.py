"""Interrupting a vCPU by hand, for a machine whose interrupt controllers are devices.

KVM takes a vector by KVM_INTERRUPT (KVM API 4.16) when the guest could be interrupted at its last
exit; else it is asked to leave the guest as soon as that is so (KVM API section 5,
"request_interrupt_window").

An access that came out of the guest is not over then: KVM finishes it at the next entry (KVM API
section 5), which may raise an exception, as RDMSR of a register that is refused does.  A vector
that KVM had taken before would be lost to that exception, and stay in service for ever.  So after
an access, too, the guest is asked to leave as soon as it can be interrupted: that is behind it.

So before each entry somebody must look whether the controllers have
something.  They can have something new only after a device was accessed, which comes out of the C
loop; after another thread raised a line, which kicks the vCPU; or when a tick of the timer is due,
for which the loop's own timer is set.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pykvm.cpu.stop import Stop, StopReason
from pykvm.cpu.ticks import TICK_NS
from pykvm.kvm.runloop import ACCESSES

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.cpu.kvm import KvmCpu
    from pykvm.cpu.shared import Shared
    from pykvm.cpu.ticks import Ticks
    from pykvm.isa_interrupts import IsaInterrupts

SHORTEST_LOOK_NS = 200_000
"""However fast the guest sets its timer, it is looked at no more often, so that the guest, too,
gets somewhere.  KVM's own has the same limit (kvm.ko, min_timer_period_us)."""

NS = 1_000_000_000


class Bell:
    """Wakes one thread that waits; from any thread, and from a signal's handler in that one.

    A lock that is released to ring: a condition would have to be held for that, which a handler
    must not wait for.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.silence()

    def ring(self) -> None:
        """End the wait under way, or else the next one."""
        with suppress(RuntimeError):  # it has been rung already
            self._lock.release()

    def silence(self) -> None:
        """Forget that it was rung."""
        self._lock.acquire(blocking=False)

    def wait(self, ns: int) -> None:
        """Wait until it rings, `ns` at the longest."""
        self._lock.acquire(timeout=max(ns, 0) / NS)


class Injector:
    """Interrupts one vCPU, and knows whether it halts.

    Args:
        cpu: whose; on a VM without interrupt controllers in the kernel.
        shared: the rest of the machine; its stop request gets the word that the guest halts for
            good.
        isa: the controllers.
        ticks: the processor's, which are to come when the timer is to be looked at.
        on_tick: called under the machine's lock after each wait, as at the run loop's ticks.
    """

    def __init__(
        self,
        cpu: KvmCpu,
        shared: Shared,
        isa: IsaInterrupts,
        ticks: Ticks,
        on_tick: Callable[[], None],
    ) -> None:
        self._cpu = cpu
        self._vcpu = cpu.vcpu
        self._isa = isa
        self._lock = shared.lock
        self._requests = shared.requests
        self._ticks = ticks
        self._on_tick = on_tick
        self._bell = Bell()
        self._halted = False
        self._looked = 0  # when a tick was last found due
        self._armed_for: int | None = None
        isa.intr.listener = self._on_intr
        ticks.next_look = self._next_look

    def halt(self) -> None:
        """The guest has executed HLT."""
        self._halted = True

    def reset(self) -> None:
        """The vCPU is as new."""
        self._halted = False
        self._vcpu.page.request_interrupt_window = False

    def wake(self) -> None:
        """End a wait under way: there is a word for the processor; from any thread."""
        self._bell.ring()

    def _next_look(self, limit: int) -> int:
        """When the timer is to be looked at, `limit` at the latest (CLOCK_MONOTONIC, ns)."""
        event = self._isa.next_event()
        if event is None:
            return limit
        return min(max(event, self._looked + SHORTEST_LOOK_NS), limit)

    def prepare(self) -> bool:
        """Before an entry: interrupt the guest if that is due.

        A guest that halts until something comes is waited for, till the next tick.  It halts for
        good with IF = 0, since there are no NMIs; or if all interrupts are masked or held back by
        one in service.

        Returns:
            whether to enter the guest; if not, ask again after a look at the stop request.
        """
        with self._lock:
            self._bell.silence()
            now = time.monotonic_ns()
            self._look(now)
            if self._halted and self._vcpu.page.if_flag and self._isa.intr.level:
                self._halted = False
            if not self._halted:
                self._inject()
                return True
            if not self._vcpu.page.if_flag or not self._isa.may_interrupt():
                self._requests.post(Stop(StopReason.HALTED))
            if self._requests.is_waiting:
                return False
            until = self._next_look(now + TICK_NS)
            if self._ticks.deadline is not None:
                until = min(until, self._ticks.deadline)
        self._bell.wait(until - now)
        with self._lock:
            self._on_tick()
        return False

    def _look(self, now: int) -> None:
        event = self._isa.next_event()
        if event is not None and event <= now:
            self._looked = now
            self._isa.poll()
            event = self._isa.next_event()
        if event is not None and event != self._armed_for and event < now + TICK_NS:
            self._armed_for = event
            self._ticks.arm()

    def _inject(self) -> None:
        page, intr = self._vcpu.page, self._isa.intr
        is_ready = page.ready_for_interrupt_injection and page.if_flag
        if intr.level and is_ready and page.run.exit_reason not in ACCESSES:
            self._vcpu.interrupt(self._isa.acknowledge())
            page.ready_for_interrupt_injection = False  # till KVM says so again
        page.request_interrupt_window = intr.level

    def _on_intr(self, level: bool) -> None:
        """The vCPU's own thread comes to `prepare` before it enters the guest again."""
        if level and not self._cpu.runs_here:
            self._cpu.kick()
