"""What a debugger is asked and tells, in words."""

from __future__ import annotations

import pytest

from pykvm.cpu.stop import Stop, StopReason
from pykvm.debug.points import Event, Point
from pykvm.errors import GuestCrash


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Event("step", 1, address=0x1003), "step: processor 1 at 0x1003"),
        (
            Event("breakpoint", 0, Point("hardware", 0x1000), 0x1000),
            "breakpoint: processor 0 at 0x1000 (hardware breakpoint at 0x1000)",
        ),
        (
            Event("watchpoint", 0, Point("write", 0x2000, 4), 0x1005),
            "watchpoint: processor 0 at 0x1005 (write watchpoint at 0x2000, 4 bytes)",
        ),
        (
            Event("ended", 0, address=0x1001, stop=Stop(StopReason.HALTED)),
            "ended: processor 0 at 0x1001 (halted)",
        ),
        (
            Event("crash", 0, crash=GuestCrash("triple fault", None, None)),
            "crash: processor 0 (triple fault)",
        ),
    ],
)
def test_events_in_words(event: Event, words: str) -> None:
    assert str(event) == words


def test_a_point_in_words() -> None:
    assert str(Point("read", 0x10)) == "read watchpoint at 0x10, 1 byte"
