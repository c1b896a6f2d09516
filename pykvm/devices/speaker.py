"""Port 0x61 of a PC: the speaker, the gate of timer 2, and two bits that count time.

KVM's in-kernel 8254 can answer this port itself; this device is for machines where it does not.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pykvm.bus import Device
from pykvm.x86 import PIT_HZ, PIT_LARGEST

TIM_CNT2_EN = 1 << 0
SPKR_DAT_EN = 1 << 1
REF_TOGGLE = 1 << 4
TMR2_OUT_STS = 1 << 5
WRITABLE = 0x0F
"""With the two bits that mask NMIs from SERR# and IOCHK#, which never come."""

REFRESH_DIVISOR = 18
"""Timer 1 asks for a memory refresh every 15 us; REF_TOGGLE changes each time."""

NS = 1_000_000_000


class Speaker(Device):
    """The NMI status and control register of the ICH9 (datasheet, NMI_SC).

    Args:
        timer2: the output of the 8254's timer 2 now.  Without one, the device plays that timer as
            a BIOS leaves it: a square wave of 18.2 Hz (mode 3, divisor 65536), high while its
            gate is low, and starting anew when that rises (8254 datasheet, mode 3).
        on_gate: called with the new level of timer 2's gate on each change.
        clock: a monotonic clock in nanoseconds.
    """

    name = "speaker"

    def __init__(
        self,
        *,
        timer2: Callable[[], bool] | None = None,
        on_gate: Callable[[bool], None] | None = None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._timer2 = timer2
        self._on_gate = on_gate
        self._clock = clock
        self._latch = 0
        self._gate_rose = 0

    def reset(self) -> None:
        """Be as after power-on: silent, the gate low."""
        self.write(0, 1, 0)

    @property
    def sounding(self) -> bool:
        """Whether timer 2's square wave reaches the speaker."""
        return self._latch & (TIM_CNT2_EN | SPKR_DAT_EN) == TIM_CNT2_EN | SPKR_DAT_EN

    def read(self, offset: int, size: int) -> int:
        """What was written, REF_TOGGLE and timer 2's output."""
        now = self._clock()
        output = self._square_wave(now) if self._timer2 is None else self._timer2()
        refreshes = now * PIT_HZ // (REFRESH_DIVISOR * NS)
        return self._latch | (REF_TOGGLE if refreshes & 1 else 0) | (TMR2_OUT_STS if output else 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """Set the gate of timer 2, the speaker and the NMI masks; the other bits are read-only."""
        changed = (value ^ self._latch) & TIM_CNT2_EN
        self._latch = value & WRITABLE
        if changed:
            self._gate_rose = self._clock()
            if self._on_gate is not None:
                self._on_gate(bool(value & TIM_CNT2_EN))

    def _square_wave(self, now: int) -> bool:
        if not self._latch & TIM_CNT2_EN:
            return True
        ticks = (now - self._gate_rose) * PIT_HZ // NS
        return ticks % PIT_LARGEST < PIT_LARGEST // 2
