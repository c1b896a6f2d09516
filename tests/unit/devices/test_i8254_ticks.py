"""The timer's ticks: when they come, and what becomes of those that nobody took."""

from __future__ import annotations

import pytest

from pykvm.devices.i8254 import HZ, NS
from pykvm.devices.timer_tick import LONGEST_REST, MOST_OWED
from tests.unit.devices.i8254_rig import BOTH, CONTROL, LSB, Rig, mode

A_DAY = 86_400 * NS


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.mark.parametrize("number", [2, 3])
def test_a_rate(rig: Rig, number: int) -> None:
    rig.out(CONTROL, BOTH | mode(number))
    rig.out(0, 0x10, 0)
    rig.pulses(1 + 16)
    assert rig.ticks == 1
    rig.pulses(15)
    assert rig.ticks == 1
    rig.pulses(1)
    assert rig.ticks == 2
    rig.pulses(16 * 50)
    assert rig.ticks == 52


def test_once(rig: Rig) -> None:
    rig.out(CONTROL, LSB | mode(0))
    rig.out(0, 100)
    rig.pulses(100)
    assert rig.ticks == 0
    rig.pulses(1)
    assert rig.ticks == 1
    rig.pulses(1 << 20)
    assert rig.ticks == 1


def test_the_next_tick_is_foretold_exactly(rig: Rig) -> None:
    assert rig.pit.next_event() is None
    rig.out(CONTROL, BOTH | mode(2))
    rig.out(0, 0, 0x10)
    for number in range(1, 100):
        event = rig.pit.next_event()
        assert event is not None
        rig.now = event - 1
        rig.poll()
        assert (rig.ticks, rig.pit.next_event()) == (number - 1, event)
        rig.now = event
        rig.poll()
        assert rig.ticks == number


def test_a_second_has_as_many_as_it_should(rig: Rig) -> None:
    rig.out(CONTROL, BOTH | mode(2))
    rig.out(0, 0xA9, 0x04)  # 1193
    for _ in range(1000):
        rig.now += NS // 1000
        rig.poll()
    assert rig.ticks == (HZ - 1) // 1193


def test_changing_to_a_mode_that_starts_high_is_an_edge(rig: Rig) -> None:
    rig.out(CONTROL, LSB | mode(0))
    assert rig.ticks == 0
    rig.out(CONTROL, LSB | mode(2))
    assert rig.ticks == 1


def test_ticks_that_come_late_are_owed(rig: Rig) -> None:
    rig.takes = False
    rig.out(CONTROL, LSB | mode(3))
    rig.out(0, 10)
    rig.pulses(1 + 10 * 5 + 7)  # the output is low now
    assert rig.line.level
    assert rig.tick.owed == 4
    for left in (3, 2, 1, 0):
        rig.take()
        assert not rig.line.level
        rig.tick.poll()
        assert (rig.line.level, rig.tick.owed) == (True, left)
    rig.take()
    assert not rig.line.level
    assert rig.ticks == 5


def test_but_not_without_end(rig: Rig) -> None:
    rig.takes = False
    rig.out(CONTROL, LSB | mode(2))
    rig.out(0, 2)
    rig.now += A_DAY
    rig.poll()
    assert rig.tick.owed == MOST_OWED - 1  # and one that is asserted


def test_nor_to_whom_does_not_want_them(rig: Rig) -> None:
    rig.takes = rig.is_open = False
    rig.out(CONTROL, LSB | mode(2))
    rig.out(0, 10)
    rig.pulses(1000)
    assert (rig.line.level, rig.tick.owed) == (True, 0)


def test_each_look_that_finds_ticks_makes_an_edge(rig: Rig) -> None:
    """A controller that is initialized has forgotten the one before."""
    rig.takes = False
    rig.out(CONTROL, LSB | mode(2))
    rig.out(0, 10)
    rig.pulses(11)
    edges: list[bool] = []
    rig.line.listener = edges.append
    rig.pulses(10)
    assert edges == [False, True]


@pytest.mark.parametrize(("number", "stays"), [(0, False), (2, True)])
def test_programming_forgets_what_is_owed(rig: Rig, number: int, stays: bool) -> None:
    rig.takes = False
    rig.out(CONTROL, LSB | mode(2))
    rig.out(0, 10)
    rig.pulses(101)
    assert rig.tick.owed == 9
    rig.out(CONTROL, LSB | mode(number))
    assert (rig.tick.owed, rig.line.level) == (0, stays)


def test_a_clock_that_goes_back_stands_still(rig: Rig) -> None:
    rig.program(2, 1000)
    rig.pulses(100)
    before = rig.word()
    rig.now -= NS
    assert rig.word() == before


def test_reset(rig: Rig) -> None:
    rig.takes = False
    rig.out(CONTROL, LSB | mode(2))
    rig.out(0, 10)
    rig.pulses(100)
    rig.pit.reset()
    assert (rig.line.level, rig.tick.owed, rig.pit.next_event()) == (False, 0, None)
    rig.pulses(100)
    assert not rig.line.level
    rig.program(0, 3)  # and its gate is as it was
    assert rig.trace(4)[-1] == (0, True)


def test_a_late_tick_leaves_the_guest_as_long_as_the_one_before_took(rig: Rig) -> None:
    rig.takes = False
    rig.out(CONTROL, LSB | mode(2))
    rig.out(0, 10)
    rig.pulses(31)
    assert rig.tick.next_event() is None
    rig.tick.serve(begins=True)
    rig.now += 5000
    assert rig.tick.next_event() is None
    rig.tick.serve(begins=False)
    due = rig.now + 5000
    assert rig.tick.next_event() == due
    rig.now = due - 1
    rig.tick.poll()
    assert not rig.line.level
    rig.now = due
    rig.tick.poll()
    assert rig.line.level


def test_but_not_for_ever(rig: Rig) -> None:
    rig.takes = False
    rig.out(CONTROL, LSB | mode(2))
    rig.out(0, 10)
    rig.pulses(31)
    rig.tick.serve(begins=True)
    rig.now += A_DAY
    rig.tick.serve(begins=False)
    assert rig.tick.next_event() == rig.now + LONGEST_REST
