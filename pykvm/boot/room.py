"""Finding room in RAM for what is loaded beside the kernel."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from pykvm.boot.e820 import memory_map, usable
from pykvm.boot.request import Request
from pykvm.boot.state import Piece
from pykvm.errors import ImageError
from pykvm.layout import EBDA, FLAT_LOAD_ADDRESS, GIB
from pykvm.x86 import PAGE_SIZE

REACH_32 = 4 * GIB
"""Where 32-bit pointers end."""

INITIAL_STACK = PAGE_SIZE
"""Kept free below the initial stack pointer: protocols call it undefined, kernels use it all the
same before they set their own."""

LOW_START = 0x1_0000
"""Boot structures are put above it where that is possible: kernels start their other processors
in the first 64 KiB."""


class Room:
    """RAM that nothing lies in yet.

    Args:
        request: the machine.
        pieces: what is in RAM already.
        stack: the initial stack pointer; 0 for none.

    Attributes:
        pieces: all that is in RAM, what was put there included.
    """

    def __init__(self, request: Request, pieces: tuple[Piece, ...], stack: int = 0) -> None:
        self.pieces = pieces
        self._ram = request.ram
        gaps = [(r.base, r.end) for r in usable(memory_map(request.ram, request.reserved))]
        spans = [(p.gpa, p.end) for p in pieces]
        if stack:
            spans.append((max(stack - INITIAL_STACK, 0), stack))
        self._free = _without(gaps, sorted(s for s in spans if s[0] < s[1]))

    def put(self, piece: Piece) -> None:
        """Place a piece whose address was found here."""
        self.pieces += (piece,)
        self._free = _without(self._free, [(piece.gpa, piece.end)] if piece.size else [])

    def is_free(self, start: int, end: int) -> bool:
        """Whether nothing is between the two, and all of it is RAM."""
        place = bisect_right(self._free, (start, 1 << 64)) - 1
        return place >= 0 and self._free[place][0] <= start <= end <= self._free[place][1]

    def lowest(
        self, size: int, *, align: int, start: int = FLAT_LOAD_ADDRESS, end: int = REACH_32
    ) -> int | None:
        """The lowest address with `size` free bytes, a multiple of `align`; None if there is none.

        Args:
            start, end: it lies between these.
        """
        for low, high in self._free:
            address = -(-max(low, start) // align) * align
            if address + size <= min(high, end):
                return address
        return None

    def highest(
        self, size: int, *, align: int, start: int = FLAT_LOAD_ADDRESS, end: int = REACH_32
    ) -> int | None:
        """The highest such address."""
        for low, high in reversed(self._free):
            address = (min(high, end) - size) // align * align
            if address >= max(low, start):
                return address
        return None

    def find_low(self, size: int, what: str, *, end: int = EBDA) -> int:
        """Where a boot structure goes: in low memory, out of the way of most kernels.

        Args:
            size: in bytes; nothing is put there yet.
            what: how errors call it.
            end: it lies below that.

        Raises:
            ImageError: there is no room.
        """
        for start in (LOW_START, FLAT_LOAD_ADDRESS):
            address = self.lowest(size, align=PAGE_SIZE, start=start, end=end)
            if address is not None:
                return address
        raise self.too_small(size, what)

    def too_small(self, size: int, what: str) -> ImageError:
        """To be raised: there is no room for it."""
        return ImageError(
            f"{what}: there is no room for {size} bytes beside the kernel in the guest's "
            f"{self._ram >> 10} KiB of RAM (more: -m)"
        )


def _without(
    gaps: Iterable[tuple[int, int]], spans: list[tuple[int, int]]
) -> list[tuple[int, int]]:
    """The gaps less the spans; both are in order, and spans may overlap."""
    left: list[tuple[int, int]] = []
    place = 0
    for start, end in gaps:
        low = start
        while place < len(spans) and spans[place][0] < end:
            taken, taken_end = spans[place]
            if taken > low:
                left.append((low, taken))
            low = max(low, taken_end)
            if taken_end > end:
                break
            place += 1
        if low < end:
            left.append((low, end))
    return left
