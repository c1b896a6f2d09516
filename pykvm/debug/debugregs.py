"""The four debug registers, shared between a debugger and its guest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from pykvm.debug.points import Point
    from pykvm.kvm.state import DebugRegs

COUNT = 4
DR6_BITS = 0xF
"""B0 to B3 (SDM vol. 3B, 18.2.3)."""

DR6_BS = 1 << 14
_DR7_FIXED = 0x400
_EXECUTE, _WRITE, _ACCESS = 0, 1, 3
_CONDITION = {
    "software": _EXECUTE,
    "hardware": _EXECUTE,
    "write": _WRITE,
    "read": _ACCESS,
    "access": _ACCESS,
}
"""R/W of DR7 (SDM vol. 3B, 18.2.4); nothing stops at reads alone."""

_LENGTH = {1: 0, 2: 1, 4: 3, 8: 2}


class Loaded(NamedTuple):
    """What the processor is given.

    Attributes:
        registers: DR0 to DR7, for KVM_SET_GUEST_DEBUG.
        owners: whose each of DR0 to DR3 is: a point, the number of the guest's own register that
            it stands for, or nobody's.
    """

    registers: tuple[int, ...]
    owners: tuple[Point | int | None, ...]

    @property
    def in_use(self) -> bool:
        """Whether any of them is anybody's."""
        return any(owner is not None for owner in self.owners)


class DebugRegisters:
    """Which points have which of DR0 to DR3."""

    def __init__(self) -> None:
        self._points: list[Point | None] = [None] * COUNT

    @property
    def points(self) -> list[Point]:
        """Those that have one."""
        return [point for point in self._points if point is not None]

    def take(self, point: Point) -> bool:
        """Give `point` a register; False if there is none left."""
        if None not in self._points:
            return False
        self._points[self._points.index(None)] = point
        return True

    def give_back(self, point: Point) -> None:
        """Take the register of `point` away, if it has one."""
        self._points = [None if other == point else other for other in self._points]

    def load(self, guest: DebugRegs, lifted: Container[Point] = ()) -> Loaded:
        """What is to be in force: the points, and in what they leave, the guest's own.

        KVM keeps the guest's registers apart, so what it reads there is always its own.

        Args:
            guest: its own.
            lifted: points without effect for now.
        """
        slots: list[tuple[Point | int | None, int, int]] = [
            (None, 0, 0) if point is None or point in lifted else (point, *_encode(point))
            for point in self._points
        ]
        own = iter(_enabled(guest))
        for index, (owner, _, _) in enumerate(slots):
            if owner is None and self._points[index] is None:
                slots[index] = next(own, (None, 0, 0))
        dr7 = _DR7_FIXED
        for index, (owner, _, condition) in enumerate(slots):
            if owner is not None:
                dr7 |= 2 << 2 * index | condition << 16 + 4 * index
        registers = (*(address for _, address, _ in slots), 0, 0, 0, dr7)
        return Loaded(registers, tuple(owner for owner, _, _ in slots))


def hit_owners(owners: Sequence[Point | int | None], dr6: int) -> Iterable[Point | int]:
    """Whose registers DR6 says were met."""
    return [owner for index, owner in enumerate(owners) if owner is not None and dr6 >> index & 1]


def _encode(point: Point) -> tuple[int, int]:
    """The address, and R/W and LEN as DR7 has them for DR0, at bit 16."""
    length = 0 if point.is_breakpoint else _LENGTH[point.size]
    return point.address, _CONDITION[point.kind] | length << 2


def _enabled(guest: DebugRegs) -> list[tuple[int, int, int]]:
    """The guest's own breakpoints that are on: the register's number, address, R/W and LEN."""
    return [
        (index, guest.db[index], guest.dr7 >> 16 + 4 * index & 0xF)
        for index in range(COUNT)
        if guest.dr7 >> 2 * index & 3
    ]
