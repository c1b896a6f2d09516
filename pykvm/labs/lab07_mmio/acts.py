"""Acts upon a student's canvas, one after the other, and what should come of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from pykvm.bus import MEMORY_SPACE, Bus, Device
from pykvm.labs.lab07_mmio.model import LENGTH, Model, difference, nbytes, place
from pykvm.labs.steps import Wrong
from pykvm.labs.student import Student
from pykvm.labs.work import Work

FILE = "canvas.py"
TOLD = 6
"""How many acts before the one that went wrong a message tells."""

Act = tuple[str, int, int] | tuple[str, int, int, int] | tuple[str]
"""("read", offset, size), ("write", offset, size, value) or ("look",): take what is seen."""
LOOK: Act = ("look",)


class Front(Protocol):
    """Something that has a picture."""

    def front(self) -> bytes: ...


def read(offset: int, size: int = 4) -> Act:
    return "read", offset, size


def write(offset: int, value: int, size: int = 4) -> Act:
    return "write", offset, size, value & (1 << 8 * size) - 1


def told(act: Act) -> str:
    """An act in words."""
    match act:
        case (_, int(offset), int(size)):
            return f"read {nbytes(size)} at {place(offset)}"
        case (_, int(offset), int(size), int(value)):
            return f"write {value:#0{2 * size + 2}x} ({nbytes(size)}) at {place(offset)}"
    return "look at front()"


class Careful(Device):
    """The student's canvas, whose answers are looked at before the bus takes them."""

    def __init__(self, canvas: Any) -> None:
        self.name = "canvas"
        self.width = canvas.width
        self._canvas = canvas

    def read(self, offset: int, size: int) -> int:
        """What the student's says, if it is a number."""
        value = self._canvas.read(offset, size)
        if not isinstance(value, int):
            raise Wrong(f"read({offset:#x}, {size}) returned {value!r}, not a number")
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """As the student's."""
        self._canvas.write(offset, size, value)


def do(act: Act, bus: Bus, canvas: Front) -> int | bytes:
    """What comes of one act; 0 of a write."""
    match act:
        case (_, int(offset), int(size)):
            return bus.read(offset, size)
        case (_, int(offset), int(size), int(value)):
            bus.write(offset, size, value)
            return 0
    seen = canvas.front()
    if not isinstance(seen, bytes | bytearray):
        raise Wrong(f"front() returned {type(seen).__name__}, not bytes")
    return bytes(seen)


def bus_of(device: Device) -> Bus:
    """A bus with a canvas at 0."""
    bus = Bus("MMIO", MEMORY_SPACE)
    bus.attach(0, LENGTH, device)
    return bus


def play(student: Student, columns: int, rows: int, acts: Sequence[Act]) -> list[int | bytes]:
    """What the student's canvas makes of each."""
    canvas = student.get(FILE, "Canvas")(columns, rows)
    bus = bus_of(Careful(canvas))
    answers = []
    for act in acts:
        try:
            answers.append(do(act, bus, canvas))
        except Exception:
            print(f"the guest did this: {told(act)}")
            raise
    return answers


def perform(
    work: Work, columns: int, rows: int, acts: Sequence[Act], *, seconds: float = 10
) -> None:
    """Have them done; `Wrong` at the first of which comes what should not.

    Args:
        columns, rows: of the canvas, which is a new one.
        seconds: how long the student's may take for all.
    """
    answers = work.scenario(play, columns, rows, list(acts), seconds=seconds)
    model = Model(columns, rows)
    bus = bus_of(model)
    for i, (act, answer) in enumerate(zip(acts, answers, strict=True)):
        right = do(act, bus, model)
        if answer == right and type(answer) is type(right):
            continue
        if isinstance(right, bytes):
            what = f"in front() {difference(answer, right, columns)}"
        else:
            digits = 2 * int(act[2]) + 2 if len(act) > 2 else 2
            what = f"{told(act)} gave {answer:#0{digits}x}, it should give {right:#0{digits}x}"
        before = "; ".join(map(told, acts[max(i - TOLD, 0) : i]))
        more = "...; " if i > TOLD else ""
        after = f", after: {more}{before}" if before else ""
        raise Wrong(f"on a canvas of {columns}x{rows}{after}: {what}")
