"""The terminal as the screen and keyboard of a machine with a BIOS."""

from __future__ import annotations

import os
import select
import threading
import time
from typing import TYPE_CHECKING

from pykvm.bios.frame import CLEAR, RESET_COLOURS, SHOW_CURSOR, Frame, difference
from pykvm.bios.screen import blank_page
from pykvm.cli.terminal import HELP, is_foreground
from pykvm.cli.watched_sink import NEVER_BLOCKS
from pykvm.cpu.threads import start_without_signals
from pykvm.errors import SinkError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.cli.chassis import Chassis
    from pykvm.cli.watched_sink import WatchedSink

PERIOD = 0.05
"""Seconds between two frames."""

END_WITHIN = 1.0
"""Seconds that the terminal has to take the last of it."""

ENTER = b"\x1b[?1049h"
LEAVE = RESET_COLOURS + SHOW_CURSOR + b"\x1b[?1049l"
"""xterm's alternate screen, and back, with the cursor where it was."""

HOME = b"\x1b[H"
HELP_ENDS = "(any key: back to the guest's screen)\r\n"


def can_show_screen(fd: int) -> bool:
    """Whether `fd` is a terminal of ours that places its cursor as told."""
    return os.environ.get("TERM", "") not in ("", "dumb") and is_foreground(fd)


class BiosKeyboard:
    """The keyboard, as a destination of what is typed or piped.

    Args:
        chassis: where the machine with the BIOS is.
        on_key: called first.
    """

    def __init__(self, chassis: Chassis, on_key: Callable[[], None] = lambda: None) -> None:
        self._chassis = chassis
        self._on_key = on_key

    def take(self, data: bytes) -> int:
        """Press the keys, all or none, so that no control sequence is cut."""
        self._on_key()
        with self._chassis.inside() as machine:
            if machine is None or machine.bios is None:
                return 0
            keyboard = machine.bios.keyboard
            with machine.lock:
                if keyboard.room < len(data):
                    return 0
                keyboard.type(data)
        return len(data)

    def call_when_room(self, wake: Callable[[], None] | None) -> None:
        """Have the keyboard tell when there is room for as much as a pump brings at once."""
        self._chassis.on_key_room = wake


class TerminalScreen:
    """Shows the text screen on a terminal, some 20 times a second, from a thread of its own.

    A context manager.  It begins when something is on the screen, on the terminal's alternate
    screen; on leaving, the terminal is back on its own one, and what was shown last is printed
    there as text.

    Args:
        chassis: where the machine is whose BIOS's screen it is.
        sink: writes to the terminal.
        fd: the terminal.
        mute: called, with the machine's lock held if there is a machine, when other output to the
            terminal is to cease (True), and when it may come again.

    Raises:
        OSError: the host has no thread left for it.
    """

    def __init__(
        self,
        chassis: Chassis,
        sink: WatchedSink,
        fd: int,
        *,
        mute: Callable[[bool], None],
    ) -> None:
        self._chassis = chassis
        self._fd, self._sink = fd, sink
        self._mute = mute
        self._is_open = self._helps = self._shows_help = False
        self._shown: Frame | None = None
        self._last = Frame(blank_page(), None, blinking=True)
        self._size: os.terminal_size | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pykvm screen", daemon=True)

    def __enter__(self) -> TerminalScreen:
        try:
            start_without_signals(self._thread)
        except RuntimeError as error:
            raise OSError(None, str(error)) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._sink.given_up = True
        self._thread.join(END_WITHIN)
        frame = self._take_frame(lambda frame: self._mute(False))
        last = LEAVE if self._is_open else b""
        if _shows_something(frame):
            last += frame.text().rstrip("\n").encode() + b"\n"
        _write_within(self._fd, last, END_WITHIN)

    def show_help(self) -> None:
        """Show the escape keys until `hide_help`."""
        self._helps = True

    def hide_help(self) -> None:
        """Show the guest's screen again."""
        self._helps = False

    def _run(self) -> None:
        try:
            while not self._ending.wait(PERIOD):
                self._show()
        except (SinkError, OSError):
            return  # the terminal has gone, or takes nothing any more

    def _show(self) -> None:
        out = b""
        size = os.get_terminal_size(self._fd)
        helps = self._helps

        def open_once(frame: Frame) -> None:
            if not self._is_open and (helps or _shows_something(frame)):
                self._mute(True)
                self._is_open = True

        was_open = self._is_open
        frame = self._take_frame(open_once)
        if not self._is_open:
            return
        if not was_open:
            out = ENTER
        if size != self._size or (self._shows_help and not helps):
            self._shown, self._size = None, size
        if not helps:
            out += difference(self._shown, frame, rows=size.lines, columns=size.columns)
            self._shown = frame
        elif not self._shows_help:
            out += CLEAR + HOME + (HELP + HELP_ENDS).encode()
        self._shows_help = helps
        if out:
            self._sink.write(out)

    def _take_frame(self, and_do: Callable[[Frame], None]) -> Frame:
        """What is on the screen; while one machine takes another's place, what was last.

        Args:
            and_do: called with it while the guest cannot send anything.
        """
        with self._chassis.inside() as machine:
            if machine is None or machine.bios is None:
                and_do(self._last)
            else:
                with machine.lock:
                    self._last = machine.bios.frame()
                    and_do(self._last)
        return self._last


def _shows_something(frame: Frame) -> bool:
    return frame.cells != blank_page()


def _write_within(fd: int, data: bytes, seconds: float) -> None:
    """Write to a terminal, which may take nothing, or be gone."""
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    end = time.monotonic() + seconds
    rest = memoryview(data)
    while rest:
        left = end - time.monotonic()
        if left <= 0 or not poller.poll(int(left * 1000) + 1):
            return
        try:
            rest = rest[os.write(fd, rest[:NEVER_BLOCKS]) :]
        except BlockingIOError:
            continue
        except OSError:
            return
