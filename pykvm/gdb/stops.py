"""Stop replies: what a client is told when the guest has stopped, or has ended.

Source: GDB manual, appendix "GDB Remote Serial Protocol", section "Stop Reply Packets".
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pykvm.debug.debugger import Event

SIGINT = 2
SIGTRAP = 5
SIGABRT = 6
SIGSEGV = 11
"""Signals by GDB's own numbers (section "Stop Reply Packets"), which are those of Unix here."""

_WATCHES = {"write": "watch", "read": "rwatch", "access": "awatch"}


def thread_id(processor: int) -> str:
    """How a processor is called in packets: threads are counted from 1, in hexadecimal."""
    return f"{processor + 1:x}"


def stopped(signal: int, processor: int, why: str = "") -> bytes:
    """A `T` packet.

    Args:
        signal: one of those above.
        processor: which one the user should look at.
        why: a stop reason with its semicolon; empty for none.
    """
    return f"T{signal:02x}{why}thread:{thread_id(processor)};".encode("ascii")


def describe(event: Event, features: Container[str]) -> bytes:
    """The stop reply for an event that leaves the guest there to be looked at.

    Args:
        event: what `Debugger.resume` has returned.
        features: the stop reasons that the client has said it knows.
    """
    match event.kind:
        case "interrupted":
            return stopped(SIGINT, event.processor)
        case "crash":
            return stopped(SIGSEGV, event.processor)
        case _:
            return stopped(SIGTRAP, event.processor, _reason(event, features))


def _reason(event: Event, features: Container[str]) -> str:
    point = event.point
    if point is None:
        return ""
    if event.kind == "watchpoint":
        return f"{_WATCHES[point.kind]}:{point.address:x};"
    reason = "hwbreak" if point.kind == "hardware" else "swbreak"
    return f"{reason}:;" if reason in features else ""


def exited(status: int) -> bytes:
    """A `W` packet: the guest has ended, and `pykvm run` ends with this status (0 to 255)."""
    return b"W%02x" % status


def terminated(signal: int) -> bytes:
    """An `X` packet: the guest has crashed, or its host has failed it."""
    return b"X%02x" % signal
