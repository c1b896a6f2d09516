"""The ports through which the BIOS's stubs enter Python."""

from __future__ import annotations

from collections.abc import Callable

from pykvm.bios.stubs import VECTORS
from pykvm.bus import Device

PORTS = 16
"""Of which those beyond `stubs.VECTORS` do nothing."""


class TrapPorts(Device):
    """One port for each interrupt that is served in Python, in the order of `stubs.VECTORS`.

    It knows no processor: its owner, who knows which one is being dispatched, reads that one's
    registers, calls `Bios.interrupt`, and writes them back.  That happens within the write, thus
    before the processor goes on.

    Args:
        on_trap: called with the interrupt's number.
    """

    name = "BIOS services"

    def __init__(self, on_trap: Callable[[int], None]) -> None:
        self._on_trap = on_trap

    def write(self, offset: int, size: int, value: int) -> None:
        """Whatever is written: call the service."""
        if offset < len(VECTORS):
            self._on_trap(VECTORS[offset])
