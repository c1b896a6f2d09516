"""The reset control register, port 0xCF9: how chipsets since the PIIX reset the machine."""

from __future__ import annotations

from collections.abc import Callable

from pykvm.bus import Device

SYS_RST = 1 << 1
RST_CPU = 1 << 2
FULL_RST = 1 << 3
BITS = SYS_RST | RST_CPU | FULL_RST

HARD_RESET = SYS_RST | RST_CPU
"""What a kernel writes to reset the whole machine, not the processor alone."""


class ResetControl(Device):
    """RST_CPU resets when it goes from 0 to 1; the other two bits say how thoroughly.

    SYS_RST makes it a hard reset, after which the register is 0; FULL_RST adds a power cycle.
    All three read back, the other bits are 0 (ICH9 datasheet, RST_CNT).

    Args:
        on_reset: called on a reset of either kind.
    """

    name = "reset control"

    def __init__(self, *, on_reset: Callable[[], None]) -> None:
        self._on_reset = on_reset
        self._latch = 0

    def read(self, offset: int, size: int) -> int:
        """What was written since the last hard reset."""
        return self._latch

    def write(self, offset: int, size: int, value: int) -> None:
        """Choose the kind of reset, and reset on RST_CPU's rising edge."""
        rising = value & ~self._latch
        self._latch = value & BITS
        if rising & RST_CPU:
            if value & SYS_RST:
                self._latch = 0
            self._on_reset()
