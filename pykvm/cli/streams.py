"""Standard output and standard error, which may be closed, full or without a reader."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

STANDARD_OUTPUT = "standard output"


def complain(text: str) -> None:
    """Say `text` on standard error, after the program's name; nobody may be listening."""
    write_error(f"pykvm: {text}\n")


def write_error(text: str) -> None:
    """Write to standard error what can be written; `print` would turn to standard output."""
    if sys.stderr is None:
        return
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def say(text: str) -> None:
    """Write `text` to standard output, now; a program that was started without one says nothing.

    Raises:
        OSError: it cannot take it, and is forgotten, so that the interpreter does not complain
            again at its end.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        raise OSError(error.errno, error.strerror, STANDARD_OUTPUT) from None
