"""A debugger on a machine that runs a few instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from pykvm import Machine, Mode
from pykvm.debug.debugger import Debugger, Event, Point
from pykvm.debug.facilities import Facilities
from pykvm.debug.kvm_target import KvmTarget
from tests.support.small_guests import Recorder

MakeDebugger = Callable[..., AbstractContextManager[Debugger]]
"""`debugged`, for one of the accelerators."""

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
def debugged(
    code: bytes, mode: Mode = Mode.REAL, irqchip: str | None = None, *, accel: str = "kvm"
) -> Iterator[Debugger]:
    """A debugger on a machine that is about to execute `code` at 0x1000."""
    with Machine("64K", irqchip=irqchip, accel=accel) as machine:
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
        if not isinstance(debugger._target, KvmTarget):
            pytest.skip("nothing is looked for by steps: each instruction is looked at")
        kind = "software"
        facilities(debugger).software = facilities(debugger).hardware = False
    point = Point(kind, address)
    debugger.insert(point)
    return point


def facilities(debugger: Debugger) -> Facilities:
    """What the host does for a debugger of a machine on KVM."""
    assert isinstance(debugger._target, KvmTarget)
    return debugger._target.plan.facilities


def bl(debugger: Debugger) -> int:
    """How often the loop has counted."""
    return debugger.cpus[0].vcpu.get_regs().rbx & 0xFF


def hit(point: Point, address: int | None = None) -> Event:
    kind = "breakpoint" if point.is_breakpoint else "watchpoint"
    return Event(kind, 0, point, point.address if address is None else address)
