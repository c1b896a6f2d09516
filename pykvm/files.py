"""Opening a file of the host's that the user has named, which may be anything."""

from __future__ import annotations

import errno
import os
import stat

NOT_REGULAR = "is not a regular file"


def open_regular(path: str | os.PathLike[str], access: int = os.O_RDONLY) -> tuple[int, int]:
    """Open a regular file; of anything else, a FIFO say, nothing is waited for.

    Args:
        path: its name.
        access: os.O_RDONLY or os.O_RDWR.

    Returns:
        a descriptor, which is not inherited, and the file's size in bytes.

    Raises:
        OSError: it cannot be opened, or `strerror` is `NOT_REGULAR`.
        ValueError: there is a zero byte in its name.
    """
    fd = os.open(path, access | os.O_NONBLOCK | os.O_CLOEXEC)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        raise OSError(errno.EINVAL, NOT_REGULAR, path)
    return fd, status.st_size
