"""Sinks: where the output of a device goes on the host."""

from __future__ import annotations

import os

from pykvm.errors import ReaderGoneError, SinkError
from pykvm.named import Protocol


class Sink(Protocol):
    """Anything that takes a device's output."""

    def write(self, data: bytes) -> None:
        """Take all of `data`.

        Raises:
            SinkError: the host cannot take it.
        """


class NullSink:
    """Takes everything and keeps nothing."""

    def write(self, data: bytes) -> None:
        """Drop `data`."""


class BufferSink:
    """Keeps what it gets in memory.

    Args:
        limit: keep this many bytes at most, the first ones; None for all.

    Attributes:
        dropped: how many bytes came after the limit was reached.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.dropped = 0
        self._limit = limit
        self._kept = bytearray()

    @property
    def data(self) -> bytes:
        """What was kept so far."""
        return bytes(self._kept)

    def write(self, data: bytes) -> None:
        """Append `data` as far as the limit allows."""
        if self._limit is not None:
            room = self._limit - len(self._kept)
            self.dropped += max(len(data) - room, 0)
            data = data[:room]
        self._kept += data


class FdSink:
    """Writes to a file descriptor, which stays its caller's to close.

    A blocking descriptor may block in `write`; a non-blocking one is waited for.  Signal
    handlers run meanwhile (PEP 475), so that an exception from one of them gets through.

    Args:
        fd: open for writing.
        name: what messages call it, e.g. "standard output" or a path.
    """

    def __init__(self, fd: int, name: str) -> None:
        self._fd = fd
        self._name = name

    def write(self, data: bytes) -> None:
        """Write all of `data`, in as many parts as the descriptor wants.

        Raises:
            ReaderGoneError: nobody reads it any more.
            SinkError: the disk is full, or another error of write(2).
        """
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._fd, rest) :]
            except BlockingIOError:
                self._wait()
            except BrokenPipeError as error:
                raise ReaderGoneError(f"cannot write to {self._name}: {error.strerror}") from error
            except OSError as error:
                raise SinkError(f"cannot write to {self._name}: {error.strerror}") from error

    def _wait(self) -> None:
        """Sleep until the descriptor takes more; an error on it also ends the wait."""
        import select

        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        poller.poll()


class TeeSink:
    """Hands everything to several sinks, in the order given."""

    def __init__(self, *sinks: Sink) -> None:
        self._sinks = sinks

    def write(self, data: bytes) -> None:
        """Write `data` to each sink; the first that fails ends it."""
        for sink in self._sinks:
            sink.write(data)


def kept(sink: Sink, what: str) -> bytes:
    """What a sink has kept.

    Raises:
        TypeError: it keeps nothing: it is not a `BufferSink`.
    """
    if not isinstance(sink, BufferSink):
        raise TypeError(f"{what} sends to a sink of its own: look there")
    return sink.data
