"""What interrupts a PC without APICs: two 8259A, an 8254, and port 0x61, wired to each other.

Nothing in here knows who plays the processor.  Who does asks `intr` before the guest goes on, takes
vectors from `acknowledge`, and calls `poll` by the time that `next_event` says.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pykvm import layout
from pykvm.bus import Bus
from pykvm.devices.i8254 import I8254
from pykvm.devices.i8254 import LENGTH as PIT_LENGTH
from pykvm.devices.i8259_pair import I8259Pair
from pykvm.devices.speaker import Speaker
from pykvm.devices.timer_tick import TimerTick
from pykvm.irq import IrqLine


class IsaInterrupts:
    """The controllers, the timer and the speaker's port.

    Args:
        clock: a monotonic clock in nanoseconds.

    Attributes:
        pics, pit, speaker: the devices.
        intr: asserted while the processor is to be interrupted.
    """

    def __init__(self, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self.pics = I8259Pair(on_service=self._on_service)
        self.intr = self.pics.intr
        timer = IrqLine(lambda level: self.pics.set_input(layout.TIMER_IRQ, level))
        self._tick = TimerTick(
            timer, is_open=lambda: self.pics.is_open(layout.TIMER_IRQ), clock=clock
        )
        self.pit = I8254(self._tick, clock=clock)
        self.speaker = Speaker(
            timer2=self.pit.speaker_output, on_gate=self.pit.set_speaker_gate, clock=clock
        )

    def attach(self, ports: Bus) -> None:
        """Attach all of them, where a PC has them."""
        ports.attach(layout.PIC, 2, self.pics.master)
        ports.attach(layout.PIC2, 2, self.pics.slave)
        ports.attach(layout.ELCR, 2, self.pics.edge_level)
        ports.attach(layout.PIT, PIT_LENGTH, self.pit)
        ports.attach(layout.SPEAKER, 1, self.speaker)

    def set_input(self, irq: int, asserted: bool) -> None:
        """Drive an interrupt line, 0 to 15: 0 and 2 are taken, and lead nowhere from outside."""
        if irq not in (layout.TIMER_IRQ, layout.CASCADE_IRQ):
            self.pics.set_input(irq, asserted)

    def acknowledge(self) -> int:
        """The processor takes the interrupt: its vector, 0 to 255."""
        return self.pics.acknowledge()

    def poll(self) -> None:
        """Bring the timer up to the clock, and pass its ticks on."""
        self.pit.poll()
        self._tick.poll()

    def next_event(self) -> int | None:
        """When, on the clock, `poll` is to be called next; None if not by itself."""
        tick, late_tick = self.pit.next_event(), self._tick.next_event()
        if tick is None or late_tick is None:
            return tick if late_tick is None else late_tick
        return min(tick, late_tick)

    def may_interrupt(self) -> bool:
        """Whether some line, once asserted, would interrupt the processor as all is now."""
        return self.pics.may_interrupt()

    def reset(self) -> None:
        """Be as after power-on; lines from outside keep their levels."""
        self.pics.reset()
        self.speaker.write(0, 1, 0)
        self.pit.reset()

    def _on_service(self, irq: int, begins: bool) -> None:
        if irq == layout.TIMER_IRQ:
            self._tick.serve(begins=begins)
