"""Files that a command writes when it is done: that they can be written is known before."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import Self

from pykvm.errors import SinkError


class OutputFile:
    """A file that a command is to write, opened at once, and left as it is until it is written.

    A context manager; on leaving, a file that is new and empty is removed.

    Args:
        option: what named it, for messages.
        path: where.

    Raises:
        SinkError: it cannot be written.
    """

    def __init__(self, option: str, path: str) -> None:
        self._option = option
        self._path = path
        self._is_new_and_empty = False
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        try:
            try:
                self._fd = os.open(path, flags | os.O_EXCL, 0o666)
                self._is_new_and_empty = True
            except FileExistsError:
                self._fd = os.open(path, flags, 0o666)
        except (OSError, ValueError) as error:
            raise self._failure(error) from None

    def write(self, content: bytes) -> None:
        """Have `content` in it, and nothing else.

        Raises:
            SinkError: a full disk, a closed pipe.
        """
        self._is_new_and_empty = False
        try:
            if stat.S_ISREG(os.fstat(self._fd).st_mode):
                os.ftruncate(self._fd, 0)
            data = memoryview(content)
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            raise self._failure(error) from None

    def _failure(self, error: Exception) -> SinkError:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return SinkError(f"{self._option}: cannot write {self._path!r}: {why}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        if self._is_new_and_empty:
            with suppress(OSError):
                os.unlink(self._path)
