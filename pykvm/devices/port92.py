"""System control port A, 0x92: the PS/2's fast ways to the A20 gate and to a reset."""

from __future__ import annotations

from collections.abc import Callable

from pykvm.bus import Device
from pykvm.devices.a20 import A20Gate

FAST_RESET = 1 << 0
A20 = 1 << 1


class Port92(Device):
    """Bit 0 resets the machine when it goes from 0 to 1; bit 1 is the A20 gate.

    The other bits (lock, watchdog, lamps on a PS/2) keep what is written and do nothing.

    Args:
        on_reset: called on a reset.
        a20: the machine's A20 gate; bit 1 reads its state, whoever set it.  None for one of its
            own.
    """

    name = "system control port A"

    def __init__(self, *, on_reset: Callable[[], None], a20: A20Gate | None = None) -> None:
        self._a20 = A20Gate() if a20 is None else a20
        self._on_reset = on_reset
        self._latch = 0

    def read(self, offset: int, size: int) -> int:
        """What was written, with the A20 gate's state in bit 1."""
        return self._latch | (A20 if self._a20.enabled else 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Set the A20 gate, and reset the machine on bit 0's rising edge."""
        rising = value & ~self._latch
        self._latch = value & ~A20
        self._a20.set(bool(value & A20))
        if rising & FAST_RESET:
            self._on_reset()
