"""Stops, their exit statuses, and the word that a machine shall stop."""

from __future__ import annotations

import sys
import threading
from types import FrameType

import pytest

from pykvm.cpu.stop import ALL_ASLEEP, TRAPPED, Stop, StopReason, StopRequest

STATUS = {
    StopReason.HALTED: 0,
    StopReason.POWER_OFF: 0,
    StopReason.RESET: 0,
    StopReason.NOT_BOOTED: 125,
    StopReason.TIMEOUT: 124,
    StopReason.BUDGET: 0,
    StopReason.STOPPED: 0,
    StopReason.INTERRUPTED: 130,
    StopReason.TERMINATED: 143,
    StopReason.DEBUG: 0,
}


def test_each_reason_has_its_exit_status() -> None:
    assert {r: Stop(r).status for r in StopReason if r is not StopReason.DEBUG_EXIT} == STATUS


@pytest.mark.parametrize(
    ("value", "status"),
    [(0, 1), (1, 3), (0x10, 33), (0x7F, 255), (0x80, 1), (0xFF, 255), (0xFFFF_FFFF, 255)],
)
def test_a_debug_exit_has_the_status_that_qemu_gives_it(value: int, status: int) -> None:
    assert Stop(StopReason.DEBUG_EXIT, value).status == status


FIRST, SECOND = Stop(StopReason.RESET, detail="first"), Stop(StopReason.STOPPED)


def test_the_first_word_counts_and_is_taken_once() -> None:
    request = StopRequest()
    assert request.take() is None
    request.post(FIRST)
    request.post(SECOND)
    assert request.take() is FIRST
    assert request.take() is None
    request.post(SECOND)
    assert request.take() is SECOND


@pytest.mark.parametrize("trap_first", [False, True])
def test_that_one_is_trapped_gives_way_to_any_word(trap_first: bool) -> None:
    """What it met is not lost: who debugs it has that."""
    request = StopRequest()
    if trap_first:
        request.note_trap()
        assert request.is_waiting
    request.post(FIRST)
    request.note_trap()
    assert request.take() is FIRST
    assert request.take() is None
    request.suppose_asleep()
    request.note_trap()
    assert request.take() is TRAPPED
    assert not request.is_waiting


@pytest.mark.parametrize("waiting", [None, FIRST])
@pytest.mark.parametrize("action", ["post", "take"])
def test_a_signal_handler_may_post_at_any_moment(action: str, waiting: Stop | None) -> None:
    """Python runs handlers between any two bytecodes of the main thread: here, at each in turn."""
    outcomes: list[tuple[Stop | None, Stop | None]] = []

    def run_with_signal_at(moment: int) -> bool:
        """Whether there was such a moment."""
        request = StopRequest()
        if waiting is not None:
            request.post(waiting)
        code = StopRequest.post.__code__, StopRequest.take.__code__
        passed = 0

        def trace(frame: FrameType, event: str, _: object) -> object:
            nonlocal passed
            if frame.f_code not in code:
                return None
            frame.f_trace_opcodes = True
            if event == "opcode":
                if passed == moment:
                    request.post(SECOND)
                passed += 1
            return trace

        taken = None
        sys.settrace(trace)  # type: ignore[arg-type]
        try:
            if action == "post":
                request.post(FIRST)
            else:
                taken = request.take()
        finally:
            sys.settrace(None)
        outcomes.append((taken, request.take()))
        return passed > moment

    def run() -> None:
        moment = 0
        while run_with_signal_at(moment):
            moment += 1

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive(), "deadlock"
    assert len(outcomes) > 5
    for taken, left in outcomes[:-1]:
        assert taken is not None or left is not None, "the word was lost"


def test_many_threads_may_post_and_one_is_heard() -> None:
    request = StopRequest()
    start = threading.Barrier(5)

    def post(number: int) -> None:
        start.wait()
        request.post(Stop(StopReason.DEBUG_EXIT, number))

    threads = [threading.Thread(target=post, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    start.wait()
    for thread in threads:
        thread.join()
    stop = request.take()
    assert stop is not None
    assert stop.value in range(4)
    assert request.take() is None


@pytest.mark.parametrize("word_first", [False, True])
def test_a_word_outweighs_what_is_supposed(word_first: bool) -> None:
    request = StopRequest()
    if not word_first:
        request.suppose_asleep()
    request.post(Stop(StopReason.DEBUG_EXIT, 7))
    request.suppose_asleep()
    assert request.take() == Stop(StopReason.DEBUG_EXIT, 7)
    assert not request.is_waiting


def test_what_is_supposed_is_told_when_nothing_else_is() -> None:
    request = StopRequest()
    request.suppose_asleep()
    assert request.is_waiting
    assert request.take() is ALL_ASLEEP
    assert request.take() is None
