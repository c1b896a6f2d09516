"""The timer's interrupt: ticks that come late, but do come.

A device in a program looks at the clock now and then, and may find that several ticks have passed
meanwhile; an interrupt controller keeps one.  Guests that tell the time by counting ticks would
fall behind.  So those that the controller could not take are owed, and follow one by one, each
when the one before it is done with.  KVM's own 8254 does so by default (KVM_REINJECT_CONTROL, KVM
API 4.99).

Nothing is owed to a guest that masks the interrupt, as it would get nothing on a PC either, and
only so much to one that does not take it.  And between two ticks a guest gets as much time as it
had for the first one: where the host is so slow that handling one takes longer than a period, it
would do nothing else.
"""

from __future__ import annotations

from collections.abc import Callable

from pykvm.irq import IrqLine

MOST_OWED = 1000
"""Ticks.  That is a second of a fast clock, or 55 s of a BIOS's."""

LONGEST_REST = 20_000_000
"""Between two ticks, in ns."""


class TimerTick:
    """Between a timer's output and an edge-triggered interrupt input.

    Each tick is a rising edge, and the line stays asserted until the tick is taken: a square
    wave's low half would take the request back.

    Args:
        line: the interrupt.
        is_open: whether the input is not masked.
        clock: a monotonic clock in nanoseconds.

    Attributes:
        owed: ticks to come.
    """

    def __init__(
        self, line: IrqLine, *, is_open: Callable[[], bool], clock: Callable[[], int]
    ) -> None:
        self._line = line
        self._is_open = is_open
        self._clock = clock
        self.owed = 0
        self._pending = False  # a tick is yet to be taken, by someone who wants it
        self._in_service = False
        self._taken_at = self._not_before = 0

    def tick(self, count: int) -> None:
        """The output has risen `count` times, one or more, since the last call."""
        if not self._is_open():
            self.owed = 0
            self._assert(pending=False)
        elif self._line.level:
            self._owe(count if self._pending else count - 1)
            self._assert(pending=True)
        else:
            self._owe(count)
            self.poll()

    def _owe(self, count: int) -> None:
        self.owed = min(self.owed + count, MOST_OWED)

    def _assert(self, *, pending: bool) -> None:
        """Make an edge, even if there was one: a controller that is initialized forgets it."""
        self._pending = pending
        self._line.set(False)
        self._line.set(True)

    def poll(self) -> None:
        """Pass the next tick on, if its time has come."""
        due = self.next_event()
        if due is not None and self._clock() >= due:
            self.owed -= 1
            self._assert(pending=True)

    def next_event(self) -> int | None:
        """When a tick that is owed is to be passed on; None if that is up to the guest."""
        if not self.owed or self._in_service or self._line.level:
            return None
        return self._not_before

    def serve(self, *, begins: bool) -> None:
        """The interrupt gets into service, or out of it."""
        now = self._clock()
        self._in_service = begins
        if begins:
            self._pending = False
            self._taken_at = now
            self._line.set(False)
        else:
            self._not_before = now + min(max(now - self._taken_at, 0), LONGEST_REST)

    def forget(self, *, asserted: bool) -> None:
        """The timer is programmed anew: nothing is owed, and a tick not taken yet may be void.

        Args:
            asserted: the output's level now.
        """
        self.owed = 0
        if not asserted:
            self._pending = False
            self._line.set(False)
