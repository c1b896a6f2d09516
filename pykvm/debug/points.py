"""What a debugger is asked for, and what it tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pykvm.errors import DebugError

if TYPE_CHECKING:
    from pykvm.cpu.stop import Stop
    from pykvm.errors import GuestCrash

BREAKPOINTS = ("software", "hardware")
WATCHPOINTS = ("write", "read", "access")
SIZES = (1, 2, 4, 8)


class Point(NamedTuple):
    """A breakpoint or a watchpoint.

    Attributes:
        kind: "software" or "hardware": before the instruction at `address` is executed; "write",
            "read" or "access" (either): after an instruction that did that.
        address: linear.
        size: of a watchpoint, in bytes: 1, 2, 4 or 8, of which `address` must be a multiple.
    """

    kind: str
    address: int
    size: int = 1

    @property
    def is_breakpoint(self) -> bool:
        """Whether it stops before an instruction."""
        return self.kind in BREAKPOINTS

    def __str__(self) -> str:
        if self.is_breakpoint:
            return f"{self.kind} breakpoint at {self.address:#x}"
        plural = "s" * (self.size > 1)
        return f"{self.kind} watchpoint at {self.address:#x}, {self.size} byte{plural}"


class Event(NamedTuple):
    """Why `Debugger.resume` returned.

    Attributes:
        kind: "breakpoint", "watchpoint", "step" (one instruction is done), "interrupted",
            "ended" (the machine's run: `stop` says how, a timeout included) or "crash".
        processor: the number of the one it happened to.
        point: which one was hit.
        address: the linear address of that processor's next instruction.
        stop: for "ended".
        crash: for "crash".
    """

    kind: str
    processor: int
    point: Point | None = None
    address: int | None = None
    stop: Stop | None = None
    crash: GuestCrash | None = None

    def __str__(self) -> str:
        where = "" if self.address is None else f" at {self.address:#x}"
        text = f"{self.kind}: processor {self.processor}{where}"
        for detail in (self.point, self.crash):
            if detail is not None:
                text += f" ({detail})"
        if self.stop is not None:
            text += f" ({self.stop.reason.value})"
        return text


def check_point(point: Point) -> None:
    """Raise DebugError unless it is one that there can be."""
    if point.kind not in BREAKPOINTS + WATCHPOINTS:
        kinds = ", ".join(BREAKPOINTS + WATCHPOINTS)
        raise DebugError(f"there is no {point.kind!r} point: it is one of {kinds}")
    if not 0 <= point.address < 1 << 64:
        raise DebugError(f"{point.address:#x} is no linear address: it has 64 bits")
    if point.is_breakpoint:
        return
    if point.size not in SIZES:
        raise DebugError(f"a watchpoint is 1, 2, 4 or 8 bytes, not {point.size}")
    if point.address % point.size:
        raise DebugError(
            f"a watchpoint of {point.size} bytes must lie on a multiple of that, "
            f"not at {point.address:#x}"
        )
