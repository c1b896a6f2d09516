"""How a command that could not do its work ends: one line, and a status."""

from __future__ import annotations

from pykvm.cli.streams import STANDARD_OUTPUT, complain
from pykvm.errors import PykvmError
from pykvm.named import NamedTuple

EXIT_FAILURE = 125
EXIT_INTERRUPTED = 130

EXPECTED = (PykvmError, OSError, MemoryError, KeyboardInterrupt, SystemExit)
"""What a user or the host can cause; anything else is a mistake of pykvm's, with a traceback."""


class Failure(NamedTuple):
    """What an exception means to the user.

    Attributes:
        status: the exit status.
        reason: "error", "interrupted" or "terminated", for programs.
        words: one line; empty where there is nothing to say.
    """

    status: int
    reason: str
    words: str


def explain(error: BaseException) -> Failure:
    """What one of `EXPECTED` means."""
    match error:
        case SystemExit():
            # a signal's, or the parser's, which has spoken itself
            status = error.code if isinstance(error.code, int) else 0
            return Failure(status, "terminated", "")
        case KeyboardInterrupt():
            return Failure(EXIT_INTERRUPTED, "interrupted", "")
        case MemoryError():
            words = "the host has not enough memory"
        case OSError() if error.filename == STANDARD_OUTPUT:
            words = f"cannot write to {STANDARD_OUTPUT}: {error.strerror}"
        case OSError():
            about = f": {error.filename}" if error.filename else ""
            words = f"{error.strerror or error}{about}"
        case _:
            words = str(error)
    return Failure(EXIT_FAILURE, "error", " ".join(words.splitlines()))


def report(error: BaseException) -> int:
    """Say on standard error what one of `EXPECTED` means; returns the exit status."""
    failure = explain(error)
    if failure.words:
        complain(failure.words)
    return failure.status
