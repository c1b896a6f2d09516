"""Records and events made by hand, on a TSC that ticks once a nanosecond."""

from __future__ import annotations

from typing import Any

from pykvm._shim import lib
from pykvm.debug.disasm import Instruction
from pykvm.kvm.recorder import Record
from pykvm.kvm.tsc import TscClock
from pykvm.trace.event import Event, Occurrence, Place, timed, times_of
from pykvm.trace.form import Subject


class RatedClock(TscClock):
    """A TSC whose rate is known."""

    def __init__(self, khz: float, start: int = 0) -> None:
        self.start = start
        self._khz, self._source = khz, "KVM_GET_TSC_KHZ"


CLOCK = RatedClock(1e6)
"""A tick is a nanosecond."""

ON_KVM = Subject("returns of KVM_RUN", CLOCK)
EMULATED = Subject("exits of an emulated guest", None)

OUT_A = Record(
    entered=1000,
    left=2500,
    paused=0,
    address=0x3F8,
    value=0x41,
    rip=0x1005,
    cs_base=0,
    count=1,
    reason=lib.KVM_EXIT_IO,
    vcpu=0,
    size=1,
    is_write=True,
    handled=1,
    code_width=16,
)
OUT = Instruction(0x1004, b"\xee", "out dx, al")


def record(**changes: Any) -> Record:
    """`OUT_A`, with changes."""
    return OUT_A._replace(**changes)


def event(*, outside: int | None = 300, tracing: int = 0, **changes: Any) -> Event:
    """An exit by `out dx, al` at 0x1004."""
    made = timed(record(**changes), place=Place(OUT, "main+0x4"))
    return made._replace(times=times_of(made)._replace(outside=outside, tracing=tracing))


def untimed(**changes: Any) -> Event:
    """The same of an emulated guest."""
    return event(**changes)._replace(times=None)


def no_device(_: Occurrence) -> str | None:
    """A machine without devices."""
    return None


def uart(_: Occurrence) -> str | None:
    """A machine that is one UART."""
    return "UART"
