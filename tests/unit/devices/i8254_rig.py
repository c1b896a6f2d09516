"""A timer on a clock that the test moves."""

from __future__ import annotations

from pykvm.devices.i8254 import HZ, I8254, NS
from pykvm.devices.timer_tick import TimerTick
from pykvm.irq import IrqLine

LSB, MSB, BOTH = 0x10, 0x20, 0x30
COUNTER_2 = 0x80
BCD = 0x01
CONTROL = 3


def mode(number: int) -> int:
    """A mode's bits in the control word."""
    return number << 1


class Rig:
    """A timer on a clock that the test moves, whose ticks are taken at once unless told not to."""

    def __init__(self) -> None:
        self.now = 0
        self.ticks = 0
        self.takes = self.is_open = True
        self.line = IrqLine(self._on_line)
        self.tick = TimerTick(self.line, is_open=lambda: self.is_open, clock=lambda: self.now)
        self.pit = I8254(self.tick, clock=lambda: self.now)
        self.pit.set_speaker_gate(True)

    def _on_line(self, level: bool) -> None:
        if level and self.takes:
            self.take()

    def take(self) -> None:
        self.ticks += 1
        self.tick.serve(begins=True)
        self.tick.serve(begins=False)

    def pulses(self, number: int) -> None:
        """Let that many pulses of CLK pass."""
        pulse = self.now * HZ // NS + number
        self.now = -(-pulse * NS // HZ)
        self.poll()

    def poll(self) -> None:
        """Look at the clock, and pass on what is owed if it is taken."""
        self.pit.poll()
        while self.takes and self.tick.owed:
            self.tick.poll()

    def out(self, offset: int, *values: int) -> None:
        for value in values:
            self.pit.write(offset, 1, value)

    def inp(self, offset: int) -> int:
        return self.pit.read(offset, 1)

    def word(self, counter: int = 2) -> int:
        """A whole count, by reading twice."""
        return self.inp(counter) | self.inp(counter) << 8

    def status(self, counter: int = 2) -> int:
        self.out(CONTROL, 0xE0 | 2 << counter)
        return self.inp(counter)

    def trace(self, number: int) -> list[tuple[int, bool]]:
        """Count and output of counter 2 behind each of some pulses."""
        seen = []
        for _ in range(number):
            self.pulses(1)
            seen.append((self.word(), self.pit.speaker_output()))
        return seen

    def program(self, number: int, count: int, flags: int = 0) -> None:
        """Counter 2 in a mode, by two bytes."""
        self.out(CONTROL, COUNTER_2 | BOTH | mode(number) | flags)
        self.out(2, count & 0xFF, count >> 8)
