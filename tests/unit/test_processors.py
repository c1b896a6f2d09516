"""Processors run together: who ends them, and when all of them sleep."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, cast

import pytest

pytest.importorskip("pykvm._shim", reason="it knows the signal of kicks")

from pykvm.cpu.processors import Processors
from pykvm.cpu.protocol import Cpu
from pykvm.cpu.stop import Stop, StopReason, StopRequest

STOP = Stop(StopReason.DEBUG_EXIT, 7)


class FakeCpu:
    """Plays a processor that does `work`, then waits until it is kicked and there is a word."""

    def __init__(self, index: int, requests: StopRequest, work: Callable[[], None]) -> None:
        self.index = index
        self.is_asleep = False
        self.keeps_time = False
        self.sleeps = True
        self.runs = 0
        self._requests = requests
        self._work = work
        self._kicked = threading.Event()

    def run(self, start: int, deadline: int | None = None) -> None:
        self.runs += 1
        self._work()
        while not self._requests.is_waiting:
            assert self._kicked.wait(30)
            self._kicked.clear()

    def sleeps_for_ever(self) -> bool:
        return self.sleeps

    def kick(self) -> None:
        self._kicked.set()


class Rig:
    """Some of them, and what they leave word in."""

    def __init__(self, *works: Callable[[], None]) -> None:
        self.requests = StopRequest()
        self.may_wake = False
        self.all = Processors(self.requests, lambda: self.may_wake)
        self.cpus = [FakeCpu(i, self.requests, work) for i, work in enumerate(works)]
        self.all.add(cast("list[Cpu]", self.cpus))

    def sleep(self, index: int) -> None:
        """Processor `index` finds itself asleep at a tick."""
        self.cpus[index].is_asleep = True
        self.all.on_sleep()


def nothing() -> None:
    """No work."""


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("last", [False, True])
def test_one_word_ends_all(count: int, last: bool) -> None:
    works: list[Callable[[], None]] = [nothing] * count

    def post() -> None:
        rig.requests.post(STOP)

    works[-1 if last else 0] = post
    rig = Rig(*works)
    before = threading.active_count()
    assert rig.all.run(0) == STOP
    assert threading.active_count() == before
    assert [cpu.runs for cpu in rig.cpus] == [1] * count
    assert not rig.requests.is_waiting


@pytest.mark.parametrize("failing", [0, 1])
def test_what_one_raises_is_raised_when_all_have_stopped(failing: int) -> None:
    works: list[Callable[[], None]] = [nothing, nothing, nothing]

    def fail() -> None:
        raise LookupError(failing)

    works[failing] = fail
    rig = Rig(*works)
    with pytest.raises(LookupError):
        rig.all.run(0)
    assert not any(thread.name.startswith("vcpu") for thread in threading.enumerate())
    assert not rig.requests.is_waiting


def test_the_first_word_stands_against_a_later_failure() -> None:
    def post_then_fail() -> None:
        rig.requests.post(STOP)
        raise LookupError

    rig = Rig(nothing, post_then_fail)
    assert rig.all.run(0) == STOP


def test_all_must_sleep() -> None:
    rig = Rig(nothing, nothing)
    rig.sleep(0)
    assert not rig.requests.is_waiting
    rig.sleep(1)
    assert rig.all.run(0) == Stop(StopReason.HALTED)


@pytest.mark.parametrize("count", [1, 3])
def test_one_that_was_woken_meanwhile_goes_on(count: int) -> None:
    """What all said at their last ticks is not what is so when all are out of the guest."""

    def tick() -> None:
        if rig.cpus[-1].runs == 2:
            rig.cpus[0].sleeps = True
        for index in range(count):
            rig.sleep(index)

    rig = Rig(*[nothing] * (count - 1), tick)
    rig.cpus[0].sleeps = False
    assert rig.all.run(0) == Stop(StopReason.HALTED)
    assert [cpu.runs for cpu in rig.cpus] == [2] * count


def test_controllers_that_may_wake_them_keep_them_going() -> None:
    def tick() -> None:
        rig.may_wake = rig.cpus[0].runs == 1
        rig.sleep(0)

    rig = Rig(tick)
    assert rig.all.run(0) == Stop(StopReason.HALTED)
    assert rig.cpus[0].runs == 2


def test_some_run_while_the_others_stand_still() -> None:
    def post() -> None:
        rig.requests.post(STOP)

    rig = Rig(post, post, post)
    assert rig.all.run(0, only=[1, 2]) == STOP
    assert [cpu.runs for cpu in rig.cpus] == [0, 1, 1]
    assert [cpu.keeps_time for cpu in rig.cpus] == [False, True, False]
    assert rig.all.run(0) == STOP
    assert [cpu.keeps_time for cpu in rig.cpus] == [True, False, False]
    with pytest.raises(ValueError, match="no processor"):
        rig.all.run(0, only=[3])
    assert rig.all.run(0) == STOP


def test_that_some_sleep_is_no_end_while_one_that_stands_still_does_not() -> None:
    def tick() -> None:
        rig.cpus[0].sleeps = rig.cpus[1].runs > 1
        rig.sleep(1)

    rig = Rig(nothing, tick)
    assert rig.all.run(0, only=[1]) == Stop(StopReason.HALTED)
    assert [cpu.runs for cpu in rig.cpus] == [0, 2]


def test_a_handler_may_raise_while_the_others_are_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a repeated alarm does: all are joined nevertheless, and its word is the last."""
    real = threading.Thread.join
    raised: list[int] = []

    def join(thread: threading.Thread, timeout: float | None = None) -> None:
        if len(raised) < 3:
            raised.append(1)
            raise KeyboardInterrupt(len(raised))
        real(thread, timeout)

    def post() -> None:
        rig.requests.post(STOP)

    rig = Rig(post, nothing, nothing)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "join", join)
        with pytest.raises(KeyboardInterrupt, match="3"):
            rig.all.run(0)
    assert not any(thread.name.startswith("vcpu") for thread in threading.enumerate())
    assert not rig.requests.is_waiting
    rig.all.refuse_while_running()


def test_running_twice_at_once_is_refused() -> None:
    refused: list[Any] = []

    def again() -> None:
        with pytest.raises(RuntimeError, match="running") as error:
            rig.all.run(0)
        refused.append(error)
        rig.requests.post(STOP)

    rig = Rig(again, nothing)
    assert rig.all.run(0) == STOP
    assert len(refused) == 1
