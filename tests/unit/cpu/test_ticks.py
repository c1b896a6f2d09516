"""When a processor looks around: the timer that `Ticks` sets."""

from __future__ import annotations

from pykvm.cpu.ticks import FIRST_TICK_NS, SLEEPER_TICK_NS, TICK_NS, Ticks

START = 1_000_000_000


class Timer:
    """A clock to set, and what the timer was set to."""

    def __init__(self, *, begins_fast: bool = False) -> None:
        self.now = START
        self.set: list[tuple[int, int]] = []
        self.ticks = Ticks(
            lambda first, interval: self.set.append((first - self.now, interval)),
            begins_fast=begins_fast,
            clock=lambda: self.now,
        )


def test_ticks_come_at_intervals_and_need_no_arming() -> None:
    timer = Timer()
    timer.ticks.begin(START, None)
    for _ in range(5):
        timer.now += TICK_NS
        timer.ticks.go_on(asleep=False)
    assert timer.set == [(TICK_NS, TICK_NS)]
    assert not timer.ticks.is_over


def test_the_first_ticks_come_after_half_the_time_so_far() -> None:
    timer = Timer(begins_fast=True)
    timer.ticks.begin(START, None)
    for elapsed in (500_000, 4_000_000, 19_999_999, 20_000_000, 60_000_000):
        timer.now = START + elapsed
        timer.ticks.go_on(asleep=False)
    assert timer.set == [
        (FIRST_TICK_NS, TICK_NS),
        (FIRST_TICK_NS, TICK_NS),
        (2_000_000, TICK_NS),
        (9_999_999, TICK_NS),
    ]


def test_ticks_of_a_sleeper_double_up_to_a_limit_until_it_wakes() -> None:
    timer = Timer()
    timer.ticks.begin(START, None)
    for _ in range(6):
        timer.now += 10 * TICK_NS
        timer.ticks.go_on(asleep=True)
    timer.ticks.go_on(asleep=False)
    assert [interval for _, interval in timer.set] == [n * TICK_NS for n in (1, 2, 4, 8, 16, 1)]
    assert max(interval for _, interval in timer.set) == SLEEPER_TICK_NS


def test_a_new_run_forgets_that_the_last_one_slept() -> None:
    timer = Timer()
    timer.ticks.begin(START, None)
    timer.ticks.go_on(asleep=True)
    timer.ticks.begin(START, None)
    assert timer.set[-1] == (TICK_NS, TICK_NS)


def test_the_deadline_comes_before_the_tick_behind_it() -> None:
    timer = Timer()
    timer.ticks.begin(START, START + TICK_NS + 5)
    timer.now += TICK_NS
    timer.ticks.go_on(asleep=False)
    assert timer.set == [(TICK_NS, TICK_NS), (5, TICK_NS)]
    assert not timer.ticks.is_over
    timer.now += 5
    assert timer.ticks.is_over


def test_a_deadline_that_has_passed_is_a_time_still() -> None:
    """0 would disarm a POSIX timer."""
    timer = Timer()
    timer.now = 0
    timer.ticks.begin(0, 0)
    assert timer.set == [(1, TICK_NS)]


def test_somebody_may_want_to_look_earlier() -> None:
    timer = Timer()
    timer.ticks.next_look = lambda limit: min(limit, START + 7)
    timer.ticks.begin(START, None)
    assert timer.set == [(7, TICK_NS)]
