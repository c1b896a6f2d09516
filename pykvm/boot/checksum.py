"""The checksum of firmware's tables: all bytes add up to zero, modulo 256."""

from __future__ import annotations


def with_checksum(table: bytes, at: int, length: int | None = None) -> bytes:
    """`table` with the byte at offset `at` such that its first `length` bytes add up to 0.

    Args:
        table: any bytes; what is at `at` does not matter.
        at: below `length`.
        length: how many bytes the checksum covers; None for all.
    """
    covered = sum(table[:length]) - table[at]
    return table[:at] + bytes([-covered & 0xFF]) + table[at + 1 :]
