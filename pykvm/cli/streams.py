"""Standard output and standard error, which may be closed, full or without a reader."""

from __future__ import annotations

import os
import sys

from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

STANDARD_OUTPUT = "standard output"


def complain(text: str) -> None:
    """Say `text` on standard error, after the program's name; nobody may be listening."""
    write_error(f"pykvm: {text}\n")


def write_error(text: str) -> None:
    """Write to standard error what can be written; `print` would turn to standard output."""
    if sys.stderr is None:
        return
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        _forget(sys.stderr)


def say(text: str) -> None:
    """Write `text` to standard output, now; a program that was started without one says nothing.

    Raises:
        OSError: it cannot take it.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        _forget(sys.stdout)
        raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from None


def columns() -> int | None:
    """How wide the terminal at standard output is; None where there is none."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def _forget(stream: TextIO) -> None:
    """Let nothing come of what is left in it, as the interpreter tries once more at its end."""
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, stream.fileno())
    os.close(null)
