"""What a signal does, moment by moment."""

from __future__ import annotations

import signal
from typing import cast

import pytest

from pykvm.cli.chassis import Chassis
from pykvm.cli.serial import SerialLine
from pykvm.cli.signals import GRACE, OrderlySignals, StopNow
from pykvm.cpu.stop import Stop, StopReason

pytestmark = pytest.mark.timeout(method="thread")  # the other method is by SIGALRM, too

TERMINATED = Stop(StopReason.TERMINATED, detail="SIGTERM")


class Stopped:
    """In place of a machine: notes what stopped it."""

    def __init__(self) -> None:
        self.stops: list[Stop] = []

    def stop(self, stop: Stop) -> None:
        self.stops.append(stop)


class Line:
    """In place of a serial line: hangs or not, as the test wants."""

    may_hang = False
    gave_up = False

    def give_up(self) -> None:
        self.gave_up = True


@pytest.fixture
def machine() -> Stopped:
    return Stopped()


@pytest.fixture
def line() -> Line:
    return Line()


def guard(signals: OrderlySignals, machine: Stopped, line: Line, timeout: float | None) -> None:
    signals.guard(cast("Chassis", machine), cast("SerialLine", line), timeout)


def test_without_a_machine_the_process_ends() -> None:
    with OrderlySignals():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(SystemExit, match="143"):
            signal.raise_signal(signal.SIGTERM)


def test_with_one_it_is_stopped(machine: Stopped, line: Line) -> None:
    with OrderlySignals() as signals:
        guard(signals, machine, line, None)
        signal.raise_signal(signal.SIGTERM)
        signals.release()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert machine.stops == [TERMINATED]
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_a_line_that_hangs_is_broken_off_at_once(machine: Stopped, line: Line) -> None:
    with OrderlySignals() as signals:
        guard(signals, machine, line, None)
        line.may_hang = True
        with pytest.raises(StopNow) as caught:
            signal.raise_signal(signal.SIGTERM)
        signals.release()
    assert caught.value.stop == TERMINATED
    assert line.gave_up
    assert not machine.stops


def test_a_line_that_hangs_later_is_broken_off_then(machine: Stopped, line: Line) -> None:
    """The first word stands: neither a second signal nor the alarm changes it."""
    with OrderlySignals() as signals:
        guard(signals, machine, line, None)
        signal.raise_signal(signal.SIGTERM)
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= GRACE
        line.may_hang = True
        with pytest.raises(StopNow) as caught:
            signal.pause()
        signals.release()
    assert caught.value.stop == TERMINATED


def test_a_line_that_hangs_at_the_time_out_is_broken_off(machine: Stopped, line: Line) -> None:
    with OrderlySignals() as signals:
        guard(signals, machine, line, 0.01)
        line.may_hang = True
        with pytest.raises(StopNow) as caught:
            signal.pause()
        signals.release()
    assert caught.value.stop == Stop(StopReason.TIMEOUT)


def test_an_alarm_that_comes_too_late_is_nothing(machine: Stopped, line: Line) -> None:
    with OrderlySignals() as signals:
        guard(signals, machine, line, None)
        signals.release()
        signal.raise_signal(signal.SIGALRM)
    assert not machine.stops
