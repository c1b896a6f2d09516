"""The points that there are, and how the host lets each be watched for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.debug.debugregs import COUNT, DebugRegisters
from pykvm.debug.facilities import Facilities
from pykvm.debug.linear import LinearMemory
from pykvm.debug.patches import Patches
from pykvm.debug.points import check_point
from pykvm.errors import DebugError

if TYPE_CHECKING:
    from pykvm.debug.points import Point
    from pykvm.machine import Machine
    from pykvm.memory import Gpa


class Values:
    """Memory compared with what it was: how writes are found without debug registers.

    Args:
        linear: the machine's memory.
    """

    def __init__(self, linear: LinearMemory) -> None:
        self._linear = linear
        self._last: dict[Point, tuple[Gpa | None, bytes | None]] = {}

    def begin(self, points: list[Point]) -> None:
        """Take down where they are, and what is there, while no processor runs."""
        self._last = {
            point: self._look(point, self._linear.find(point.address)) for point in points
        }

    def changed(self, processor: int) -> list[Point]:
        """The points whose value is another one than when they were last looked at.

        Args:
            processor: not running; it says where those are that were not mapped at the beginning.
        """
        found = []
        for point, (gpa, last) in self._last.items():
            if gpa is None:
                self._last[point] = self._look(point, self._linear.gpa(processor, point.address))
                continue
            self._last[point] = self._look(point, gpa)
            if self._last[point][1] != last:
                found.append(point)
        return found

    def _look(self, point: Point, gpa: Gpa | None) -> tuple[Gpa | None, bytes | None]:
        return gpa, None if gpa is None else self._linear.read_physical(gpa, point.size)


class Plan:
    """Where each point is: in memory, in a debug register, or looked for after every step.

    Args:
        machine: what is debugged.

    Attributes:
        points: all of them.
        patches: those that are INT3 in memory.
        registers: those in debug registers.
        values: those whose memory is compared.
        linear: memory, with the patches hidden.
        facilities: what the host does.
        has_apics: whether a processor that halts sleeps in the kernel.
    """

    def __init__(self, machine: Machine) -> None:
        self.points: list[Point] = []
        self.patches = Patches(machine.memory)
        self.registers = DebugRegisters()
        self.linear = LinearMemory(machine, self.patches)
        self.values = Values(self.linear)
        self.facilities = Facilities(machine.vm)
        self.has_apics = machine.irqchip is not None
        self._stepped: list[Point] = []

    @property
    def has_breakpoints(self) -> bool:
        """Whether any point stops before an instruction."""
        return any(point.is_breakpoint for point in self.points)

    @property
    def by_steps(self) -> bool:
        """Whether processors must be stepped all the time."""
        return bool(self._stepped)

    def insert(self, point: Point) -> None:
        """Watch for `point` from now on; a point that is there stays.

        Raises:
            DebugError: there is no such point, no debug register left for it, or the host cannot.
        """
        check_point(point)
        if point in self.points:
            return
        if point.kind == "software":
            self._insert_software(point)
        elif point.kind == "hardware":
            self._insert_hardware(point, works=self.facilities.hardware)
        elif point.kind == "write":
            self._insert_hardware(point, works=self.facilities.watch)
        else:
            if not self.facilities.watch:
                raise DebugError(
                    f"this host has no debug registers for data, and steps show no reads: "
                    f'a "write" watchpoint at {point.address:#x} would work'
                )
            self._insert_hardware(point, works=True)
        self.points.append(point)

    def _insert_software(self, point: Point) -> None:
        """In memory; if the host, or the guest's page tables, do not allow that, elsewhere."""
        gpa = self.linear.find(point.address) if self.facilities.software else None
        if gpa is not None:
            self.patches.put(point, gpa)
        elif not (self.facilities.hardware and self.registers.take(point)):
            self._stepped.append(point)

    def _insert_hardware(self, point: Point, *, works: bool) -> None:
        if not works:
            self._stepped.append(point)
        elif not self.registers.take(point):
            self._make_room(point)
            self.registers.take(point)

    def _make_room(self, point: Point) -> None:
        """Have a software breakpoint give up the register that it was lent."""
        lent = [other for other in self.registers.points if other.kind == "software"]
        if not lent:
            raise DebugError(
                f"no debug register is left for a {point}: there are {COUNT}, take one away"
            )
        self.registers.give_back(lent[-1])
        self._stepped.append(lent[-1])

    def remove(self, point: Point) -> None:
        """Forget `point`; one that is not there is forgotten already."""
        if point not in self.points:
            return
        self.points.remove(point)
        self.patches.take(point)
        self.registers.give_back(point)
        if point in self._stepped:
            self._stepped.remove(point)

    def begin(self) -> None:
        """Take down values to compare, before the guest runs."""
        reads = [point for point in self.registers.points if point.kind == "read"]
        self.values.begin([p for p in self._stepped if not p.is_breakpoint] + reads)

    def software_at(self, processor: int, pc: int) -> Point | None:
        """The breakpoint in memory at what a processor has at linear address `pc`."""
        if not self.patches:
            return None
        gpa = self.linear.gpa(processor, pc)
        return None if gpa is None else self.patches.at(gpa)

    def stepped_at(self, pc: int) -> Point | None:
        """The breakpoint at linear address `pc` that steps must find."""
        for point in self._stepped:
            if point.is_breakpoint and point.address == pc:
                return point
        return None

    def breakpoint_at(self, processor: int, pc: int) -> Point | None:
        """The breakpoint, however it is watched for, at linear address `pc`."""
        for point in self.points:
            if point.is_breakpoint and point.address == pc:
                return point
        return self.software_at(processor, pc)
