"""The door of the server, step by step."""

from __future__ import annotations

import socket
from pathlib import Path

from pykvm.gdb.door import BUSY, Door
from tests.support.rsp import framed


def test_one_that_may_not_come_in_is_heard_out(tmp_path: Path) -> None:
    """As gdb does: it acknowledges nothing, asks, and acknowledges the answer; none may fail."""
    path = str(tmp_path / "door")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with Door(listener) as door, _to(path), _to(path) as second:
            door.wait()
            door.wait()
            for said in (b"+", framed(b"qSupported"), b"+", b"+"):
                second.sendall(said)
                door.wait()
            assert second.recv(1 << 16) == BUSY
            assert second.recv(1) == b""
            second.sendall(b"+")


def _to(path: str) -> socket.socket:
    one = socket.socket(socket.AF_UNIX)
    one.connect(path)
    return one
