"""ACPI's fixed registers as the ICH9 has them: events, control, timer, and a power button.

There are no timers: the status follows the clock whenever the guest accesses a register (or the
machine calls `AcpiPm.poll`), and the interrupt line then.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pykvm.bus import Device
from pykvm.irq import IrqLine

# Registers, by their offsets.
STATUS = 0
ENABLE = 2
CONTROL = 4
TIMER = 8
LENGTH = 12

EVENT_LENGTH = 4
CONTROL_LENGTH = 2

# Bits of the status and the enable register (ACPI 6.0, tables 4-16 and 4-17).
TMR = 1 << 0
GBL = 1 << 5
PWRBTN = 1 << 8
RTC = 1 << 10
"""The clock's alarm as an event to wake up by.  There is nothing to wake up from, so it never
comes, as the FADT says; Linux enables it all the same, and looks whether it could."""
ENABLE_BITS = TMR | GBL | PWRBTN | RTC

# Bits of the control register (table 4-18).
SCI_EN = 1 << 0
BM_RLD = 1 << 1
SLP_TYP = 7 << 10
SLP_TYP_SHIFT = 10
SLP_EN = 1 << 13
CONTROL_BITS = BM_RLD | SLP_TYP

S5_SLEEP_TYPE = 0
"""The sleep type that switches off.  The ICH9's own is 7; this is what QEMU's has, and what
kernels that do not read \\_S5 write.  Nobody enters S0, whose type it would be, by SLP_EN."""

HZ = 3_579_545
TIMER_BITS = 24
NS = 1_000_000_000


class AcpiPm(Device):
    """PM1a status at offset 0, PM1a enable at 2, PM1a control at 4, the PM timer at 8.

    The machine is in ACPI mode from the start: SCI_EN always reads 1.  SLP_EN with S5's sleep
    type switches off; with any other it does nothing, as there are no such states.

    Args:
        sci: the system control interrupt; IRQ 9 on a PC.
        on_power_off: called when the guest switches the machine off.
        clock: a monotonic clock in nanoseconds; the timer starts from 0.

    Source: ACPI 6.0, 4.8.3.1 to 4.8.3.3.
    """

    name = "ACPI power management"
    width = 4

    def __init__(
        self,
        sci: IrqLine,
        *,
        on_power_off: Callable[[], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._sci = sci
        self._on_power_off = on_power_off
        self._clock = clock
        self._start = clock()
        self._half_turns = 0  # how often the timer's top bit had changed when last looked at
        self._status = 0
        self._enable = 0
        self._control = 0

    def press_power_button(self) -> None:
        """Press and release it: a kernel that listens shuts down, and switches off."""
        self._status |= PWRBTN
        self._drive()

    def poll(self) -> None:
        """Bring the status and the interrupt line up to date."""
        half_turns = self._ticks() >> (TIMER_BITS - 1)
        if half_turns > self._half_turns:
            self._half_turns = half_turns
            self._status |= TMR
        self._drive()

    def read(self, offset: int, size: int) -> int:
        """Bytes of the registers; those between and behind them read 0."""
        self.poll()
        registers = (
            self._status << 8 * STATUS
            | self._enable << 8 * ENABLE
            | (self._control | SCI_EN) << 8 * CONTROL
            | (self._ticks() & (1 << TIMER_BITS) - 1) << 8 * TIMER
        )
        return registers >> 8 * offset & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Clear the status bits written as 1, set the enable bits, or control; byte by byte."""
        self.poll()
        written = value << 8 * offset
        touched = (1 << 8 * size) - 1 << 8 * offset
        self._status &= ~(written >> 8 * STATUS)
        self._enable = _merge(self._enable, written, touched, ENABLE, ENABLE_BITS)
        self._control = _merge(self._control, written, touched, CONTROL, CONTROL_BITS)
        self._drive()
        sleeps = written >> 8 * CONTROL & SLP_EN
        if sleeps and (self._control & SLP_TYP) >> SLP_TYP_SHIFT == S5_SLEEP_TYPE:
            self._on_power_off()

    def _ticks(self) -> int:
        return (self._clock() - self._start) * HZ // NS

    def _drive(self) -> None:
        self._sci.set(bool(self._status & self._enable))


def _merge(old: int, written: int, touched: int, offset: int, writable: int) -> int:
    """A register at `offset` after a write: its `writable` bits that were touched are new."""
    mask = touched >> 8 * offset & writable
    return old & ~mask | written >> 8 * offset & mask
