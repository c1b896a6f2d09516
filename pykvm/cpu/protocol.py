"""What a machine needs of a processor, whoever plays it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pykvm.boot.state import BootState
    from pykvm.cpu.snapshot import CpuSnapshot
    from pykvm.cpu.stop import Stop


class Cpu(Protocol):
    """One processor of a machine."""

    index: int
    """Its number, from 0."""

    def settle(self) -> None:
        """Finish the access that the guest was stopped at, so that another can be loaded."""

    def load(self, state: BootState) -> None:
        """Take the registers of `state`; what it does not name is as in a new processor."""

    def run(self, deadline: int | None = None, max_exits: int | None = None) -> Stop:
        """Run the guest until it stops.

        Args:
            deadline: CLOCK_MONOTONIC in ns (`time.monotonic_ns`) at which to stop.
            max_exits: how many exits may be taken.

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
