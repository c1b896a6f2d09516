"""INT 1Ah: the tick count and the real-time clock.

Sources: IBM PC AT Technical Reference, "BIOS listing" (TIME_OF_DAY); Ralf Brown's Interrupt List,
INT 1Ah; MC146818A datasheet for the clock's registers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pykvm.bios import bda as field
from pykvm.devices.cmos import (
    B_SET,
    CENTURY,
    DAY,
    HOURS,
    MINUTES,
    MONTH,
    REGISTER_B,
    SECONDS,
    YEAR,
)
from pykvm.layout import CMOS
from pykvm.x86 import PIT_HZ, PIT_LARGEST

if TYPE_CHECKING:
    from pykvm.bios.bda import Bda
    from pykvm.bios.call import Call
    from pykvm.bios.ports import Ports

NS = 1_000_000_000
TICKS_PER_DAY = 0x18_00B0
B_DAYLIGHT_SAVING = 1 << 0
READINGS = 3
"""How often the clock is read at most for two readings that agree."""


def ticks_in(ns: int) -> int:
    """How often the timer ticks in a time, at 1193182 / 65536 Hz."""
    return ns * PIT_HZ // (PIT_LARGEST * NS)


class Clock:
    """The services.

    Args:
        bda: the BIOS data area, where the tick count is.
        ports: the port bus, with the real-time clock on it.
        monotonic: in ns.
        interrupts: the guest counts ticks itself, in IRQ 0's stub; else they are worked out from
            `monotonic` whenever `count` is called.
    """

    def __init__(
        self, bda: Bda, ports: Ports, *, monotonic: Callable[[], int], interrupts: bool
    ) -> None:
        self._bda = bda
        self._ports = ports
        self._monotonic = monotonic
        self._interrupts = interrupts
        self._start = monotonic()
        self._counted = 0  # ticks since then that are in the guest's count
        self._functions = {
            0x00: self._get_ticks,
            0x01: self._set_ticks,
            0x02: self._get_time,
            0x03: self._set_time,
            0x04: self._get_date,
            0x05: self._set_date,
        }

    def power_on(self) -> int:
        """The tick count to begin with, by the real-time clock; counting begins now."""
        self._start, self._counted = self._monotonic(), 0
        if self._cmos(REGISTER_B) & B_SET:
            return 0  # it stands, or is not there
        hour, minute, second = (_from_bcd(self._cmos(r)) for r in (HOURS, MINUTES, SECONDS))
        seconds = hour * 3600 + minute * 60 + second
        return min(ticks_in(seconds * NS), TICKS_PER_DAY - 1)

    def count(self) -> None:
        """Bring the tick count up to date, where no interrupt does."""
        if self._interrupts:
            return
        total = ticks_in(self._monotonic() - self._start)
        new, self._counted = total - self._counted, total
        if new <= 0:
            return
        days, ticks = divmod(self._bda.dword(field.TICKS) + new, TICKS_PER_DAY)
        self._bda.set_dword(field.TICKS, ticks)
        if days:
            self._bda.set_byte(field.MIDNIGHT, 1)

    def interrupt(self, call: Call) -> None:
        """INT 1Ah, by AH; CF set for what is not there, as alarms and PCI."""
        function = self._functions.get(call.registers.ah)
        if function is None:
            call.set_carry(True)
        else:
            function(call)

    def _get_ticks(self, call: Call) -> None:
        r = call.registers
        ticks = self._bda.dword(field.TICKS)
        r.cx, r.dx = ticks >> 16, ticks & 0xFFFF
        r.al = self._bda.byte(field.MIDNIGHT)
        self._bda.set_byte(field.MIDNIGHT, 0)

    def _set_ticks(self, call: Call) -> None:
        r = call.registers
        self._bda.set_dword(field.TICKS, r.cx << 16 | r.dx)
        self._bda.set_byte(field.MIDNIGHT, 0)

    def _get_time(self, call: Call) -> None:
        r = call.registers
        reading = self._reading(HOURS, MINUTES, SECONDS)
        call.set_carry(reading is None)
        if reading is not None:
            r.ch, r.cl, r.dh = reading
            r.dl = self._cmos(REGISTER_B) & B_DAYLIGHT_SAVING

    def _set_time(self, call: Call) -> None:
        r = call.registers
        saving = r.dl & B_DAYLIGHT_SAVING
        self._set({HOURS: r.ch, MINUTES: r.cl, SECONDS: r.dh}, B_DAYLIGHT_SAVING, saving)
        call.set_carry(False)

    def _get_date(self, call: Call) -> None:
        r = call.registers
        reading = self._reading(CENTURY, YEAR, MONTH, DAY)
        call.set_carry(reading is None)
        if reading is not None:
            r.ch, r.cl, r.dh, r.dl = reading

    def _set_date(self, call: Call) -> None:
        r = call.registers
        self._set({CENTURY: r.ch, YEAR: r.cl, MONTH: r.dh, DAY: r.dl})
        call.set_carry(False)

    def _reading(self, *registers: int) -> list[int] | None:
        """Registers of one moment; None if the clock stands or is not there."""
        if self._cmos(REGISTER_B) & B_SET:
            return None
        reading = [self._cmos(register) for register in registers]
        for _ in range(READINGS - 1):
            before, reading = reading, [self._cmos(register) for register in registers]
            if before == reading:
                break
        return reading

    def _set(self, values: dict[int, int], flags: int = 0, flags_set: int = 0) -> None:
        """Store registers while the clock stands, and then bits of register B."""
        control = self._cmos(REGISTER_B) & ~(B_SET | flags) | flags_set
        self._store(REGISTER_B, control | B_SET)
        for register, value in values.items():
            self._store(register, value)
        self._store(REGISTER_B, control)

    def _cmos(self, register: int) -> int:
        self._ports.write(CMOS, 1, register)
        return self._ports.read(CMOS + 1, 1)

    def _store(self, register: int, value: int) -> None:
        self._ports.write(CMOS, 1, register)
        self._ports.write(CMOS + 1, 1, value)


def _from_bcd(value: int) -> int:
    return (value >> 4) * 10 + (value & 0x0F)
