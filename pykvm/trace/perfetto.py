"""Events as a timeline that Perfetto and Chrome's chrome://tracing show.

Source: "Trace Event Format" (Google, 2016), the JSON object format with complete ("X") and
metadata ("M") events.  Its times are in microseconds.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pykvm.kvm.decode import exit_name
from pykvm.kvm.recorder import INTR
from pykvm.trace import words
from pykvm.trace.event import times_of
from pykvm.trace.jsonl import access_members

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pykvm.kvm.tsc import TscClock
    from pykvm.trace.event import Event
    from pykvm.trace.form import Devices

PROCESS = 1
INSIDE = "guest + KVM"


class Perfetto:
    """A track a vCPU, on which slices follow each other: in the guest or the kernel, in C or
    Python, in the tracer.

    A slice in KVM_RUN is one: from outside nobody sees when KVM left the guest, nor whether that
    halted meanwhile.

    Args:
        clock: how fast the TSC ticks, and when time 0 was; each event has times.
        device: tells which device an access is for.
    """

    def __init__(self, clock: TscClock, device: Devices) -> None:
        self._clock = clock
        self._device = device
        self._named: set[int] = set()
        self._separator = "\n"

    def begin(self) -> str:
        """The object up to its events."""
        other = {"tsc_khz": self._clock.khz, "tsc_khz_source": self._clock.source}
        return f'{{"displayTimeUnit": "ns", "otherData": {json.dumps(other)}, "traceEvents": ['

    def events(self, events: Iterable[Event]) -> str:
        """More of the array."""
        pieces = []
        for event in events:
            for member in self._members(event):
                pieces.append(f"{self._separator}{json.dumps(member)}")
                self._separator = ",\n"
        return "".join(pieces)

    def end(self) -> str:
        """The rest of the object."""
        return "\n]}\n"

    def _members(self, event: Event) -> Iterator[dict[str, Any]]:
        record, times = event.record, times_of(event)
        if record.vcpu not in self._named:
            yield from self._name_track(record.vcpu)
        yield self._slice(record.vcpu, INSIDE, "inside", times.entered, times.left)
        what = words.access(record) if record.size else exit_name(record.reason)
        name = "tick" if record.reason == INTR else f"{words.handler(record)}: {what}"
        args = access_members(event, self._device(record))
        if times.outside is None:
            yield self._mark(record.vcpu, name, times.left, args)
            return
        end = times.left + times.outside
        category = "c" if record.handled else "python"
        outside = self._slice(record.vcpu, name, category, times.left, end)
        yield {**outside, "args": args}
        if times.tracing:
            yield self._slice(record.vcpu, "pykvm trace", "trace", end, end + times.tracing)

    def _name_track(self, vcpu: int) -> Iterator[dict[str, Any]]:
        if not self._named:
            yield self._metadata("process_name", 0, "pykvm")
        self._named.add(vcpu)
        yield self._metadata("thread_name", vcpu, f"vCPU {vcpu}")

    @staticmethod
    def _metadata(what: str, vcpu: int, name: str) -> dict[str, Any]:
        return {"name": what, "ph": "M", "pid": PROCESS, "tid": vcpu, "args": {"name": name}}

    def _mark(self, vcpu: int, name: str, at: int, args: dict[str, Any]) -> dict[str, Any]:
        """The exit after which a vCPU was not entered again: nothing says how long it took."""
        ts = self._clock.time(at) / 1000
        what = {"name": name, "cat": "end", "ph": "i", "s": "t"}
        return {**what, "ts": ts, "pid": PROCESS, "tid": vcpu, "args": args}

    def _slice(self, vcpu: int, name: str, category: str, start: int, end: int) -> dict[str, Any]:
        # both ends are rounded, so that slices that touch do not overlap
        start_ns, end_ns = self._clock.time(start), self._clock.time(end)
        return {
            "name": name,
            "cat": category,
            "ph": "X",
            "ts": start_ns / 1000,
            "dur": (end_ns - start_ns) / 1000,
            "pid": PROCESS,
            "tid": vcpu,
        }
