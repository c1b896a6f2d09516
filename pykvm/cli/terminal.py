"""The user's terminal while a guest has it: raw, with an escape key, restored whatever happens."""

from __future__ import annotations

import errno
import os
import termios
from contextlib import suppress
from enum import Enum
from typing import TYPE_CHECKING, Any

from pykvm.cli.streams import write_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ESCAPE = 0x01  # Ctrl-A

HELP = (
    "\r\n"
    "Ctrl-A x       leave (Ctrl-C does, too)\r\n"
    "Ctrl-A p       press the power button\r\n"
    "Ctrl-A h       this help\r\n"
    "Ctrl-A c       send Ctrl-C to the guest\r\n"
    "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n"
)

_IFLAG, _OFLAG, _CFLAG, _LFLAG, _ISPEED, _OSPEED, _CC = range(7)
_DISABLED = b"\x00"


class KeyAction(Enum):
    """What an escape sequence asks of pykvm."""

    LEAVE = "leave"
    HELP = "help"
    POWER_BUTTON = "power button"


class EscapeFilter:
    """Takes the escape sequences out of what is typed; a sequence may come in pieces."""

    def __init__(self) -> None:
        self._escaped = False

    def feed(self, typed: bytes) -> tuple[bytes, list[KeyAction]]:
        """What is for the guest, and what is for pykvm."""
        passed = bytearray()
        actions = []
        for byte in typed:
            if not self._escaped:
                if byte == ESCAPE:
                    self._escaped = True
                else:
                    passed.append(byte)
                continue
            self._escaped = False
            match byte:
                case 0x78 | 0x58:  # x, X
                    actions.append(KeyAction.LEAVE)
                case 0x68 | 0x48 | 0x3F:  # h, H, ?
                    actions.append(KeyAction.HELP)
                case 0x70 | 0x50:  # p, P
                    actions.append(KeyAction.POWER_BUTTON)
                case 0x63 | 0x43:  # c, C
                    passed.append(0x03)
                case 0x01:
                    passed.append(ESCAPE)
                case _:
                    passed += bytes((ESCAPE, byte))
        return bytes(passed), actions


def print_help() -> None:
    """Tell the escape sequences on standard error."""
    write_error(HELP)


class Keyboard:
    """What is typed at a terminal: the guest's, but for the escape sequences, which it obeys.

    Args:
        actions: what to call for each escape sequence.
    """

    def __init__(self, actions: Mapping[KeyAction, Callable[[], None]]) -> None:
        self._actions = actions
        self._filter = EscapeFilter()

    def take(self, typed: bytes) -> bytes:
        """Obey; returns what is for the guest."""
        passed, actions = self._filter.feed(typed)
        for action in actions:
            self._actions[action]()
        return passed


def is_foreground(fd: int) -> bool:
    """Whether `fd` is a terminal that this process may use; one that may not would be stopped."""
    if not os.isatty(fd):
        return False
    try:
        return os.tcgetpgrp(fd) == os.getpgrp()
    except OSError as error:
        # not the controlling terminal: no job control there
        return error.errno == errno.ENOTTY


class RawTerminal:
    """Every key goes to the guest at once, unechoed, but Ctrl-C still interrupts.

    A context manager: on leaving, the terminal is as it was, unless it was hung up.  Output keeps
    its newline translation, so that guests which print bare line feeds stay readable; that is also
    why there is nothing to drain before a change, which could take for ever.

    Args:
        fd: a terminal.

    Raises:
        OSError: it is none (any more).
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        try:
            self._before = termios.tcgetattr(fd)
        except termios.error as error:
            raise OSError(*error.args) from None

    def __enter__(self) -> RawTerminal:
        raw = termios.tcgetattr(self._fd)
        raw[_IFLAG] &= ~(
            termios.IGNBRK
            | termios.BRKINT
            | termios.PARMRK
            | termios.ISTRIP
            | termios.INLCR
            | termios.IGNCR
            | termios.ICRNL
            | termios.IXON
        )
        raw[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.IEXTEN)
        raw[_LFLAG] |= termios.ISIG
        for key in (termios.VQUIT, termios.VSUSP):
            raw[_CC][key] = _DISABLED
        raw[_CC][termios.VMIN] = 1
        raw[_CC][termios.VTIME] = 0
        self._set(raw)
        return self

    def __exit__(self, *_: object) -> None:
        # sent to the background meanwhile, the terminal is another's, and its modes, too
        if is_foreground(self._fd):
            self._set(self._before)

    def _set(self, attributes: list[Any]) -> None:
        # a terminal that has gone needs no modes
        with suppress(termios.error):
            termios.tcsetattr(self._fd, termios.TCSANOW, attributes)
