"""The two 8259A of a PC, the second one on the first one's input 2."""

from __future__ import annotations

from collections.abc import Callable

from pykvm.bus import Device
from pykvm.devices.i8259 import I8259, ICW3_ID, LEVELS
from pykvm.irq import IrqLine

CASCADE = 2
"""The master's input that the slave is wired to."""

ALWAYS_EDGES = (0x07, 0x21)
"""Inputs that no chipset lets be level-triggered: the timer, the keyboard, the cascade, the
real-time clock and the numeric error (ICH9 datasheet, ELCR1 and ELCR2)."""

FLOATING = 0xFF
"""The vector of a slave that does not know itself meant."""


class EdgeLevelControl(Device):
    """The edge/level control registers: the master's at offset 0, the slave's at offset 1."""

    name = "edge/level control"

    def __init__(self, master: I8259, slave: I8259) -> None:
        self._chips = master, slave

    def read(self, offset: int, size: int) -> int:
        """A bit is set for each input that is level-triggered."""
        return self._chips[offset].level_triggered

    def write(self, offset: int, size: int, value: int) -> None:
        """Choose; inputs that must be edge-triggered stay so."""
        self._chips[offset].level_triggered = value & ~ALWAYS_EDGES[offset]


class I8259Pair:
    """Master and slave, the 15 interrupts into them, and the one line out.

    Args:
        on_service: called with the number (0 to 15, but for 2) of each interrupt that gets into
            service, by an acknowledgement or a poll, and True; when it gets out again, and False.

    Attributes:
        intr: asserted while the processor is to be interrupted.
        master, slave, edge_level: the devices.
    """

    def __init__(self, *, on_service: Callable[[int, bool], None] | None = None) -> None:
        self._on_service = on_service
        self.intr = IrqLine()
        self.master = I8259(self.intr, on_service=self._served)
        self.slave = I8259(
            IrqLine(lambda level: self.master.set_input(CASCADE, level)),
            on_service=lambda level, begins: self._served(LEVELS + level, begins),
        )
        self.edge_level = EdgeLevelControl(self.master, self.slave)

    def set_input(self, irq: int, asserted: bool) -> None:
        """Drive interrupt input `irq`, 0 to 15 but for 2, which is the slave's."""
        chip, level = self._input(irq)
        chip.set_input(level, asserted)

    def acknowledge(self) -> int:
        """The processor takes the interrupt: what its vector is, 0 to 255.

        If whoever asked has taken that back meanwhile, it is the spurious interrupt's: of the
        master's input 7 or, behind the master's input 2, of the slave's.
        """
        level, vector = self.master.acknowledge()
        if level is None or not self.master.cascade >> level & 1:
            return vector
        if level != CASCADE or self.slave.cascade & ICW3_ID != level:
            return FLOATING
        return self.slave.acknowledge()[1]

    def is_open(self, irq: int) -> bool:
        """Whether interrupt `irq` is not masked, in service or not."""
        chip, level = self._input(irq)
        return chip.is_open(level) and (chip is self.master or self.master.is_open(CASCADE))

    def may_interrupt(self) -> bool:
        """Whether any input, once asserted, would interrupt the processor as all is now."""
        others = (level for level in range(LEVELS) if level != CASCADE)
        return any(map(self.master.would_request, others)) or (
            self.master.would_request(CASCADE) and any(map(self.slave.would_request, range(LEVELS)))
        )

    def reset(self) -> None:
        """Be as after power-on; the inputs keep their levels."""
        self.slave.reset()
        self.master.reset()

    def _input(self, irq: int) -> tuple[I8259, int]:
        return (self.master if irq < LEVELS else self.slave), irq % LEVELS

    def _served(self, irq: int, begins: bool) -> None:
        if irq != CASCADE and self._on_service is not None:
            self._on_service(irq, begins)
