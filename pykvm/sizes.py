"""Numbers of bytes, as people write them."""

from __future__ import annotations

from pykvm.errors import GuestMemoryError

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SUFFIXES = {"": 1, "B": 1} | {
    unit + ending: size for unit, size in _UNITS.items() for ending in ("", "B", "IB")
}
_DIGITS_MAX = 20


def parse_size(text: str) -> int:
    """The number of bytes that `text` means: digits and an optional K, M, G or T (powers of 1024).

    "64K", "16M", "1G", "65536"; "64KiB" and "64KB" mean 64K, "512B" means 512.

    Raises:
        GuestMemoryError: it is not such a size, or not above zero.
    """
    said = text.strip().upper()
    digits = said.rstrip("BIKMGT")
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS_MAX
    size = int(digits) * _SUFFIXES.get(said.removeprefix(digits), 0) if is_number else 0
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
