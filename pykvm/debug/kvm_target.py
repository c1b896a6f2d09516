"""A machine on KVM under the debugger: a `pykvm.debug.target.Target`."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from pykvm.debug.plan import Plan
from pykvm.debug.traced import Traced

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykvm.debug.linear import LinearMemory
    from pykvm.debug.points import Point
    from pykvm.machine import Machine


class KvmTarget:
    """Points in memory, in debug registers and in steps, as the host allows.

    Args:
        machine: it.

    Attributes:
        plan: where each point is.
        cpus: the processors.
    """

    def __init__(self, machine: Machine) -> None:
        self.plan = Plan(machine)
        self.cpus = [Traced(cpu, self.plan) for cpu in machine.kvm_cpus]

    @property
    def points(self) -> list[Point]:
        """See `Target`."""
        return self.plan.points

    @property
    def linear(self) -> LinearMemory:
        """Memory with the INT3 of breakpoints hidden."""
        return self.plan.linear

    def insert(self, point: Point) -> None:
        """See `Target`."""
        self.plan.insert(point)

    def remove(self, point: Point) -> None:
        """See `Target`."""
        self.plan.remove(point)

    def begin(self) -> None:
        """Take down values to compare."""
        self.plan.begin()

    @contextmanager
    def bare(self, processor: int, address: int) -> Iterator[None]:
        """Without the INT3 that is there, if one is."""
        patches = self.plan.patches
        gpa = self.plan.linear.gpa(processor, address)
        if gpa is None or patches.at(gpa) is None:
            yield
            return
        patches.lift(gpa)
        try:
            yield
        finally:
            patches.restore(gpa)
