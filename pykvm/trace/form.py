"""What turns events into text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pykvm.kvm.tsc import TscClock
    from pykvm.trace.event import Event, Occurrence

    Devices = Callable[[Occurrence], "str | None"]
    """Tells which device an access is for."""


class Format(Protocol):
    """What turns events into text."""

    def begin(self) -> str:
        """What comes first."""

    def events(self, events: Iterable[Event]) -> str:
        """The next events."""

    def end(self) -> str:
        """What comes last."""


class Subject(NamedTuple):
    """What a trace tells of.

    Attributes:
        what: its events, all together, in words.
        clock: how fast the TSC ticks that their times are of, and when time 0 was; None where no
            event has times.
    """

    what: str
    clock: TscClock | None
