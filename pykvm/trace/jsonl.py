"""Events as JSON, an object a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pykvm._shim import lib
from pykvm.kvm.decode import reason_name
from pykvm.trace import words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykvm.kvm.tsc import TscClock
    from pykvm.trace.event import Event, Times
    from pykvm.trace.form import Devices

_ADDRESS_NAMES = {
    lib.KVM_EXIT_IO: "port",
    lib.KVM_EXIT_MMIO: "gpa",
    lib.KVM_EXIT_X86_RDMSR: "msr",
    lib.KVM_EXIT_X86_WRMSR: "msr",
    lib.KVM_EXIT_DEBUG: "linear",
}


class JsonLines:
    """An object a line, each of the same form (docs/trace.md lists the members).

    Args:
        clock: how fast the TSC ticks, and when time 0 was; None where no event has times.
        device: tells which device an access is for.
    """

    def __init__(self, clock: TscClock | None, device: Devices) -> None:
        self._clock = clock
        self._device = device

    def begin(self) -> str:
        """Nothing."""
        return ""

    def end(self) -> str:
        """Nothing."""
        return ""

    def events(self, events: Iterable[Event]) -> str:
        """Lines."""
        return "".join(f"{json.dumps(self._members(event))}\n" for event in events)

    def _members(self, event: Event) -> dict[str, Any]:
        record = event.record
        members: dict[str, Any] = {"vcpu": record.vcpu, "exit": reason_name(record.reason)}
        if self._clock is not None and event.times is not None:
            members = _time_members(event.times, members, self._clock)
        return members | access_members(event, self._device(record))


def _time_members(times: Times, members: dict[str, Any], clock: TscClock) -> dict[str, Any]:
    """`members` with the times."""
    members = {"time_ns": clock.time(times.left), **members, "inside_ns": clock.ns(times.inside)}
    if times.outside is not None:
        members["outside_ns"] = clock.ns(times.outside)
    if times.tracing:
        members["tracing_ns"] = clock.ns(times.tracing)
    return members


def access_members(event: Event, device: str | None) -> dict[str, Any]:
    """What was accessed, by whom, and who answered, without the times."""
    record, place = event.record, event.place
    members: dict[str, Any] = {"by": words.handler(record)}
    name = _ADDRESS_NAMES.get(record.reason)
    if name is not None:
        members[name] = f"{record.address:#x}"
    if record.size:
        members["access"] = "write" if record.is_write else "read"
        members["size"] = record.size
        members["value"] = f"{record.value:#x}"
    elif record.value:
        members["value"] = f"{record.value:#x}"
    if record.count > 1:
        members["count"] = record.count
    if device is not None:
        members["device"] = device
    if record.rip:
        members["rip"] = f"{record.rip:#x}"
    if place is not None:
        members["address"] = f"{place.instruction.address:#x}"
        members["instruction"] = place.instruction.text
        if place.symbol is not None:
            members["symbol"] = place.symbol
    if event.changes is not None:
        members["changes"] = {register: f"{v:#x}" for register, v in event.changes.items()}
    return members
