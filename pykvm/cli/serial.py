"""The host's end of the guest's serial line: terminal, file, pseudo-terminal or nothing."""

from __future__ import annotations

import os
import stat
import sys
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, TextIO

from pykvm.cli.input import InputPump
from pykvm.cpu.stop import Stop, StopReason
from pykvm.devices.sinks import BufferSink, FdSink, NullSink, Sink
from pykvm.errors import SinkError

if TYPE_CHECKING:
    from pykvm.cli.chassis import Chassis

CAPTURE_LIMIT = 16 << 20
"""The guest is hostile: it must not fill the host's memory with what it prints."""

_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
_PTY_POLL = 0.02

_NEVER_BLOCKS = 256
"""How many bytes pipes and terminals take at once when poll(2) says that they take any."""

_GIVEN_UP_POLL_MS = 20


class WatchedSink(FdSink):
    """A descriptor whose reader may stall; a signal can break off a write that hangs.

    In the main thread its handler does so by raising; other threads, those of further processors,
    look whether it told them to give up.

    Attributes:
        writing: whether a write is under way.
        given_up: whether no write shall wait any longer.
    """

    def __init__(self, fd: int, name: str) -> None:
        super().__init__(fd, name)
        self.writing = False
        self.given_up = False

    def write(self, data: bytes) -> None:
        """Write all of `data`."""
        self.writing = True
        try:
            if threading.current_thread() is threading.main_thread():
                super().write(data)
                return
            for start in range(0, len(data), _NEVER_BLOCKS):
                self._wait_for_room()
                super().write(data[start : start + _NEVER_BLOCKS])
        finally:
            self.writing = False

    def _wait_for_room(self) -> None:
        import select

        poller = select.poll()
        poller.register(self._fd, select.POLLOUT)
        while not poller.poll(_GIVEN_UP_POLL_MS):
            if self.given_up:
                raise SinkError(f"nobody reads {self._name}")


class SerialLine:
    """What `--serial` names.  A context manager; on leaving, everything is as it was before.

    Args:
        spec: "stdio", "null", "file:PATH" or "pty".
        capture: keep the guest's output (for --json) instead of printing it.

    Attributes:
        sink: where the guest's output goes.
        buffer: the output, if it is kept.

    Raises:
        SinkError: the file cannot be written, or there is no standard output.
        OSError: the host has no pseudo-terminal or descriptor left.
    """

    def __init__(self, spec: str, *, capture: bool) -> None:
        self._undo = ExitStack()
        self._input: int | None = None
        self._interactive = False
        self._file: int | None = None
        self._pty: int | None = None
        self._pty_name = ""
        self._draining = False
        self.buffer: BufferSink | None = None
        self.sink: Sink = NullSink()
        with ExitStack() as guard:
            guard.callback(self._undo.close)
            if spec == "stdio":
                self._open_stdio(capture)
            elif spec == "pty":
                self._open_pty()
            elif spec.startswith("file:"):
                self._open_file(spec.removeprefix("file:"))
            guard.pop_all()

    def _open_stdio(self, capture: bool) -> None:
        if capture:
            self.sink = self.buffer = BufferSink(CAPTURE_LIMIT)
        else:
            out = _descriptor(sys.stdout)
            if out is None:
                raise SinkError("standard output is closed (--serial null needs none)")
            self.sink = WatchedSink(out, "standard output")
        fd = _descriptor(sys.stdin)
        if fd is None or not os.isatty(fd):
            self._input = fd
            return
        from pykvm.cli.terminal import is_foreground

        if is_foreground(fd):
            self._input = fd
            self._interactive = True

    def _open_pty(self) -> None:
        import tty

        ours, theirs = os.openpty()
        self._undo.callback(os.close, ours)
        # held open, so that a client may come and go
        self._undo.callback(os.close, theirs)
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self._pty, self._pty_name = theirs, os.ttyname(theirs)
        self.sink = WatchedSink(ours, self._pty_name)
        self._input = ours

    def _open_file(self, path: str) -> None:
        try:
            fd = os.open(path, _FILE_FLAGS, 0o666)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise SinkError(f"--serial file: cannot write {path!r}: {why}") from None
        self._undo.callback(_close_file, fd, path)
        self._file = fd
        self.sink = WatchedSink(fd, path)

    @property
    def may_hang(self) -> bool:
        """Whether whoever is to read the output can keep pykvm waiting just now."""
        return self._draining or (isinstance(self.sink, WatchedSink) and self.sink.writing)

    def give_up(self) -> None:
        """Break off writes of other threads that hang, now and from now on."""
        if isinstance(self.sink, WatchedSink):
            self.sink.given_up = True

    def start(self, machine: Chassis) -> None:
        """From now on, what comes in goes to `machine`, and what a file had is replaced.

        Raises:
            OSError: the host has no descriptor or thread left for it.
        """
        if self._file is not None and stat.S_ISREG(os.fstat(self._file).st_mode):
            os.ftruncate(self._file, 0)
        if self._pty is not None:
            from pykvm.cli.streams import complain

            complain(f"serial line on {self._pty_name}")
        if self._input is None:
            return
        keyboard = None
        if self._interactive:
            from pykvm.cli.terminal import Keyboard, RawTerminal

            leave = Stop(StopReason.INTERRUPTED, detail="Ctrl-A x")
            keyboard = Keyboard(lambda: machine.stop(leave))
            self._undo.enter_context(RawTerminal(self._input))
        self._undo.callback(InputPump(self._input, machine, keyboard).end)

    def drain(self) -> None:
        """Wait until a pseudo-terminal's output is read: what is left in it goes with it."""
        if self._pty is None or not _unread(self._pty):
            return
        from pykvm.cli.streams import complain

        self._draining = True
        try:
            complain(f"waiting for somebody to read {self._pty_name} (Ctrl-C leaves)")
            while _unread(self._pty):
                time.sleep(_PTY_POLL)  # nothing tells when a terminal's buffer gets empty
        finally:
            self._draining = False

    def close(self) -> None:
        """Stop the input and restore the terminal.

        Raises:
            SinkError: the host could not store a file's last bytes.
        """
        self._undo.close()

    def __enter__(self) -> SerialLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _descriptor(stream: TextIO | None) -> int | None:
    """A standard stream's descriptor, if it has one: it may be closed, or not a file."""
    try:
        return None if stream is None else stream.fileno()
    except (OSError, ValueError):
        return None


def _close_file(fd: int, path: str) -> None:
    try:
        os.close(fd)
    except OSError as error:
        raise SinkError(f"cannot write to {path}: {error.strerror}") from error


def _unread(fd: int) -> int:
    """How many bytes a reader of the terminal `fd` would get at once."""
    import array
    import fcntl
    import select
    import termios

    # FIONREAD leaves out what the kernel still has on its way; poll(2) hurries that along
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    poll.poll(0)
    count = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, count)
    return count[0]
