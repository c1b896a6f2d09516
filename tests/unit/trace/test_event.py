"""Pairing: the time that userspace had each exit."""

from __future__ import annotations

from pykvm.trace.event import Pairing, timed, times_of
from tests.unit.trace.by_hand import record


def test_an_event_is_complete_when_the_next_one_has_come() -> None:
    pairing = Pairing()
    assert pairing.add(timed(record(entered=100, left=150))) is None
    done = pairing.add(timed(record(entered=180, left=200)))
    assert done is not None
    times = times_of(done)
    assert (times.inside, times.outside, times.tracing) == (50, 30, 0)


def test_the_tracers_own_time_is_not_userspaces() -> None:
    pairing = Pairing()
    pairing.add(timed(record(entered=100, left=150)))
    done = pairing.add(timed(record(entered=1180, left=1200, paused=1000)))
    assert done is not None
    times = times_of(done)
    assert (times.outside, times.tracing) == (30, 1000)


def test_the_last_one_has_no_time_in_userspace() -> None:
    pairing = Pairing()
    pairing.add(timed(record()))
    last = pairing.end()
    assert last is not None
    assert times_of(last).outside is None
    assert pairing.end() is None


def test_no_time_is_negative() -> None:
    """A thread that moves to another processor may find its TSC a little behind."""
    pairing = Pairing()
    pairing.add(timed(record(entered=100, left=150)))
    done = pairing.add(timed(record(entered=149, left=200)))
    assert done is not None
    assert times_of(done).outside == 0
