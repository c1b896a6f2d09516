"""The events of several vCPUs in one order, that of the time at which each left the guest."""

from __future__ import annotations

from collections import deque
from heapq import merge
from typing import TYPE_CHECKING

from pykvm.trace.event import times_of

if TYPE_CHECKING:
    from pykvm.trace.event import Event

MOST_WAITING = 1 << 17
"""When so many events wait for a vCPU that says nothing, they go on without it."""


class Merger:
    """Holds events back until no vCPU can come with an earlier one.

    Args:
        count: how many vCPUs there are.
    """

    def __init__(self, count: int) -> None:
        self._waiting: list[deque[Event]] = [deque() for _ in range(count)]
        self._horizons = [0] * count

    def add(self, vcpu: int, events: list[Event], horizon: int) -> list[Event]:
        """Take a vCPU's next events, in order; returns those whose turn it is.

        Args:
            vcpu: its number.
            events: with non-descending `times.left`; a single vCPU's need no times.
            horizon: a TSC before which this vCPU has no more to tell.
        """
        if len(self._waiting) == 1:
            return events
        self._waiting[vcpu].extend(events)
        self._horizons[vcpu] = max(self._horizons[vcpu], horizon)
        if sum(map(len, self._waiting)) > MOST_WAITING:
            return self.end()
        safe = min(self._horizons)
        return self._sorted([_pop_before(waiting, safe) for waiting in self._waiting])

    def end(self) -> list[Event]:
        """All that wait."""
        rest = [list(waiting) for waiting in self._waiting]
        for waiting in self._waiting:
            waiting.clear()
        return self._sorted(rest)

    @staticmethod
    def _sorted(runs: list[list[Event]]) -> list[Event]:
        return list(merge(*runs, key=lambda event: times_of(event).left))


def _pop_before(waiting: deque[Event], end: int) -> list[Event]:
    popped = []
    while waiting and times_of(waiting[0]).left < end:
        popped.append(waiting.popleft())
    return popped
