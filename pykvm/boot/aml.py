"""A builder of ACPI Machine Language: each function returns the bytes of one term.

Terms nest by passing what one function returned to another:

    scope("\\_SB_", device("COM1", name("_HID", integer(eisa_id("PNP0501")))))

Source: ACPI 6.0, 20.2 (AML grammar) and 6.4.2 (small resource descriptors).
"""

from __future__ import annotations

import re
import struct

_ROOT = "\\"
_DUAL_NAME = b"\x2e"
_MULTI_NAME = b"\x2f"
_NULL_NAME = b"\x00"
_NAME_SEGMENT = re.compile(r"[A-Z_][A-Z0-9_]{0,3}")
_EISA_ID = re.compile(r"[A-Z]{3}[0-9A-F]{4}")

_ZERO = b"\x00"
_ONE = b"\x01"
_NAME = b"\x08"
_STRING = b"\x0d"
_SCOPE = b"\x10"
_BUFFER = b"\x11"
_PACKAGE = b"\x12"
_DEVICE = b"\x5b\x82"

_INTEGERS = ((1, b"\x0a"), (2, b"\x0b"), (4, b"\x0c"), (8, b"\x0e"))
"""The prefix of an integer constant of so many bytes."""

_IRQ = 0x22
_IO_PORT = 0x47
_DECODES_16_BITS = 1
_END_TAG = b"\x79\x00"
"""A checksum of 0 counts as right (6.4.2.9)."""


def package_length(content: int) -> bytes:
    """The PkgLength in front of `content` bytes, which counts its own bytes, too (20.2.4).

    Args:
        content: 0 to 2**28 - 5.

    Raises:
        ValueError: it is more.
    """
    if content + 1 < 1 << 6:
        return bytes([content + 1])
    for following in (1, 2, 3):
        length = content + 1 + following
        if length < 1 << 4 + 8 * following:
            lead = following << 6 | length & 0xF
            return bytes([lead]) + (length >> 4).to_bytes(following, "little")
    raise ValueError(f"no AML package holds {content} bytes")


def name_string(path: str) -> bytes:
    """A NameString (20.2.2): segments of up to four characters with dots between.

    Args:
        path: "_CRS", "COM1._CRS", "\\_SB_.COM1", or "\\" for the root.

    Raises:
        ValueError: it is not such a path, or has more than 255 segments.
    """
    prefix, below = (b"\\", path[1:]) if path.startswith(_ROOT) else (b"", path)
    segments = below.split(".") if below else []
    if not all(_NAME_SEGMENT.fullmatch(segment) for segment in segments) or not path:
        raise ValueError(f"{path!r} is not an ACPI name")
    names = b"".join(segment.ljust(4, "_").encode() for segment in segments)
    if not segments:
        return prefix + _NULL_NAME
    if len(segments) == 1:
        return prefix + names
    if len(segments) == 2:
        return prefix + _DUAL_NAME + names
    if len(segments) > 0xFF:
        raise ValueError(f"{path[:20]!r}... has more than 255 segments")
    return prefix + _MULTI_NAME + bytes([len(segments)]) + names


def integer(value: int) -> bytes:
    """An integer constant in its shortest encoding (20.2.3).

    Args:
        value: 0 to 2**64 - 1.

    Raises:
        ValueError: it is not.
    """
    if value == 0:
        return _ZERO
    if value == 1:
        return _ONE
    for size, prefix in _INTEGERS:
        if 0 < value < 1 << 8 * size:
            return prefix + value.to_bytes(size, "little")
    raise ValueError(f"{value} is not a 64-bit integer")


def string(text: str) -> bytes:
    """A string of ASCII characters without NUL (20.2.3).

    Raises:
        ValueError: it has others.
    """
    if not text.isascii() or "\0" in text:
        raise ValueError(f"{text!r} is not ASCII text")
    return _STRING + text.encode() + b"\0"


def eisa_id(text: str) -> int:
    """The 32-bit number of an EISA identifier such as "PNP0501" (19.6.36, EISAID).

    Three letters of five bits each, then four hexadecimal digits, most significant byte first.

    Raises:
        ValueError: it is not one.
    """
    if not _EISA_ID.fullmatch(text):
        raise ValueError(f"{text!r} is not an EISA identifier like PNP0501")
    first, second, third = (ord(letter) - ord("@") for letter in text[:3])
    packed = first << 26 | second << 21 | third << 16 | int(text[3:], 16)
    return int.from_bytes(packed.to_bytes(4, "big"), "little")


def name(path: str, value: bytes) -> bytes:
    """Name (path, value): a named object (20.2.5.1)."""
    return _NAME + name_string(path) + value


def package(*elements: bytes) -> bytes:
    """A package of at most 255 elements (20.2.5.4, DefPackage)."""
    content = bytes([len(elements)]) + b"".join(elements)
    return _PACKAGE + package_length(len(content)) + content


def buffer(data: bytes) -> bytes:
    """A buffer that holds `data` (20.2.5.4, DefBuffer)."""
    content = integer(len(data)) + data
    return _BUFFER + package_length(len(content)) + content


def scope(path: str, *terms: bytes) -> bytes:
    """Scope (path) { terms } (20.2.5.1)."""
    content = name_string(path) + b"".join(terms)
    return _SCOPE + package_length(len(content)) + content


def device(path: str, *terms: bytes) -> bytes:
    """Device (path) { terms } (20.2.5.2)."""
    content = name_string(path) + b"".join(terms)
    return _DEVICE + package_length(len(content)) + content


def resource_template(*descriptors: bytes) -> bytes:
    """A buffer of resource descriptors with the end tag that belongs behind them (6.4)."""
    return buffer(b"".join(descriptors) + _END_TAG)


def io_ports(base: int, count: int) -> bytes:
    """An I/O port descriptor: `count` (1 to 255) fixed ports from `base` on (6.4.2.5)."""
    return struct.pack("<BBHHBB", _IO_PORT, _DECODES_16_BITS, base, base, 1, count)


def irq(number: int) -> bytes:
    """An IRQ descriptor: one edge-triggered, active-high ISA interrupt, 0 to 15 (6.4.2.1)."""
    return struct.pack("<BH", _IRQ, 1 << number)
