"""Numbers of bytes, as people write them."""

from __future__ import annotations

import re

from pykvm.errors import GuestMemoryError

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,20})(?:([KMGT])(?:I?B)?|B)?")


def parse_size(text: str) -> int:
    """The number of bytes that `text` means: digits and an optional K, M, G or T (powers of 1024).

    "64K", "16M", "1G", "65536"; "64KiB" and "64KB" mean 64K, "512B" means 512.

    Raises:
        GuestMemoryError: it is not such a size, or not above zero.
    """
    match = _SIZE.fullmatch(text.strip().upper())
    size = int(match[1]) * _UNITS[match[2] or ""] if match else 0
    if not size:
        raise GuestMemoryError(f"{text!r} is not a memory size: write it like 64K, 16M or 1G")
    return size


def size_words(size: int) -> str:
    """A number of bytes, exactly, in the largest unit that divides it: "16 MiB", "1 byte"."""
    for unit in "TGMK":
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]} {unit}iB"
    return f"{size} byte" if size == 1 else f"{size} bytes"


def about_size(size: int) -> str:
    """About so many bytes."""
    for unit in "TGMK":
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:.4g} {unit}iB"
    return f"{size} bytes"
