"""The other end of the Remote Serial Protocol: a client for tests, apart from the server."""

from __future__ import annotations

import re
import socket

PATIENCE = 60.0


def checksum(raw: bytes) -> bytes:
    """As two digits."""
    return b"%02x" % (sum(raw) % 256)


def framed(content: bytes) -> bytes:
    """A packet as a client sends it: escaped, never compressed."""
    raw = b"".join(b"}" + bytes((b ^ 0x20,)) if b in b"#$}*" else bytes((b,)) for b in content)
    return b"$" + raw + b"#" + checksum(raw)


def expanded(raw: bytes) -> bytes:
    """A reply's content, its runs written out and its escapes undone."""
    plain = bytearray()
    at = 0
    while at < len(raw):
        if raw[at] == ord("*"):
            plain += plain[-1:] * (raw[at + 1] - 29)
            at += 1
        else:
            plain.append(raw[at])
        at += 1
    return re.sub(rb"}(.)", lambda m: bytes((m[1][0] ^ 0x20,)), bytes(plain), flags=re.DOTALL)


class RspClient:
    """A debugger's end of a connection; a context manager.

    Args:
        connection: a connected socket.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.settimeout(PATIENCE)
        self._came = bytearray()

    def __enter__(self) -> RspClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(raw)

    def byte(self) -> bytes:
        """The next byte; empty at the connection's end."""
        if not self._came:
            try:
                self._came += self.socket.recv(1 << 16)
            except ConnectionResetError:
                return b""
        first = bytes(self._came[:1])
        del self._came[:1]
        return first

    def reply(self) -> bytes:
        """The next packet's content, acknowledgements before it left out.

        Raises:
            EOFError: the connection ended.
        """
        while (byte := self.byte()) != b"$":
            if not byte:
                raise EOFError("the server has closed the connection")
            assert byte in (b"+", b"-"), byte
        raw = bytearray()
        while (byte := self.byte()) != b"#":
            if not byte:
                raise EOFError("the server has closed the connection within a packet")
            raw += byte
        told = self.byte() + self.byte()
        assert told == checksum(bytes(raw))
        return expanded(bytes(raw))

    def ask(self, content: bytes) -> bytes:
        """Send a packet; its reply, acknowledged."""
        self.send(framed(content))
        reply = self.reply()
        self.send(b"+")
        return reply

    def command(self, words: str) -> str:
        """What gdb's `monitor WORDS` shows."""
        self.send(framed(b"qRcmd," + words.encode().hex().encode()))
        shown = b""
        while (reply := self.reply()) != b"OK":
            assert reply.startswith(b"O"), reply
            shown += bytes.fromhex(reply[1:].decode())
        return shown.decode()

    def is_closed(self) -> bool:
        """Whether nothing more comes."""
        return self.byte() == b""
