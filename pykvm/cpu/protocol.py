"""What a machine needs of a processor, whoever plays it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pykvm.boot.state import BootState
    from pykvm.cpu.snapshot import CpuSnapshot
    from pykvm.kvm.vm import Vm


class Cpu(Protocol):
    """One processor of a machine."""

    index: int
    """Its number, from 0."""

    is_asleep: bool
    """Whether, when it last looked in this run, only another processor could have woken it."""

    keeps_time: bool
    """Whether devices look at their clocks at its ticks: the first of those that run."""

    def settle(self) -> None:
        """Finish the access that the guest was stopped at, so that another can be loaded."""

    def reset(self, vm: Vm) -> None:
        """Be as one made in `vm`, a new one with the same interrupt controllers, if it has run."""

    def load(self, state: BootState) -> None:
        """Take the registers of `state`."""

    def sleeps_for_ever(self) -> bool:
        """Whether only another processor can wake it, as it is now; not while it runs."""

    def run(self, start: int, deadline: int | None = None) -> None:
        """Run the guest until there is a word that the machine shall stop; it may be its own.

        Args:
            start: CLOCK_MONOTONIC in ns (`time.monotonic_ns`) at which the machine's run began.
            deadline: when to stop, likewise.

        Raises:
            GuestCrash: the guest cannot go on.
            RuntimeError: it is running already.
        """

    def kick(self) -> None:
        """Make a `run` under way look at the machine's stop request; from any thread."""

    def snapshot(self) -> CpuSnapshot:
        """The registers and the code at RIP, for people to read."""

    def close(self) -> None:
        """Give back what it holds.

        Raises:
            RuntimeError: it is running.
        """
