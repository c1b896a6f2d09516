"""A machine as the debugger sees it, whoever plays it: points to be met, processors that meet them.

`kvm_target.py` has KVM's, which stands on what the host does; `emu_target.py` the emulator's, which
looks before each instruction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from contextlib import AbstractContextManager

    from pykvm.debug.linear import LinearMemory
    from pykvm.debug.points import Point
    from pykvm.machine import Machine


class Hit(NamedTuple):
    """What has stopped a processor; `address` is its next instruction's.

    A `kind` of an `Event`, or "halted": HLT, on a machine where any HLT ends the run.
    """

    kind: str
    address: int
    point: Point | None = None


class TargetCpu(Protocol):
    """A processor under the debugger."""

    hit: Hit | None
    """What has stopped it and was not told yet."""

    @property
    def index(self) -> int:
        """Its number."""

    @property
    def pc(self) -> int:
        """The linear address of its next instruction."""

    @property
    def is_runnable(self) -> bool:
        """Whether it neither halts nor waits to be started."""

    @property
    def has_stood_still(self) -> bool:
        """Whether it could have gone on when it last ran, but is where it was."""

    def point_here(self) -> Point | None:
        """The breakpoint at the instruction that it is about to execute."""

    def note_point(self) -> None:
        """Take it for a hit if it has come to a breakpoint, whose instruction it has not begun."""

    def prepare(self, *, step: bool, lifted: Collection[Point] = ()) -> None:
        """Say what shall stop it, before it runs.

        It need not run where there is a `hit` already.

        Args:
            step: one instruction does, without interrupts where they can be held back.
            lifted: points without effect for now.
        """

    def finish(self) -> None:
        """Finish what it was in the middle of when it stopped, and note where that has led it."""

    def release(self) -> None:
        """Let the processor run as if it had never been debugged."""


class Target(Protocol):
    """A machine under the debugger.

    Of the processors, none runs while anything here is called.
    """

    @property
    def points(self) -> Sequence[Point]:
        """What is to be met, in the order it was inserted."""

    @property
    def linear(self) -> LinearMemory:
        """Memory as the guest has it, without anything of the debugger's."""

    @property
    def cpus(self) -> Sequence[TargetCpu]:
        """The processors, by their numbers."""

    def insert(self, point: Point) -> None:
        """Have `point` met from now on; one that is there stays.

        Raises:
            DebugError: there is no such point, or none can be had.
        """

    def remove(self, point: Point) -> None:
        """Forget `point`; one that is not there is forgotten already."""

    def begin(self) -> None:
        """The guest is about to run."""

    def bare(self, processor: int, address: int) -> AbstractContextManager[None]:
        """Have the instruction at a linear address be the guest's own, to be stepped over."""


def open_target(machine: Machine) -> Target:
    """The machine under the debugger, by who plays it."""
    if machine.accelerator.name == "kvm":
        from pykvm.debug.kvm_target import KvmTarget

        return KvmTarget(machine)
    from pykvm.debug.emu_target import EmuTarget

    return EmuTarget(machine)
