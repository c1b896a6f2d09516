"""A machine whose run loop is driven by hand."""

from __future__ import annotations

from pykvm.kvm.runloop import INTERRUPTED, PostedWrites
from pykvm.machine import Machine


class Bare:
    """A machine with 64 KiB of RAM, a processor, its loop and its routes."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.cpu = machine.cpus[0]
        self.loop = self.cpu.loop
        self.routes = machine.routes

    def load(self, code: bytes) -> None:
        """Put real-mode code at 0x1000 and the processor at it."""
        self.machine.load(code)

    def enter(self) -> int:
        """Run the loop until it says something else than "interrupted".

        The last tick of a machine that this thread ran before may be left, and interrupts once.
        """
        while (reason := self.loop.enter()) == INTERRUPTED:
            pass
        return reason

    def posted(self) -> list[PostedWrites]:
        """What is in the event log; it is empty then."""
        return list(self.loop.posted_writes())
