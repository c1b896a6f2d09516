"""When a processor comes out of the guest to look around, whatever the guest does."""

from __future__ import annotations

import time

from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TICK_NS = 10_000_000
"""How long a posted write or a signal to the process may wait for Python, in ns."""

SLEEPER_TICK_NS = 16 * TICK_NS
"""Up to this grow the ticks of a processor that waits for another one to wake it: 254 of them would
else take the host from the one that runs.  Who keeps the devices' time has no such rest."""

FIRST_TICK_NS = 500_000
"""With an APIC in the kernel, a tick is also what finds that the guest has halted for good.  So
that this takes but a fraction of a short run, ticks come at first after half the time so far."""


class Ticks:
    """Sets the timer of a processor's run loop.

    Args:
        set_timer: `RunLoop.set_timer`: kicks at a time, then at intervals.
        begins_fast: whether the first ticks come after `FIRST_TICK_NS`.
        clock: CLOCK_MONOTONIC in ns.

    Attributes:
        deadline: when the run ends (CLOCK_MONOTONIC, ns); None for never.
        next_look: gives when to look at the latest, of the time proposed; None: at that time.
    """

    def __init__(
        self,
        set_timer: Callable[[int, int], None],
        *,
        begins_fast: bool,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._set_timer = set_timer
        self._begins_fast = begins_fast
        self._clock = clock
        self._start = 0
        self._interval = TICK_NS
        self.deadline: int | None = None
        self.next_look: Callable[[int], int] | None = None

    def begin(self, start: int, deadline: int | None) -> None:
        """A run begins.

        Args:
            start: when the machine's run began (CLOCK_MONOTONIC, ns).
            deadline: when it ends, likewise; None for never.
        """
        self._start, self.deadline = start, deadline
        self._interval = TICK_NS
        self.arm()

    def arm(self) -> None:
        """Set the timer for the next tick, or earlier for the deadline or `next_look`."""
        now = self._clock()
        wait = self._interval
        if self._begins_fast:
            wait = min(max(FIRST_TICK_NS, (now - self._start) // 2), wait)
        first = now + wait if self.deadline is None else min(self.deadline, now + wait)
        if self.next_look is not None:
            first = self.next_look(first)
        self._set_timer(max(first, 1), self._interval)

    @property
    def is_over(self) -> bool:
        """Whether the deadline has passed."""
        return self.deadline is not None and self._clock() >= self.deadline

    def go_on(self, *, asleep: bool) -> None:
        """A tick was dealt with.

        Args:
            asleep: whether the processor has nothing to do until another one wakes it, who will
                not have to wait for its next tick.
        """
        now = self._clock()
        before = self._interval
        self._interval = min(2 * before, SLEEPER_TICK_NS) if asleep else TICK_NS
        is_young = self._begins_fast and now - self._start < 2 * TICK_NS
        ends_soon = self.deadline is not None and self.deadline - now < self._interval
        if is_young or ends_soon or self._interval != before:
            self.arm()
