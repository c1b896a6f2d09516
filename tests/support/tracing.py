"""Traces whose events are kept, to be looked at."""

from __future__ import annotations

from collections.abc import Iterable

from pykvm.cpu.stop import Stop, StopReason
from pykvm.devices.sinks import NullSink
from pykvm.machine import Machine
from pykvm.manifest import Guest, find_guest
from pykvm.trace.event import Event
from pykvm.trace.selection import Selection
from pykvm.trace.tracer import Tracer


class Keeper:
    """A format that keeps events instead."""

    def __init__(self) -> None:
        self.kept: list[Event] = []

    def begin(self) -> str:
        return "begin "

    def events(self, events: Iterable[Event]) -> str:
        new = list(events)
        self.kept += new
        return f"{len(new)} " if new else ""

    def end(self) -> str:
        return "end"

    def texts(self) -> list[str]:
        return [e.place.instruction.text if e.place else "" for e in self.kept]


def trace(
    code: bytes,
    selection: Selection | None = None,
    *,
    steps: bool = False,
    accel: str = "kvm",
    limit: int | None = None,
) -> Keeper:
    """The events of a guest that ends by itself, or the first ones."""
    keeper = Keeper()
    with Machine("64K", irqchip="none", accel=accel) as machine:
        machine.load(code)
        chosen = Selection() if selection is None else selection
        tracer = Tracer(
            machine,
            keeper,
            NullSink(),
            selection=chosen,
            steps=steps,
            limit=limit,
            on_limit=lambda: machine.stop(Stop(StopReason.STOPPED)),
        )
        machine.run(timeout=10)
        tracer.finish()
    return keeper


def bundled(name: str) -> Guest:
    guest = find_guest(name)
    assert guest is not None
    return guest
