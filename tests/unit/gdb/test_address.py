"""Where the server listens."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest

from pykvm.gdb.address import GdbServerError, Listener, TcpAddress, UnixAddress, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1234", TcpAddress("localhost", 1234)),
        (":1234", TcpAddress("localhost", 1234)),
        ("0", TcpAddress("localhost", 0)),
        ("65535", TcpAddress("localhost", 65535)),
        ("0.0.0.0:1", TcpAddress("0.0.0.0", 1)),
        ("example.org:1234", TcpAddress("example.org", 1234)),
        ("[::1]:1234", TcpAddress("::1", 1234)),
        ("unix:a:b", UnixAddress("a:b")),
    ],
)
def test_addresses(text: str, address: TcpAddress | UnixAddress) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    ["", ":", "x", "65536", "-1", "1234:", "localhost:", "::1", "::1:1234", "1 2", "²", "unix:"],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"^'"):
        parse_address(text)


def test_only_this_host_can_connect_unless_told_otherwise() -> None:
    with Listener(parse_address("0")) as listener:
        host, port = listener.socket.getsockname()
        assert host == "127.0.0.1"
        assert listener.target == f"localhost:{port}"
        socket.create_connection(("127.0.0.1", port)).close()


def test_an_address_in_use() -> None:
    with Listener(TcpAddress("localhost", 0)) as listener:
        port = listener.socket.getsockname()[1]
        with pytest.raises(GdbServerError, match=f"at localhost:{port}: Address already in use"):
            Listener(TcpAddress("localhost", port))
    Listener(TcpAddress("localhost", port)).close()


def test_a_host_that_is_not_there() -> None:
    with pytest.raises(GdbServerError, match=r"no such host: host\.invalid"):
        Listener(TcpAddress("host.invalid", 1))
    with pytest.raises(GdbServerError, match="no such host"):
        Listener(TcpAddress("x" * 300, 1))


def test_a_unix_socket_is_this_user_s_and_goes(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    mask = os.umask(0o22)
    os.umask(mask)
    with Listener(UnixAddress(str(path))) as listener:
        assert listener.target == str(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(listener.target)
    assert not path.exists()
    assert os.umask(mask) == mask


def test_a_socket_in_use_stays(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with Listener(UnixAddress(str(path))):
        with pytest.raises(GdbServerError, match=f"at {path}: Address already in use"):
            Listener(UnixAddress(str(path)))
        assert path.exists()


def test_a_socket_that_a_killed_server_left_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    with Listener(UnixAddress(str(path))) as listener, socket.socket(socket.AF_UNIX) as client:
        client.connect(listener.target)


def test_a_file_is_no_socket_to_replace(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with pytest.raises(GdbServerError, match="Address already in use"):
        Listener(UnixAddress(str(path)))
    assert path.read_text() == "precious"


@pytest.mark.parametrize("path", ["/nonexistent/socket", "x" * 200])
def test_paths_that_cannot_be(path: str) -> None:
    with pytest.raises(GdbServerError, match="gdb: cannot listen at") as caught:
        Listener(UnixAddress(path))
    assert "\n" not in str(caught.value)
