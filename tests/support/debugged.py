"""A debugger on a machine that runs a few instructions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pykvm import Machine, Mode
from pykvm.debug.debugger import Debugger, Event, Point
from tests.support.small_guests import Recorder

LOAD = 0x1000
PATIENCE = 60

COUNT = bytes.fromhex(
    "90"  # nop
    "fe c3"  # inc bl
    "90"  # nop
    "e6 30"  # out 0x30, al
    "eb f9"  # jmp to the inc
)
INC, AFTER_INC, OUT, JUMP = LOAD + 1, LOAD + 3, LOAD + 4, LOAD + 6


@contextmanager
def debugged(code: bytes, mode: Mode = Mode.REAL, irqchip: str = "kernel") -> Iterator[Debugger]:
    """A debugger on a machine that is about to execute `code` at 0x1000."""
    with Machine("64K", irqchip=irqchip) as machine:
        machine.load(code, mode=mode, load_address=LOAD, entry=LOAD)
        with Debugger(machine) as debugger:
            yield debugger


def watch_port(debugger: Debugger, answer: int = 0) -> Recorder:
    device = Recorder(answer)
    debugger.machine.ports.attach(0x30, 1, device)
    return device


def insert(debugger: Debugger, kind: str, address: int) -> Point:
    """A breakpoint of a kind of `Point`, or of "stepped": as on a host that has no other."""
    if kind == "stepped":
        kind = "software"
        debugger._plan.facilities.software = debugger._plan.facilities.hardware = False
    point = Point(kind, address)
    debugger.insert(point)
    return point


def bl(debugger: Debugger) -> int:
    """How often the loop has counted."""
    return debugger.cpus[0].vcpu.get_regs().rbx & 0xFF


def hit(point: Point, address: int | None = None) -> Event:
    kind = "breakpoint" if point.is_breakpoint else "watchpoint"
    return Event(kind, 0, point, point.address if address is None else address)
