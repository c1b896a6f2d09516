"""The host's end of the guest's serial line: terminal, file, pseudo-terminal or nothing."""

from __future__ import annotations

import os
import stat
import sys
import time
from contextlib import ExitStack

from pykvm.cli.input import Destination, InputPump, SerialPort
from pykvm.cli.watched_sink import LateSink, WatchedSink
from pykvm.cpu.stop import Stop, StopReason
from pykvm.devices.sinks import BufferSink, NullSink, Sink
from pykvm.errors import SinkError
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

    from pykvm.cli.bios_console import TerminalScreen
    from pykvm.cli.chassis import Chassis

CAPTURE_LIMIT = 16 << 20
"""The guest is hostile: it must not fill the host's memory with what it prints."""

_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
_PTY_POLL = 0.02


class SerialLine:
    """What `--serial` and `--debugcon` name, and the terminal's part in a machine with a BIOS.

    A context manager; on leaving, everything is as it was before.

    Args:
        spec: "stdio", "null", "file:PATH" or "pty".
        capture: keep the guest's output (for --json) instead of printing it.
        debugcon: "stdio", "null" or "file:PATH".

    Attributes:
        sink: where the guest's output goes.
        debug: where its debug consoles send.
        teletype: where its BIOS's teletype output goes.
        buffer: the output, if it is kept.

    Raises:
        SinkError: the file cannot be written, or there is no standard output.
        OSError: the host has no pseudo-terminal or descriptor left.
    """

    def __init__(self, spec: str, *, capture: bool, debugcon: str = "null") -> None:
        self._undo = ExitStack()
        self._spec = spec
        self._input: int | None = None
        self._interactive = False
        self._files: list[int] = []
        self._watched: list[WatchedSink] = []
        self._standard: list[tuple[int, WatchedSink]] = []
        self._pty: int | None = None
        self._pty_name = ""
        self._draining = False
        self._capture = capture
        self.buffer: BufferSink | None = None
        self.sink: Sink = NullSink()
        self.debug: Sink = NullSink()
        self.teletype = LateSink()
        with ExitStack() as guard:
            guard.callback(self._undo.close)
            if spec == "stdio":
                self._open_stdio(capture)
            elif spec == "pty":
                self._open_pty()
            elif spec.startswith("file:"):
                self.sink = self._open_file("--serial", spec.removeprefix("file:"))
            if debugcon == "stdio":
                self.debug = self._open_standard(sys.stderr, "standard error") or NullSink()
            elif debugcon.startswith("file:"):
                self.debug = self._open_file("--debugcon", debugcon.removeprefix("file:"))
            guard.pop_all()

    def _open_stdio(self, capture: bool) -> None:
        if capture:
            self.sink = self.buffer = BufferSink(CAPTURE_LIMIT)
        else:
            out = self._open_standard(sys.stdout, "standard output")
            if out is None:
                raise SinkError("standard output is closed (--serial null needs none)")
            self.sink = out
        self._input, self._interactive = _find_input()

    def _open_pty(self) -> None:
        import tty

        ours, theirs = os.openpty()
        self._undo.callback(os.close, ours)
        # held open, so that a client may come and go
        self._undo.callback(os.close, theirs)
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        self._pty, self._pty_name = theirs, os.ttyname(theirs)
        self.sink = self.watch(ours, self._pty_name)
        self._input = ours

    def _open_file(self, option: str, path: str) -> Sink:
        try:
            fd = os.open(path, _FILE_FLAGS, 0o666)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise SinkError(f"{option} file: cannot write {path!r}: {why}") from None
        self._undo.callback(_close_file, fd, path)
        self._files.append(fd)
        return self.watch(fd, path)

    def _open_standard(self, stream: TextIO | None, name: str) -> Sink | None:
        """A standard stream as a sink; None if it is closed."""
        fd = _descriptor(stream)
        if fd is None:
            return None
        sink = self.watch(fd, name)
        self._standard.append((fd, sink))
        return sink

    def watch(self, fd: int, name: str) -> WatchedSink:
        """A descriptor as a sink that a signal can break off, as those of this line's."""
        sink = WatchedSink(fd, name)
        self._watched.append(sink)
        return sink

    @property
    def may_hang(self) -> bool:
        """Whether whoever is to read the output can keep pykvm waiting just now."""
        return self._draining or any(sink.writing for sink in self._watched)

    def give_up(self) -> None:
        """Break off writes of other threads that hang, now and from now on."""
        for sink in self._watched:
            sink.given_up = True

    def start(self, machine: Chassis) -> None:
        """From now on, what comes in goes to `machine`, and what a file had is replaced.

        Raises:
            OSError: the host has no descriptor or thread left for it.
        """
        for file in self._files:
            if stat.S_ISREG(os.fstat(file).st_mode):
                os.ftruncate(file, 0)
        if self._pty is not None:
            from pykvm.cli.streams import complain

            complain(f"serial line on {self._pty_name}")
        inside = machine.machine
        has_bios = inside is not None and inside.bios is not None
        if has_bios:
            self._start_bios(machine)
        if self._input is not None and (not has_bios or self._pty is not None):
            self._start_input(machine, SerialPort(machine), self._input, self._interactive)

    def _start_input(
        self,
        machine: Chassis,
        destination: Destination,
        fd: int,
        interactive: bool,
        screen: TerminalScreen | None = None,
    ) -> None:
        keyboard = None
        if interactive:
            from pykvm.cli.terminal import KeyAction, Keyboard, RawTerminal, print_help

            leave = Stop(StopReason.INTERRUPTED, detail="Ctrl-A x")
            keyboard = Keyboard(
                {
                    KeyAction.LEAVE: lambda: machine.stop(leave),
                    KeyAction.HELP: print_help if screen is None else screen.show_help,
                    KeyAction.POWER_BUTTON: machine.press_power_button,
                }
            )
            self._undo.enter_context(RawTerminal(fd))
        self._undo.callback(InputPump(fd, destination, keyboard).end)

    def _start_bios(self, machine: Chassis) -> None:
        """The terminal is its screen, if it can be, else standard output its teletype; what is
        typed or piped goes to its keyboard."""
        from pykvm.cli.bios_console import BiosKeyboard, TerminalScreen, can_show_screen

        screen = None
        out = _descriptor(sys.stdout)
        if self._capture:
            self.buffer = self.buffer or BufferSink(CAPTURE_LIMIT)
            self.teletype.to = self.buffer
        elif out is not None and can_show_screen(out):
            screen = TerminalScreen(
                machine, WatchedSink(out, "the terminal"), out, mute=self._mute_terminal
            )
            self._undo.enter_context(screen)
        elif self._spec == "stdio":
            self.teletype.to = self.sink
        elif out is not None:
            self.teletype.to = self.watch(out, "standard output")
        fd, interactive = _find_input()
        if fd is not None:
            on_key = (lambda: None) if screen is None else screen.hide_help
            keyboard = BiosKeyboard(machine, on_key)
            self._start_input(machine, keyboard, fd, interactive, screen)

    def _mute_terminal(self, on: bool) -> None:
        for fd, sink in self._standard:
            sink.muted = on and os.isatty(fd)

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


def _find_input() -> tuple[int | None, bool]:
    """Standard input's descriptor, if it may be read; and whether it is a terminal."""
    fd = _descriptor(sys.stdin)
    if fd is None or not os.isatty(fd):
        return fd, False
    from pykvm.cli.terminal import is_foreground

    return (fd, True) if is_foreground(fd) else (None, False)


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
