"""Breakpoints and watchpoints as clients ask for them, and the points that they are made of.

Source: GDB manual, appendix "GDB Remote Serial Protocol", section "Packets", `z` packets.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from pykvm.debug.debugger import Point
from pykvm.errors import PykvmError
from pykvm.gdb.packets import EINVAL, PacketError, number

if TYPE_CHECKING:
    from pykvm.debug.debugger import Debugger

KINDS = {b"0": "software", b"1": "hardware", b"2": "write", b"3": "read", b"4": "access"}
"""The types of `z` packets, and of points."""

_BREAKPOINTS = ("software", "hardware")

_MOST_PIECES = 4
"""A processor has as many debug registers (SDM vol. 3B, 18.2)."""


class Points:
    """The points of one client.

    Args:
        debugger: where they are inserted.
    """

    def __init__(self, debugger: Debugger) -> None:
        self._debugger = debugger
        self._asked: dict[_Asked, list[Point]] = {}
        self._uses: Counter[Point] = Counter()

    def insert(self, what: bytes) -> None:
        """Obey `ZWHAT`; again is no different from once.

        Raises:
            PacketError: it is no point, or one that cannot be had.
        """
        asked = _parse(what)
        if asked in self._asked:
            return
        done: list[Point] = []
        try:
            for point in asked.points():
                if not self._uses[point]:
                    self._debugger.insert(point)
                self._uses[point] += 1
                done.append(point)
        except PykvmError as error:
            self._take_away(done)
            raise PacketError(EINVAL, str(error)) from None
        self._asked[asked] = done

    def remove(self, what: bytes) -> None:
        """Obey `zWHAT`; what is not there need not be removed.

        Raises:
            PacketError: it is no point.
        """
        self._take_away(self._asked.pop(_parse(what), []))

    def clear(self) -> None:
        """Remove all."""
        for points in self._asked.values():
            self._take_away(points)
        self._asked.clear()

    def move_to(self, debugger: Debugger) -> None:
        """Insert all into a machine that has taken the old one's place, as far as it can."""
        self._debugger = debugger
        for point in self._uses:
            with suppress(PykvmError):
                debugger.insert(point)

    def breakpoint_at(self, address: int) -> Point | None:
        """The breakpoint there, if there is one."""
        for point in self._uses:
            if point.address == address and point.kind in _BREAKPOINTS:
                return point
        return None

    def _take_away(self, points: list[Point]) -> None:
        """Remove what nothing else asks for."""
        for point in points:
            self._uses[point] -= 1
            if not self._uses[point]:
                del self._uses[point]
                with suppress(PykvmError):
                    self._debugger.remove(point)


class _Asked(NamedTuple):
    """What one packet asks for."""

    kind: str
    address: int
    size: int

    def points(self) -> list[Point]:
        """The points that it takes."""
        if self.kind in _BREAKPOINTS:
            return [Point(self.kind, self.address)]
        return [Point(self.kind, at, size) for at, size in cut(self.address, self.size)]


def _parse(what: bytes) -> _Asked:
    """`TYPE,ADDR,KIND`; a watchpoint's KIND is its length in bytes."""
    fields = what.split(b",")
    if len(fields) != 3 or fields[0] not in KINDS:
        raise PacketError(EINVAL, "not a point")
    return _Asked(KINDS[fields[0]], number(fields[1]), number(fields[2]))


def cut(address: int, length: int) -> list[tuple[int, int]]:
    """Cut a range into what debug registers watch: 1, 2, 4 or 8 bytes, aligned.

    Raises:
        PacketError: it is empty, takes more of them than there are, or leaves the address space.
    """
    end = address + length
    if not length or end > 1 << 64:
        raise PacketError(EINVAL, "nothing to watch")
    pieces: list[tuple[int, int]] = []
    while address < end:
        if len(pieces) == _MOST_PIECES:
            raise PacketError(EINVAL, f"{length} bytes take too many debug registers")
        size = 8
        while address % size or address + size > end:
            size //= 2
        pieces.append((address, size))
        address += size
    return pieces
