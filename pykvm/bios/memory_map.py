"""The memory map in the words of BIOSes before E820."""

from __future__ import annotations

from collections.abc import Iterable

from pykvm.boot.e820 import USABLE
from pykvm.layout import MIB


def extended_memory(ranges: Iterable[tuple[int, int, int]]) -> int:
    """How many bytes are usable from 1 MiB on, without a gap.

    Args:
        ranges: base, size and type.
    """
    end = MIB
    for base, size, kind in sorted(ranges):
        if kind == USABLE and base <= end < base + size:
            end = base + size
    return end - MIB
