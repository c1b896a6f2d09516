"""The machines on which a checker has the student's driver draw, and what it saw there."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from pykvm.bus import Device
from pykvm.labs.lab07_mmio.acts import FILE
from pykvm.labs.lab07_mmio.model import BASE, ID, LENGTH, Model
from pykvm.labs.student import Student

DRIVER_SECONDS = 3


class Drawn(NamedTuple):
    """What became of a driver.

    Attributes:
        end: "halted", "timeout", ...
        picture: what is seen.
        flips, accesses: how many there were.
        refused: the first access that the canvas refused; empty if none.
    """

    end: str
    picture: bytes
    flips: int
    accesses: int
    refused: str


def run_on(image: bytes, devices: Sequence[Device]) -> list[str]:
    """How a guest in long mode ends with each of the devices."""
    from pykvm.errors import GuestCrash
    from pykvm.machine import Machine
    from pykvm.x86 import Mode

    ends = []
    with Machine("1M", irqchip="none") as machine:
        for device in devices:
            machine.mmio.attach(BASE, LENGTH, device)
            machine.load(image, mode=Mode.LONG, bios=False)
            try:
                ends.append(machine.run(timeout=DRIVER_SECONDS).reason.value)
            except GuestCrash as error:
                ends.append(f"crashed: {error.cause}")
            machine.mmio.detach(BASE)
    return ends


def draw(
    _: Student, image: bytes, sizes: list[tuple[int, int]], seed: int
) -> list[tuple[object, ...]]:
    """A `Drawn` for each size, as a plain value: the student's driver on the checker's canvas."""
    random = Random(seed)
    models = [Model(columns, rows, random) for columns, rows in sizes]
    return [
        (end, model.front(), model.flips, model.accesses, model.refused)
        for end, model in zip(run_on(image, models), models, strict=True)
    ]


class Stranger(Device):
    """A device that is no canvas: it has another ID."""

    name = "stranger"
    width = 8

    def __init__(self, identity: int) -> None:
        self._identity = identity
        self.writes = 0

    def read(self, offset: int, size: int) -> int:
        """The ID; else all ones, as where no device is."""
        return self._identity | -1 << 32 if offset == ID else -1

    def write(self, offset: int, size: int, value: int) -> None:
        """Counted."""
        self.writes += 1


def meet(_: Student, image: bytes, identities: list[int]) -> list[tuple[str, int]]:
    """How the driver ends that meets each of them, and how often it writes there."""
    strangers = [Stranger(identity) for identity in identities]
    ends = run_on(image, strangers)
    return [(end, stranger.writes) for end, stranger in zip(ends, strangers, strict=True)]


def draw_together(student: Student, image: bytes, columns: int, rows: int) -> tuple[str, bytes]:
    """The student's driver on the student's canvas: how it ends, and what is seen."""
    canvas = student.get(FILE, "Canvas")(columns, rows)
    (end,) = run_on(image, [canvas])
    return end, bytes(canvas.front())
