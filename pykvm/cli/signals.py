"""Signals that end a run: the guest is stopped, and everything is cleaned up after it."""

from __future__ import annotations

import signal

from pykvm.cpu.stop import Stop, StopReason
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

    from pykvm.cli.chassis import Chassis
    from pykvm.cli.serial import SerialLine

GRACE = 0.25
"""Seconds that writing out what the guest has sent may take once the run shall end."""

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopNow(BaseException):
    """Raised by a signal where the run itself cannot look for stops: it hangs in a write.

    Attributes:
        stop: how the run ends.
    """

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop)
        self.stop = stop


class OrderlySignals:
    """SIGINT, SIGTERM and SIGHUP stop the guest; before and after there is one, the process.

    A context manager.  A signal that was ignored stays so: under nohup and in the background of
    a script.
    """

    def __init__(self) -> None:
        self._machine: Chassis | None = None
        self._line: SerialLine | None = None
        self._stop: Stop | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> OrderlySignals:
        for number in _ENDING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, previous in self._before.items():
            signal.signal(number, previous)  # type: ignore[arg-type]
        self._before = {}

    def guard(self, machine: Chassis, line: SerialLine, timeout: float | None) -> None:
        """From now on, signals are stops of `machine`.

        Args:
            machine: where what runs is.
            line: what may hang.
            timeout: the run's, in seconds, after which nothing shall hang either.
        """
        self._machine, self._line = machine, line
        self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_signal)
        if timeout is not None:
            signal.setitimer(signal.ITIMER_REAL, timeout + GRACE, GRACE)

    def release(self) -> None:
        """From now on, signals end the process again."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        self._machine = self._line = None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._machine is None or self._line is None:
            if number == signal.SIGALRM:
                return  # too late: the run is over
            if number == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + number)
        if self._stop is None:
            self._stop = _stop_for(number)
        if self._line.may_hang:
            self._line.give_up()
            raise StopNow(self._stop)
        self._machine.stop(self._stop)
        # what the guest has sent is still written out, and that may hang, too
        signal.setitimer(signal.ITIMER_REAL, GRACE, GRACE)


def _stop_for(number: int) -> Stop:
    match number:
        case signal.SIGALRM:
            return Stop(StopReason.TIMEOUT)
        case signal.SIGINT:
            return Stop(StopReason.INTERRUPTED, detail="SIGINT")
        case _:
            return Stop(StopReason.TERMINATED, detail=signal.Signals(number).name)
