"""Opening what the user named."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from pykvm.files import open_regular


def test_a_regular_file_and_its_size(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    fd, size = open_regular(path, os.O_RDWR)
    try:
        assert size == 7
        assert os.pwrite(fd, b"C", 0) == 1
        assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    finally:
        os.close(fd)
    assert path.read_bytes() == b"Content"


@pytest.mark.timeout(10)
@pytest.mark.parametrize("kind", ["fifo", "/dev/null"])
def test_anything_else_is_refused_at_once_and_closed(tmp_path: Path, kind: str) -> None:
    path = Path(kind) if kind.startswith("/") else tmp_path / kind
    if kind == "fifo":
        os.mkfifo(path)
    before = os.listdir("/proc/self/fd")
    with pytest.raises(OSError, match="is not a regular file") as error:
        open_regular(str(path))
    assert error.value.strerror == "is not a regular file"
    assert os.listdir("/proc/self/fd") == before


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "missing")
    with pytest.raises(ValueError, match="null"):
        open_regular("a\0b")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    assert os.listdir("/proc/self/fd") == before
