"""The timer of a PC: an Intel 8254, three counters at 1.193182 MHz.

There is no thread: the counters are brought up to the clock whenever the guest accesses a port,
or whoever runs the machine calls `poll`, at the latest when `next_event` says.  All pulses since
are counted at once, so a guest that programs a fast rate makes nobody work more.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pykvm.bus import Device
from pykvm.devices.i8254_counter import RW_SHIFT, Counter
from pykvm.devices.timer_tick import TimerTick

CONTROL = 3
LENGTH = 4

HZ = 1_193_182
NS = 1_000_000_000

# The control word (figure 7) and, where it selects counter 3, the read-back command (figure 10).
SELECT_SHIFT = 6
READ_BACK = 3
KEEP_COUNT = 1 << 5
KEEP_STATUS = 1 << 4
COUNTERS_SHIFT = 1
LATCH = 0
RW_BITS = 3

SPEAKER = 2


class I8254(Device):
    """Counters 0 to 2 at offsets 0 to 2, the control word at 3.

    The gates of counters 0 and 1 are always high, as on a PC.

    Args:
        tick: what counter 0's output goes to.
        clock: a monotonic clock in nanoseconds.

    Source: Intel 8254 datasheet (231164).
    """

    name = "8254"

    def __init__(self, tick: TimerTick, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._tick = tick
        self._clock = clock
        self._start = clock()
        self._pulses = 0  # how many of them since then the counters have seen
        self._next_rise: int | None = None  # in pulses since then
        self._make_counters()

    def _make_counters(self) -> None:
        self._counters = Counter(), Counter(), Counter(gate=False)

    # The host's side.

    def poll(self) -> None:
        """Bring the counters up to the clock, and pass counter 0's ticks on."""
        pulses = (self._clock() - self._start) * HZ // NS - self._pulses
        if pulses <= 0:
            return
        self._pulses += pulses
        rises = self._counters[0].advance(pulses)
        for counter in self._counters[1:]:
            counter.advance(pulses)
        if rises:
            self._tick.tick(rises)
            self._look_ahead()

    def next_event(self) -> int | None:
        """When, on the clock, counter 0 ticks next; None if not by itself."""
        if self._next_rise is None:
            return None
        return self._start - (-self._next_rise * NS // HZ)

    def set_speaker_gate(self, level: bool) -> None:
        """Drive the gate of counter 2."""
        self.poll()
        self._counters[SPEAKER].set_gate(level)

    def speaker_output(self) -> bool:
        """The output of counter 2 now."""
        self.poll()
        return self._counters[SPEAKER].out

    def reset(self) -> None:
        """Be as after power-on, but for the gate of counter 2, which is its driver's."""
        gate = self._counters[SPEAKER].gate
        self._make_counters()
        self._counters[SPEAKER].set_gate(gate)
        self._next_rise = None
        self._tick.forget(asserted=False)

    # The guest's side.

    def read(self, offset: int, size: int) -> int:
        """A byte of a counter or of what is latched; the control word cannot be read."""
        self.poll()
        if offset == CONTROL:
            return super().read(offset, size)
        return self._counters[offset].read()

    def write(self, offset: int, size: int, value: int) -> None:
        """A byte of a count, or a control word: a mode, a latch or a read-back command."""
        self.poll()
        timer = self._counters[0]
        was_high = timer.out
        if offset != CONTROL:
            self._counters[offset].write(value)
        else:
            offset = value >> SELECT_SHIFT
            if offset == READ_BACK:
                self._read_back(value)
                return
            if value >> RW_SHIFT & RW_BITS == LATCH:
                self._counters[offset].latch_count()
                return
            self._counters[offset].program(value)
        if offset == 0:
            self._tick.forget(asserted=timer.out)
            if timer.out and not was_high:
                self._tick.tick(1)
            self._look_ahead()

    def _read_back(self, value: int) -> None:
        for number, counter in enumerate(self._counters):
            if value >> COUNTERS_SHIFT + number & 1:
                if not value & KEEP_COUNT:
                    counter.latch_count()
                if not value & KEEP_STATUS:
                    counter.latch_status()

    def _look_ahead(self) -> None:
        rise = self._counters[0].next_rise()
        self._next_rise = None if rise is None else self._pulses + rise
