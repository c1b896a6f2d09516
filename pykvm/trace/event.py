"""An exit as it is shown: a record, how long userspace had it, and the instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pykvm.debug.disasm import Instruction
    from pykvm.kvm.recorder import Record


class Place(NamedTuple):
    """The instruction that an exit, or a step, is about.

    Attributes:
        instruction: it, at its linear address.
        symbol: what the image calls that address; None if nothing.
    """

    instruction: Instruction
    symbol: str | None = None


class Event(NamedTuple):
    """One record, completed by what is known later or elsewhere.

    Attributes:
        record: it.
        outside: ticks until its vCPU was entered again, without the tracer's own; None for a
            vCPU's last one.
        tracing: ticks of the tracer's own meanwhile.
        place: the instruction; None if it could not be found.
        changes: for a step, the registers that the instruction has changed, by lower-case name,
            with their new values.
    """

    record: Record
    outside: int | None = None
    tracing: int = 0
    place: Place | None = None
    changes: dict[str, int] | None = None

    @property
    def inside(self) -> int:
        """Ticks in guest and kernel."""
        return self.record.left - self.record.entered


def time_outside(record: Record, following: Record) -> int:
    """Ticks that userspace had an exit, without the recorder's own.

    Args:
        record: the exit.
        following: its vCPU's next record.
    """
    # of another processor's TSC, where a vCPU's thread has moved, it may be behind
    return max(following.entered - record.left - following.paused, 0)


class Pairing:
    """Completes the events of one vCPU with the time that userspace had each.

    That is known when the vCPU has been entered again: the latest event is held back until then.
    """

    def __init__(self) -> None:
        self.held: Event | None = None

    def add(self, event: Event) -> Event | None:
        """Take the next event; returns the one before, completed."""
        before, self.held = self.held, event
        if before is None:
            return None
        record = event.record
        outside = time_outside(before.record, record)
        return before._replace(outside=outside, tracing=record.paused)

    def end(self) -> Event | None:
        """The last one, which nothing followed."""
        before, self.held = self.held, None
        return before
