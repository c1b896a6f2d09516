"""INT 1Ah: ticks, and the real-time clock behind its ports."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pykvm.bios import bda as field
from pykvm.bios.clock import TICKS_PER_DAY, ticks_in
from pykvm.layout import CMOS
from tests.unit.bios.rig import NS, Rig

Make = Callable[..., Rig]
DAY = 86400 * NS


def ticks(rig: Rig) -> tuple[int, int]:
    """The count, and the midnight flag."""
    r = rig.call(0x1A, ax=0x00FF).r
    return r.cx << 16 | r.dx, r.al


def set_ticks(rig: Rig, count: int) -> None:
    rig.call(0x1A, ax=0x0100, cx=count >> 16, dx=count & 0xFFFF)


def test_the_timer_s_rate() -> None:
    assert ticks_in(NS) == 18
    assert ticks_in(3600 * NS) == 65543
    assert abs(ticks_in(DAY) - TICKS_PER_DAY) <= 30


def test_counting_starts_with_the_time_of_day(rig: Rig) -> None:
    assert ticks(rig) == (ticks_in(12 * 3600 * NS), 0)


def test_the_guest_counts_where_there_are_interrupts(rig: Rig) -> None:
    before = ticks(rig)
    rig.now = 100 * NS
    rig.bios.poll()
    assert ticks(rig) == before
    rig.bda.set_dword(field.TICKS, 0x123456)
    rig.bda.set_byte(field.MIDNIGHT, 1)
    assert ticks(rig) == (0x123456, 1)
    assert ticks(rig) == (0x123456, 0)


def test_ticks_come_from_the_host_s_clock_where_there_are_none(make_rig: Make) -> None:
    rig = make_rig(interrupts=False)
    set_ticks(rig, 5)
    rig.now += NS
    rig.bios.poll()
    assert rig.bda.dword(field.TICKS) == 5 + 18
    rig.now += NS
    assert ticks(rig) == (5 + ticks_in(2 * NS), 0)  # without a poll as well
    rig.bda.set_dword(field.TICKS, 7)  # as programs do that set the time themselves
    rig.now += 3 * NS
    assert ticks(rig) == (7 + ticks_in(5 * NS) - ticks_in(2 * NS), 0)


@pytest.mark.parametrize("days", [1, 3])
def test_midnight(make_rig: Make, days: int) -> None:
    rig = make_rig(interrupts=False)
    set_ticks(rig, TICKS_PER_DAY - 1)
    assert ticks(rig) == (TICKS_PER_DAY - 1, 0)
    rig.now += NS + (days - 1) * DAY
    count, midnight = ticks(rig)
    assert (count < 100, midnight) == (True, 1)
    assert ticks(rig)[1] == 0


def test_a_count_beyond_the_day_is_brought_back(make_rig: Make) -> None:
    rig = make_rig(interrupts=False)
    rig.bda.set_dword(field.TICKS, 0xFFFF_FFFF)
    rig.now += NS
    count, midnight = ticks(rig)
    assert (count < TICKS_PER_DAY, midnight) == (True, 1)


def test_date_and_time_in_bcd(rig: Rig) -> None:
    rig.now = (1 * 3600 + 2 * 60 + 3) * NS
    result = rig.call(0x1A, ax=0x0200, flags=0x03)
    assert (result.carry, result.r.cx, result.r.dx) == (False, 0x1302, 0x0300)
    result = rig.call(0x1A, ax=0x0400, flags=0x03)
    assert (result.carry, result.r.cx, result.r.dx) == (False, 0x2024, 0x0601)


def test_setting_date_and_time(rig: Rig) -> None:
    assert not rig.call(0x1A, ax=0x0500, cx=0x1999, dx=0x1231, flags=0x03).carry
    assert not rig.call(0x1A, ax=0x0300, cx=0x2359, dx=0x5801, flags=0x03).carry
    r = rig.call(0x1A, ax=0x0200).r
    assert (r.cx, r.dx) == (0x2359, 0x5801)
    assert not rig.call(0x1A, ax=0x0300, cx=0x2359, dx=0x5800).carry
    assert rig.call(0x1A, ax=0x0200).r.dl == 0  # no daylight saving any more
    rig.now += 3 * NS
    r = rig.call(0x1A, ax=0x0200).r
    assert (r.cx, r.dh) == (0x0000, 0x01)
    r = rig.call(0x1A, ax=0x0400).r
    assert (r.cx, r.dx) == (0x2000, 0x0101)


def test_a_clock_that_stands_or_is_not_there(rig: Rig) -> None:
    rig.ports.write(CMOS, 1, 0x0B)
    rig.ports.write(CMOS + 1, 1, 0x82)
    for function in (0x0200, 0x0400):
        result = rig.call(0x1A, ax=function, cx=0x1234)
        assert (result.carry, result.r.cx) == (True, 0x1234)
    rig.power_on()
    assert ticks(rig)[0] == 0
    assert not rig.call(0x1A, ax=0x0300, cx=0x0102, dx=0x0300).carry  # which starts it
    assert rig.call(0x1A, ax=0x0200).r.cx == 0x0102


def test_nonsense_in_the_clock_makes_no_nonsense_of_ticks(rig: Rig) -> None:
    rig.call(0x1A, ax=0x0300, cx=0xFFFF, dx=0xFF00)
    rig.power_on()
    assert ticks(rig)[0] < TICKS_PER_DAY


@pytest.mark.parametrize("ax", [0x0600, 0x0700, 0x0A00, 0xB101, 0xFFFF])
def test_what_is_not_there(rig: Rig, ax: int) -> None:
    result = rig.call(0x1A, ax=ax)
    assert (result.carry, result.r.ax) == (True, ax)
