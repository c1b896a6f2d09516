"""Sinks of the command: what they write to may stall, be muted, or be chosen late."""

from __future__ import annotations

import threading

from pykvm.devices.sinks import FdSink, NullSink, Sink
from pykvm.errors import SinkError

NEVER_BLOCKS = 256
"""How many bytes pipes and terminals take at once when poll(2) says that they take any."""

_GIVEN_UP_POLL_MS = 20


class WatchedSink(FdSink):
    """A descriptor whose reader may stall; a signal can break off a write that hangs.

    In the main thread its handler does so by raising; other threads, those of further processors,
    look whether it told them to give up.

    Attributes:
        writing: whether a write is under way.
        given_up: whether no write shall wait any longer.
        muted: whether what is written is dropped.
    """

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(fd, name)
        self.writing = False
        self.given_up = False
        self.muted = False

    def write(self, data: bytes) -> None:
        """Write all of `data`."""
        if self.muted:
            return
        self.writing = True
        try:
            if threading.current_thread() is threading.main_thread():
                super().write(data)
                return
            for start in range(0, len(data), NEVER_BLOCKS):
                self._wait_for_room()
                super().write(data[start : start + NEVER_BLOCKS])
        finally:
            self.writing = False

    def _wait_for_room(self) -> None:
        import select

        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        while not poller.poll(_GIVEN_UP_POLL_MS):
            if self.given_up:
                raise SinkError(f"nobody reads {self._name}")


class LateSink:
    """A sink that is chosen once it is known who writes.

    Attributes:
        to: it; by default nowhere.
    """

    def __init__(self) -> None:
        self.to: Sink = NullSink()

    def write(self, data: bytes) -> None:
        """Hand it on."""
        self.to.write(data)
