"""How packets lie on the wire: frames, checksums, escapes and runs; and the hexadecimal in them.

Source: GDB manual, appendix "GDB Remote Serial Protocol", section "Overview".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

PACKET_SIZE = 0x4000
"""The most bytes between `$` and `#`, escapes included: what "PacketSize" promises clients."""

_ESCAPE = 0x7D
_FLIP = 0x20
_TO_ESCAPE = re.compile(rb"[#$}*]")
_ESCAPED = re.compile(rb"}(.?)", re.DOTALL)
_RUN = re.compile(rb"(.)\1{3,}", re.DOTALL)
_COUNT_BASE = 29
_LONGEST_RUN = 126 - _COUNT_BASE
_HEX = re.compile(rb"[0-9a-fA-F]+")


class Mark(Enum):
    """What comes between packets, or in place of one."""

    ACK = "+"
    NAK = "-"
    INTERRUPT = "\x03"
    DAMAGED = "damaged"
    """A packet that is too long or not what its checksum says."""


_MARKS = {ord(mark.value): mark for mark in (Mark.ACK, Mark.NAK, Mark.INTERRUPT)}


class PacketError(Exception):
    """A packet that cannot be obeyed.

    Attributes:
        number: what the client is told: an error number of Linux's, in decimal digits.
    """

    def __init__(self, number: int, words: str = "") -> None:
        super().__init__(words)
        self.number = number

    @property
    def reply(self) -> bytes:
        """The `E NN` packet (section "Standard Replies")."""
        return b"E%02d" % self.number


EFAULT = 14
EINVAL = 22
EBADMSG = 74


def checksum(raw: bytes) -> int:
    """The sum of all bytes between `$` and `#`, modulo 256."""
    return sum(raw) & 0xFF


def escape(data: bytes) -> bytes:
    """Binary data as it may lie in a packet."""
    return _TO_ESCAPE.sub(lambda found: bytes((_ESCAPE, found[0][0] ^ _FLIP)), data)


def unescape(raw: bytes) -> bytes:
    """Undo `escape`; any byte may have been escaped."""
    return _ESCAPED.sub(lambda found: bytes(byte ^ _FLIP for byte in found[1]), raw)


def compress(raw: bytes) -> bytes:
    """Write runs of four and more of a byte as one, `*` and a count (run-length encoding).

    Args:
        raw: a packet's content, escaped.
    """

    def runs(found: re.Match[bytes]) -> bytes:
        byte, left = found[1], len(found[0])
        short = bytearray()
        while left > 3:
            repeats = min(left - 1, _LONGEST_RUN)
            while chr(repeats + _COUNT_BASE) in "#$+-":
                repeats -= 1
            short += byte + b"*" + bytes((repeats + _COUNT_BASE,))
            left -= repeats + 1
        return bytes(short) + byte * left

    return _RUN.sub(runs, raw)


def frame(content: bytes) -> bytes:
    """A packet as it is sent.

    Args:
        content: what it says; binary data in it is escaped already.
    """
    raw = compress(content)
    return b"$%b#%02x" % (raw, checksum(raw))


class Decoder:
    """Cuts what a client sends, in whatever pieces it comes, into packets and marks."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes | Mark]:
        """Take some bytes; yields packets' contents, unescaped, and marks as they are complete."""
        self._buffer += data
        while self._buffer:
            if self._buffer[0] != ord("$"):
                mark = _MARKS.get(self._buffer[0])
                del self._buffer[0]
                if mark is not None:
                    yield mark
                continue
            end = self._buffer.find(b"#")
            again = self._buffer.find(b"$", 1, None if end < 0 else end)
            if again > 0:  # only the start of a packet is never escaped
                del self._buffer[:again]
                yield Mark.DAMAGED
            elif (len(self._buffer) if end < 0 else end) > PACKET_SIZE + 1:
                del self._buffer[: None if end < 0 else end]
                yield Mark.DAMAGED
            elif end < 0 or len(self._buffer) < end + 3:
                return
            else:
                raw, told = bytes(self._buffer[1:end]), bytes(self._buffer[end + 1 : end + 3])
                del self._buffer[: end + 3]
                right = _HEX.fullmatch(told) is not None and int(told, 16) == checksum(raw)
                yield unescape(raw) if right else Mark.DAMAGED


def number(digits: bytes, bits: int = 64) -> int:
    """A number in hexadecimal, as addresses and lengths are.

    Raises:
        PacketError: it is none, or needs more than `bits`.
    """
    if _HEX.fullmatch(digits) is None or len(digits) > 32:
        raise PacketError(EINVAL, "not a hexadecimal number")
    value = int(digits, 16)
    if value >> bits:
        raise PacketError(EINVAL, f"a number of more than {bits} bits")
    return value


def numbers(text: bytes, separator: bytes = b",") -> tuple[int, int]:
    """Two numbers, as `ADDR,LENGTH`.

    Raises:
        PacketError: it is not that.
    """
    first, comma, second = text.partition(separator)
    if not comma:
        raise PacketError(EINVAL, "two numbers are wanted")
    return number(first), number(second)


def from_hex(digits: bytes) -> bytes:
    """Bytes of two hexadecimal digits each.

    Raises:
        PacketError: they are not that.
    """
    if len(digits) % 2 or (digits and _HEX.fullmatch(digits) is None):
        raise PacketError(EINVAL, "not hexadecimal bytes")
    return bytes.fromhex(digits.decode("ascii"))


def to_hex(data: bytes) -> bytes:
    """Two lower-case hexadecimal digits a byte."""
    return data.hex().encode("ascii")
