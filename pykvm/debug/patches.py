"""INT3 in guest memory: software breakpoints, put there, hidden and taken away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.memory import Gpa

if TYPE_CHECKING:
    from pykvm.debug.points import Point
    from pykvm.memory import GuestMemory

INT3 = 0xCC


class _Patch:
    """One byte of RAM that is INT3 for a while."""

    def __init__(self, original: int) -> None:
        self.original = original
        self.points: list[Point] = []


class Patches:
    """The breakpoints in a machine's memory, by where in RAM they are.

    What linear address leads there is forgotten: a page mapped twice has its breakpoints twice.

    Args:
        memory: the machine's.
    """

    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory
        self._by_gpa: dict[int, _Patch] = {}

    def __bool__(self) -> bool:
        return bool(self._by_gpa)

    def put(self, point: Point, gpa: Gpa) -> None:
        """Put INT3 at `gpa`, which is RAM, for `point`."""
        patch = self._by_gpa.get(gpa)
        if patch is None:
            patch = self._by_gpa[gpa] = _Patch(self._memory.read_uint(gpa, 1))
            self.restore(gpa)
        patch.points.append(point)

    def take(self, point: Point) -> None:
        """Take away what was put for `point`."""
        for gpa, patch in list(self._by_gpa.items()):
            if point in patch.points:
                patch.points.remove(point)
                if not patch.points:
                    self.lift(Gpa(gpa))
                    del self._by_gpa[gpa]

    def at(self, gpa: int) -> Point | None:
        """The breakpoint that is at a byte of RAM."""
        patch = self._by_gpa.get(gpa)
        return patch.points[0] if patch is not None else None

    def lift(self, gpa: Gpa) -> None:
        """Have the guest find what was there, until `restore`; unless it has written there."""
        if self._memory.read_uint(gpa, 1) == INT3:
            self._memory.write_uint(gpa, 1, self._by_gpa[gpa].original)

    def restore(self, gpa: Gpa) -> None:
        """Have the guest find INT3 there; what it has written itself is what was there."""
        self._by_gpa[gpa].original = self._memory.read_uint(gpa, 1)
        self._memory.write_uint(gpa, 1, INT3)

    def hide(self, gpa: int, data: bytes) -> bytes:
        """What would be in RAM at `gpa` without breakpoints, where it is `data`."""
        hidden = bytearray(data)
        for place, patch in self._within(gpa, len(data)):
            if hidden[place] == INT3:
                hidden[place] = patch.original
        return bytes(hidden)

    def write(self, gpa: Gpa, data: bytes) -> None:
        """Store `data` at `gpa`, underneath the breakpoints."""
        stored = bytearray(data)
        for place, patch in self._within(gpa, len(data)):
            patch.original = stored[place]
            stored[place] = INT3
        self._memory.write(gpa, stored)

    def _within(self, gpa: int, length: int) -> list[tuple[int, _Patch]]:
        return [(a - gpa, p) for a, p in self._by_gpa.items() if gpa <= a < gpa + length]
