"""What turns events into text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pykvm.kvm.recorder import Record
    from pykvm.kvm.tsc import TscClock
    from pykvm.trace.event import Event

    Devices = Callable[[Record], "str | None"]
    """Tells which device an access is for."""


class Format(Protocol):
    """What turns events into text."""

    def begin(self) -> str:
        """What comes first."""

    def events(self, events: Iterable[Event]) -> str:
        """The next events."""

    def end(self) -> str:
        """What comes last."""


class Timed:
    """A format that shows when events were, and whose device's; with nothing first and last.

    Args:
        clock: how fast the TSC ticks.
        zero: the TSC at time 0.
        device: tells which device an access is for.
    """

    def __init__(self, clock: TscClock, zero: int, device: Devices) -> None:
        self._clock = clock
        self._zero = zero
        self._device = device

    def begin(self) -> str:
        """Nothing."""
        return ""

    def end(self) -> str:
        """Nothing."""
        return ""

    def _time(self, tsc: int) -> int:
        """Since time 0, in ns."""
        return self._clock.ns(tsc - self._zero)
