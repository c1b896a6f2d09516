"""An emulated machine under the debugger: a `pykvm.debug.target.Target`.

The emulator looks before each instruction and at each access to memory, so there is nothing in the
guest, and no end of points.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, cast

from pykvm.debug.linear import LinearMemory
from pykvm.debug.patches import Patches
from pykvm.debug.points import check_point
from pykvm.debug.stepping import linear_pc
from pykvm.debug.target import Hit
from pykvm.emu.traps import Traps
from pykvm.kvm.state import MpState
from pykvm.x86 import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Collection

    from pykvm.cpu.emu import EmuCpu
    from pykvm.debug.points import Point
    from pykvm.emu.traps import Seen
    from pykvm.machine import Machine


class EmuTarget:
    """Points that the emulator looks for.

    Args:
        machine: it.

    Attributes:
        points: all of them.
        linear: memory.
        cpus: its one processor.
    """

    def __init__(self, machine: Machine) -> None:
        self.points: list[Point] = []
        self.linear = LinearMemory(machine, Patches(machine.memory))
        self.cpus = [EmuTargetCpu(cast("EmuCpu", cpu), self) for cpu in machine.cpus]

    def insert(self, point: Point) -> None:
        """See `Target`."""
        check_point(point)
        if point not in self.points:
            self.points.append(point)

    def remove(self, point: Point) -> None:
        """See `Target`."""
        if point in self.points:
            self.points.remove(point)

    def begin(self) -> None:
        """Nothing is taken down: accesses are seen when they are made."""

    def bare(self, processor: int, address: int) -> AbstractContextManager[None]:
        """It always is the guest's own."""
        return nullcontext()

    def breakpoint_at(self, address: int) -> Point | None:
        """The breakpoint at a linear address."""
        for point in self.points:
            if point.is_breakpoint and point.address == address:
                return point
        return None


class EmuTargetCpu:
    """The emulated processor under the debugger; see `TargetCpu`.

    Args:
        cpu: it; `traps` and `on_trap` of it are this object's until `release`.
        target: the points that there are.

    Attributes:
        hit: what has stopped it and was not told yet.
        has_stood_still: never: there is no other one that could have kept it from running.
    """

    has_stood_still = False

    def __init__(self, cpu: EmuCpu, target: EmuTarget) -> None:
        self.index = cpu.index
        self.hit: Hit | None = None
        self._cpu, self._target = cpu, target
        self._traps = Traps(cpu.engine)
        self._step = False
        cpu.traps, cpu.on_trap = self._traps, self._on_trap

    def release(self) -> None:
        """See `TargetCpu`."""
        self._cpu.traps = self._cpu.on_trap = None
        self._traps.release()

    @property
    def pc(self) -> int:
        """The linear address of its next instruction."""
        vcpu = self._cpu.vcpu
        return linear_pc(vcpu.get_regs(), vcpu.get_sregs())

    @property
    def is_runnable(self) -> bool:
        """Whether it does not halt."""
        return self._cpu.vcpu.get_mp_state() is MpState.RUNNABLE

    def point_here(self) -> Point | None:
        """The breakpoint at the instruction that it is about to execute."""
        if not self._target.points or not self.is_runnable:
            return None
        return self._target.breakpoint_at(self.pc)

    def note_point(self) -> None:
        """See `TargetCpu`."""
        point = self.point_here()
        if point is not None:
            self.hit = Hit("breakpoint", self.pc, point)

    def prepare(self, *, step: bool, lifted: Collection[Point] = ()) -> None:
        """See `TargetCpu`."""
        self.hit = None
        self._step = step
        points = [point for point in self._target.points if point not in lifted]
        self._traps.arm(
            breakpoints={point.address for point in points if point.is_breakpoint},
            watched=[_bytes_of(point) for point in points if not point.is_breakpoint],
            step=step,
        )

    def finish(self) -> None:
        """Note where it is: it stops between instructions only."""
        if self.hit is None and not self._step:
            self.note_point()

    def _on_trap(self) -> bool:
        pc = self.pc
        point = self._watchpoint_met(self._traps.seen)
        if point is not None:
            self.hit = Hit("watchpoint", pc, point)
        elif self._traps.is_step_done:
            self.hit = Hit("step", pc)
        elif self._traps.is_at_breakpoint:
            self.hit = Hit("breakpoint", pc, self._target.breakpoint_at(pc))
        return self.hit is not None

    def _watchpoint_met(self, seen: Collection[Seen]) -> Point | None:
        """The first one that an access was to, by the page tables as they are behind it."""
        for point in self._target.points if seen else ():
            if point.is_breakpoint:
                continue
            wanted = {"write": (True,), "read": (False,)}.get(point.kind, (True, False))
            accesses = [access for access in seen if access.is_write in wanted]
            if any(self._touches(access, point) for access in accesses):
                return point
        return None

    def _touches(self, access: Seen, point: Point) -> bool:
        room = PAGE_SIZE - access.address % PAGE_SIZE
        here = range(access.address, access.address + min(access.size, room))
        if self._overlaps(here, point.address, point.size):
            return True
        # the rest of it is at the beginning of the linear page behind the one it began in
        page = point.address & ~(PAGE_SIZE - 1)
        rest = access.size - len(here)
        if point.address - page >= rest:
            return False
        return self._overlaps(here, page - 1, 1)

    def _overlaps(self, physical: range, linear: int, size: int) -> bool:
        """Whether `size` bytes of one page at a linear address are some of `physical`."""
        gpa = self._target.linear.translate(self.index, linear % (1 << 64)).gpa
        return gpa is not None and gpa < physical.stop and physical.start < gpa + size


def _bytes_of(point: Point) -> range:
    return range(point.address, point.address + point.size)
