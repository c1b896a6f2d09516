"""Where the server listens: what is typed, and the socket made of it."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from typing import NamedTuple

from pykvm.errors import PykvmError

LOOPBACK = "localhost"
UNIX = "unix:"


class GdbServerError(PykvmError):
    """The server cannot listen where it was told to."""


class TcpAddress(NamedTuple):
    """A host, by default this one alone, and a port; port 0 is one that the system chooses."""

    host: str
    port: int


class UnixAddress(NamedTuple):
    """The path of a socket."""

    path: str


Address = TcpAddress | UnixAddress


def parse_address(text: str) -> Address:
    """[HOST:]PORT or unix:PATH; an IPv6 address stands in brackets.

    Raises:
        ValueError: it is neither; says what is wrong.
    """
    if text.startswith(UNIX):
        path = text.removeprefix(UNIX)
        if not path:
            raise ValueError(f"{text!r} names no socket: write unix:PATH")
        return UnixAddress(path)
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r}: write an IPv6 address in brackets: [::1]:1234")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 0xFFFF):
        raise ValueError(f"{text!r} is not [HOST:]PORT or unix:PATH (PORT is 0 to 65535)")
    return TcpAddress(host or LOOPBACK, int(port))


class Listener:
    """A socket that clients connect to.  A context manager: on leaving, it is gone.

    Args:
        address: where.

    Attributes:
        socket: it.
        target: what gdb's `target remote` takes to connect to it.

    Raises:
        GdbServerError: it cannot listen there; says why.
    """

    def __init__(self, address: Address) -> None:
        self._path: str | None = None
        if isinstance(address, UnixAddress):
            self.socket = self._listen_at(address.path)
            self._path = self.target = os.path.abspath(address.path)
        else:
            self.socket = self._listen_on(address)
            host = f"[{address.host}]" if ":" in address.host else address.host
            self.target = f"{host}:{self.socket.getsockname()[1]}"

    def _listen_on(self, address: TcpAddress) -> socket.socket:
        where = f"{address.host}:{address.port}"
        try:
            found = socket.getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
        except (OSError, UnicodeError) as error:
            raise GdbServerError(f"gdb: no such host: {address.host}") from error
        # where a name has both, IPv4's is what clients without a resolver take
        family, kind, protocol, _, name = min(found, key=lambda one: one[0] != socket.AF_INET)
        listener = socket.socket(family, kind, protocol)
        try:
            # a port whose last connection has just been closed is free
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(name)
            listener.listen()
        except OSError as error:
            listener.close()
            raise _cannot_listen(where, error) from None
        return listener

    def _listen_at(self, path: str) -> socket.socket:
        _remove_if_dead(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # whoever connects has the guest: nobody but this user
        mask = os.umask(0o177)
        try:
            listener.bind(path)
            listener.listen()
        except OSError as error:
            listener.close()
            raise _cannot_listen(path, error) from None
        finally:
            os.umask(mask)
        return listener

    def close(self) -> None:
        """Close it; a Unix socket's path is removed."""
        self.socket.close()
        path, self._path = self._path, None
        if path is not None:
            with suppress(OSError):
                os.unlink(path)

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _remove_if_dead(path: str) -> None:
    """Remove a socket that nobody listens to any more: its server was killed."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.settimeout(1)
            caller.connect(path)
    except ConnectionRefusedError:
        with suppress(OSError):
            os.unlink(path)
    except OSError:
        return


def _cannot_listen(where: str, error: OSError) -> GdbServerError:
    # a path that is too long for a socket has no error number
    why = os.strerror(error.errno) if error.errno else str(error)
    return GdbServerError(f"gdb: cannot listen at {where}: {why}: choose another place")
