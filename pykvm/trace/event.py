"""An exit as it is shown: what it was, when, and the instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from pykvm.debug.disasm import Instruction
    from pykvm.kvm.recorder import Record


class Occurrence(Protocol):
    """What an exit or a step was, whoever plays the processor; `pykvm.kvm.recorder.Record` says
    what each of these is."""

    @property
    def reason(self) -> int:
        """KVM_EXIT_*, also where it is not KVM that plays it."""

    @property
    def vcpu(self) -> int:
        """The processor's number."""

    @property
    def address(self) -> int:
        """What was accessed, or where a step has led."""

    @property
    def value(self) -> int:
        """What was read or written."""

    @property
    def size(self) -> int:
        """Bytes of one element."""

    @property
    def count(self) -> int:
        """Elements of an access; 0 for other exits."""

    @property
    def is_write(self) -> bool:
        """Whether the guest gave `value`."""

    @property
    def handled(self) -> int:
        """Who answered."""

    @property
    def rip(self) -> int:
        """RIP as KVM left it; 0 where that is not known."""

    @property
    def code_width(self) -> int:
        """Whether the code is 16, 32 or 64 bits wide."""


class Span(Protocol):
    """A KVM_RUN in ticks of the host's TSC."""

    @property
    def entered(self) -> int:
        """Just before it."""

    @property
    def left(self) -> int:
        """Just behind it."""

    @property
    def paused(self) -> int:
        """Ticks of the tracer's own between the one before and `entered`."""


class Times(NamedTuple):
    """When a KVM_RUN was, and what followed: a `Span`, completed by the next one.

    Attributes:
        entered, left, paused: as in `Span`.
        outside: ticks until its vCPU was entered again, without the tracer's own; None for a
            vCPU's last one.
        tracing: ticks of the tracer's own meanwhile.
    """

    entered: int
    left: int
    paused: int
    outside: int | None = None
    tracing: int = 0

    @property
    def inside(self) -> int:
        """Ticks in guest and kernel."""
        return self.left - self.entered


class Place(NamedTuple):
    """The instruction that an exit, or a step, is about.

    Attributes:
        instruction: it, at its linear address.
        symbol: what the image calls that address; None if nothing.
    """

    instruction: Instruction
    symbol: str | None = None


class Event(NamedTuple):
    """One exit or step, completed by what is known later or elsewhere.

    Attributes:
        record: what it was.
        times: when; None where there is no telling, since the guest is emulated.
        place: the instruction; None if it could not be found.
        changes: for a step, the registers that the instruction has changed, by lower-case name,
            with their new values.
    """

    record: Occurrence
    times: Times | None = None
    place: Place | None = None
    changes: dict[str, int] | None = None


def timed(
    record: Record, *, place: Place | None = None, changes: dict[str, int] | None = None
) -> Event:
    """The event of a record of KVM's, which has times."""
    return Event(record, Times(record.entered, record.left, record.paused), place, changes)


def time_outside(span: Span, following: Span) -> int:
    """Ticks that userspace had an exit, without the recorder's own.

    Args:
        span: the exit.
        following: its vCPU's next one.
    """
    # of another processor's TSC, where a vCPU's thread has moved, it may be behind
    return max(following.entered - span.left - following.paused, 0)


def times_of(event: Event) -> Times:
    """The times of an event that has some."""
    assert event.times is not None
    return event.times


class Pairing:
    """Completes the events of one vCPU, which have times, with the time that userspace had each.

    That is known when the vCPU has been entered again: the latest event is held back until then.
    """

    def __init__(self) -> None:
        self.held: Event | None = None

    def add(self, event: Event) -> Event | None:
        """Take the next event; returns the one before, completed."""
        before, self.held = self.held, event
        if before is None:
            return None
        times, following = times_of(before), times_of(event)
        outside = time_outside(times, following)
        return before._replace(times=times._replace(outside=outside, tracing=following.paused))

    def end(self) -> Event | None:
        """The last one, which nothing followed."""
        before, self.held = self.held, None
        return before
