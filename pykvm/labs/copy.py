"""A copy of this process as a child: what Python has imported so far need not be imported again."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

UNEXPECTED = 70
"""Its exit status if the function raises: EX_SOFTWARE of sysexits.h."""


class Copy:
    """A child by fork(2), which calls a function and ends.

    As of a new interpreter, nothing of its parent's is open in it but the standard streams and one
    pipe, and it leads a session of its own.  To be used where no other thread runs: a lock that
    one holds stays locked in the copy for ever.

    Args:
        function: called in the copy with the descriptor of the pipe.  What it leaves unflushed is
            lost; exit functions of the parent's do not run.
        pipe: that descriptor.
        cwd: the copy's current directory.

    Attributes:
        pid: its number.
        stdin: what is written here is its standard input.
        stdout: its standard output and error.
    """

    def __init__(self, function: Callable[[int], None], pipe: int, cwd: Path | str) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()  # else the copy has it to write, too
        given, self._given = os.pipe()
        self._printed, printed = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _become(function, pipe, given, printed, cwd)
        os.close(given)
        os.close(printed)
        self.stdin: BinaryIO = os.fdopen(self._given, "wb", 0)
        self.stdout: BinaryIO = os.fdopen(self._printed, "rb", 0)
        self._status: int | None = None

    def wait(self) -> int:
        """Wait for its end; returns its exit status, negative for the signal that killed it."""
        if self._status is None:
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def __enter__(self) -> Copy:
        return self

    def __exit__(self, *_: object) -> None:
        self.stdin.close()
        self.stdout.close()
        self.wait()


def _become(
    function: Callable[[int], None], pipe: int, given: int, printed: int, cwd: Path | str
) -> NoReturn:
    status = UNEXPECTED
    try:
        os.setsid()
        os.chdir(cwd)
        for old, new in ((given, 0), (printed, 1), (printed, 2)):
            os.dup2(old, new)
        for name in os.listdir("/proc/self/fd"):
            if int(name) > 2 and int(name) != pipe:
                with suppress(OSError):  # that of the listing itself
                    os.close(int(name))
        # whoever replaced Python's streams, as test runners do, replaced them for the parent
        sys.stdin = os.fdopen(0, closefd=False)
        sys.stdout = os.fdopen(1, "w", closefd=False)
        sys.stderr = os.fdopen(2, "w", 1, errors="backslashreplace", closefd=False)
        function(pipe)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
