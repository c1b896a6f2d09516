"""The real-time clock and CMOS RAM of a PC: an MC146818A behind an index and a data port.

There are no timers: the flags of register C are worked out from the clock whenever the guest
accesses the data port (or the machine calls `Cmos.poll`), and the interrupt line follows then.
So a periodic rate faster than the machine polls, which is each 10 ms, gives one interrupt for all
the periods since the last look: a guest that asks for 8192 Hz and only waits gets some 100.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from pykvm.bus import Device
from pykvm.devices.rtc_calendar import UNIX_EPOCH, Moment, advance, alarm_within
from pykvm.irq import IrqLine
from pykvm.layout import KIB, MIB

INDEX = 0
DATA = 1
NMI_MASKED = 1 << 7

SIZE = 128

# Registers of the MC146818A.
SECONDS = 0x00
SECONDS_ALARM = 0x01
MINUTES = 0x02
MINUTES_ALARM = 0x03
HOURS = 0x04
HOURS_ALARM = 0x05
WEEKDAY = 0x06
DAY = 0x07
MONTH = 0x08
YEAR = 0x09
REGISTER_A = 0x0A
REGISTER_B = 0x0B
REGISTER_C = 0x0C
REGISTER_D = 0x0D
CENTURY = 0x32
"""Not the chip's: where PC firmware keeps the century, and updates it like the year."""

A_UIP = 1 << 7
A_DIVIDER_RESET = 0x60
A_RATE = 0x0F
A_AT_START = 0x26  # 32.768 kHz time base, 1024 Hz periodic rate
B_SET = 1 << 7
B_UIE = 1 << 4
B_INTERRUPTS = 0x70
"""Periodic, alarm and update-ended: who enables none is not interrupted."""
B_BINARY = 1 << 2
B_24_HOURS = 1 << 1
C_IRQF = 1 << 7
C_PF = 1 << 6
C_AF = 1 << 5
C_UF = 1 << 4
D_VALID_RAM = 1 << 7

HOURS_PM = 1 << 7
ANY = 0xC0
"""An alarm register with both top bits set matches any time."""

NS = 1_000_000_000
UIP_NS = 244_000
"""How long before an update UIP is set (MC146818A datasheet, table 6)."""

CRYSTAL_HZ = 32768

_FIELDS = {
    SECONDS: "second",
    MINUTES: "minute",
    HOURS: "hour",
    WEEKDAY: "weekday",
    DAY: "day",
    MONTH: "month",
    YEAR: "year",
    CENTURY: "year",
}


def _is_ram(register: int) -> bool:
    """Whether it is a byte that the clock has nothing to do with."""
    return register > REGISTER_D and register != CENTURY


class Cmos(Device):
    """The index port at offset 0, the data port at offset 1.

    Args:
        irq: the clock's interrupt; IRQ 8 on a PC.
        ram_below_4g: bytes of RAM below 4 GiB, for firmware's memory size bytes.
        ram_above_4g: bytes of RAM from 4 GiB on.
        clock: the time now, in nanoseconds since the Unix epoch, UTC; the guest's clock starts
            with it and keeps its distance from it when the guest sets the time.
    """

    name = "RTC and CMOS RAM"

    def __init__(
        self,
        irq: IrqLine,
        *,
        ram_below_4g: int,
        ram_above_4g: int = 0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._irq = irq
        self._clock = clock
        self._index = 0
        self._ram = bytearray(SIZE)
        self._ram[REGISTER_A] = A_AT_START
        self._ram[REGISTER_B] = B_24_HOURS
        self._ram[REGISTER_D] = D_VALID_RAM
        store_memory_size(self._ram, ram_below_4g, ram_above_4g)
        self._flags = 0
        self._phase = 0  # ns from the host's seconds to the guest's
        self._seen = clock()  # until when the flags are worked out
        self._base = self._seen // NS  # the second at which the counters held _moment
        self._moment = advance(UNIX_EPOCH, self._base)

    @property
    def nmi_masked(self) -> bool:
        """Bit 7 of the index port, which on a PC keeps NMIs from the processor."""
        return bool(self._index & NMI_MASKED)

    def poll(self) -> None:
        """Bring the interrupt line up to date."""
        if self._ram[REGISTER_B] & B_INTERRUPTS:
            self._catch_up(self._clock())

    def read(self, offset: int, size: int) -> int:
        """The register or RAM byte at the index; the index port itself is write-only."""
        if offset != DATA:
            return super().read(offset, size)
        register = self._index & ~NMI_MASKED
        if _is_ram(register):
            return self._ram[register]
        now = self._clock()
        self._catch_up(now)
        if register in _FIELDS:
            return self._encode(register, self._now(now))
        if register == REGISTER_A:
            return self._ram[register] | (A_UIP if self._updates_soon(now) else 0)
        if register == REGISTER_C:
            value = self._flags_with_irqf()
            self._flags = 0
            self._irq.set(False)
            return value
        return self._ram[register]

    def write(self, offset: int, size: int, value: int) -> None:
        """Set the index with the NMI mask, or write the register or RAM byte at the index."""
        if offset == INDEX:
            self._index = value
        if offset != DATA:
            return
        register = self._index & ~NMI_MASKED
        if _is_ram(register):
            self._ram[register] = value
            return
        now = self._clock()
        self._catch_up(now)
        if register in _FIELDS:
            self._moment = self._decode(register, value, self._now(now))
            self._base = self._second(now)
        elif register in (REGISTER_A, REGISTER_B):
            self._control(register, value, now)
        elif register not in (REGISTER_C, REGISTER_D):
            self._ram[register] = value

    # Time.

    def _second(self, now: int) -> int:
        return (now + self._phase) // NS

    def _divider_reset(self) -> bool:
        return self._ram[REGISTER_A] & A_DIVIDER_RESET == A_DIVIDER_RESET

    def _stopped(self) -> bool:
        return bool(self._ram[REGISTER_B] & B_SET) or self._divider_reset()

    def _now(self, now: int) -> Moment:
        """The counters at `now`."""
        if self._stopped():
            return self._moment
        return advance(self._moment, self._second(now) - self._base)

    def _updates_soon(self, now: int) -> bool:
        return not self._stopped() and (now + self._phase) % NS >= NS - UIP_NS

    def _control(self, register: int, value: int, now: int) -> None:
        """Write register A or B; the counters go on from where they are."""
        self._moment = self._now(now)
        was_reset = self._divider_reset()
        if register == REGISTER_A:
            value &= ~A_UIP
        elif value & B_SET:
            value &= ~B_UIE
        self._ram[register] = value
        if was_reset and not self._divider_reset():
            self._phase = NS // 2 - now  # the first update comes half a second later
        self._base = self._second(now)
        self._irq.set(bool(self._flags_with_irqf() & C_IRQF))

    # Register C.

    def _catch_up(self, now: int) -> None:
        """Set the flags for what happened since the last time, and the interrupt line."""
        seen, self._seen = self._seen, now
        if now <= seen:
            return
        if not self._divider_reset() and self._periods(now) != self._periods(seen):
            self._flags |= C_PF
        updates = self._second(now) - self._second(seen)
        if updates > 0 and not self._stopped():
            self._flags |= C_UF
            if alarm_within(self._now(seen).second_of_day, updates, *self._alarm()):
                self._flags |= C_AF
        self._irq.set(bool(self._flags_with_irqf() & C_IRQF))

    def _flags_with_irqf(self) -> int:
        """Register C: its flags are in the places of their enable bits in register B."""
        return self._flags | (C_IRQF if self._flags & self._ram[REGISTER_B] else 0)

    def _periods(self, now: int) -> int:
        """A count of the periodic rate's periods; rates 1 and 2 repeat 8 and 9."""
        rate = self._ram[REGISTER_A] & A_RATE
        if rate == 0:
            return 0
        crystal_cycles = 1 << ((rate + 7 if rate < 3 else rate) - 1)
        return (now + self._phase) * CRYSTAL_HZ // (NS * crystal_cycles)

    def _alarm(self) -> tuple[int | None, int | None, int | None]:
        hour, minute, second = (self._ram[i] for i in (HOURS_ALARM, MINUTES_ALARM, SECONDS_ALARM))
        return (
            None if hour >= ANY else self._hour_in(hour),
            None if minute >= ANY else self._number_in(minute),
            None if second >= ANY else self._number_in(second),
        )

    # The formats that register B chooses.

    def _number_in(self, value: int) -> int:
        if self._ram[REGISTER_B] & B_BINARY:
            return value
        return (value >> 4) * 10 + (value & 0xF)

    def _number_out(self, value: int) -> int:
        if self._ram[REGISTER_B] & B_BINARY:
            return value & 0xFF
        return value // 10 % 10 << 4 | value % 10

    def _hour_in(self, value: int) -> int:
        if self._ram[REGISTER_B] & B_24_HOURS:
            return self._number_in(value)
        return self._number_in(value & ~HOURS_PM) % 12 + (12 if value & HOURS_PM else 0)

    def _hour_out(self, hour: int) -> int:
        if self._ram[REGISTER_B] & B_24_HOURS:
            return self._number_out(hour)
        return self._number_out((hour - 1) % 12 + 1) | (HOURS_PM if hour >= 12 else 0)

    def _encode(self, register: int, moment: Moment) -> int:
        if register == HOURS:
            return self._hour_out(moment.hour)
        if register == YEAR:
            return self._number_out(moment.year % 100)
        if register == CENTURY:
            return self._number_out(moment.year // 100)
        value: int = getattr(moment, _FIELDS[register])
        return self._number_out(value)

    def _decode(self, register: int, value: int, moment: Moment) -> Moment:
        number = self._hour_in(value) if register == HOURS else self._number_in(value)
        if register == YEAR:
            number += moment.year // 100 * 100
        elif register == CENTURY:
            number = number * 100 + moment.year % 100
        return moment._replace(**{_FIELDS[register]: number})


def store_memory_size(ram: bytearray, below_4g: int, above_4g: int) -> None:
    """Write the memory size bytes that PC firmware reads, each as large as its field allows.

    0x15: KiB below 640 KiB.  0x17 and 0x30: KiB above 1 MiB.  0x34: 64 KiB units above 16 MiB.
    0x5B (three bytes, QEMU's and Bochs's): 64 KiB units above 4 GiB.
    """

    def put(at: int, length: int, value: int) -> None:
        value = min(max(value, 0), (1 << 8 * length) - 1)
        ram[at : at + length] = value.to_bytes(length, "little")

    put(0x15, 2, min(below_4g // KIB, 640))
    put(0x17, 2, (below_4g - MIB) // KIB)
    put(0x30, 2, (below_4g - MIB) // KIB)
    put(0x34, 2, (below_4g - 16 * MIB) // (64 * KIB))
    put(0x5B, 3, above_4g // (64 * KIB))
    # The AT's checksum of 0x10 to 0x2D, high byte first.
    ram[0x2E:0x30] = sum(ram[0x10:0x2E]).to_bytes(2, "big")
