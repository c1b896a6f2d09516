"""Ticks for a processor that the process itself plays: somebody must get it out of the guest."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pykvm.cpu.injection import Bell
from pykvm.cpu.threads import start_without_signals
from pykvm.errors import MachineError


class Ticker:
    """A thread that kicks when it is time, and again until it is heard.

    A context manager: the thread is there within.

    Args:
        kick: gets the processor out of the guest; it may come too early to be noticed.
        period: ns from one kick to the next.
    """

    def __init__(self, kick: Callable[[], None], period: int) -> None:
        self._kick = kick
        self._period = period
        self._bell = Bell()
        self._at = 0
        self._is_over = False
        self._thread: threading.Thread | None = None

    @property
    def is_due(self) -> bool:
        """Whether the time that was set has come."""
        return time.monotonic_ns() >= self._at

    def set(self, at: int) -> None:
        """Kick at `at` (CLOCK_MONOTONIC, ns), and from then on each period, until set anew."""
        self._at = at
        self._bell.ring()

    def _run(self) -> None:
        while not self._is_over:
            wait = self._at - time.monotonic_ns()
            if wait <= 0:
                self._kick()
                wait = self._period
            self._bell.wait(wait)

    def __enter__(self) -> Ticker:
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)
        try:
            start_without_signals(self._thread)
        except RuntimeError as error:
            raise MachineError("the host has no thread left for the machine's clock") from error
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over = True
        self._bell.ring()
        assert self._thread is not None
        self._thread.join()
