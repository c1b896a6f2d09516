"""What `pykvm bench exits` measures: a kind is a guest's loop, a machine for it, and two stamps."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple

from pykvm.bench.calibration import Calibration
from pykvm.bench.processors import Places
from pykvm.bench.rig import Sample
from pykvm.kvm.system import System

Measure = Callable[[int], Sample]
"""Measures so many times."""


class Bench(NamedTuple):
    """What there is to set a kind up with."""

    system: System
    places: Places
    calibration: Calibration


class Kind(NamedTuple):
    """One thing to measure.

    Attributes:
        name: for programs and `--only`.
        title: for people, 28 characters at the most.
        what: exactly what is between the stamps.
        set_up: makes a machine for it, which the stack closes.
        by_guest: whether the guest takes the stamps, rather than the C loop.
        instructions: how many are between the stamps besides the one measured.
        needs: the probes that must pass.
        most: how many can be measured at once, where that is limited.
    """

    name: str
    title: str
    what: str
    set_up: Callable[[ExitStack, Bench], Measure]
    by_guest: bool
    instructions: int
    needs: tuple[str, ...] = ()
    most: int | None = None


def all_kinds() -> tuple[Kind, ...]:
    """All of them, in the order to show them."""
    from pykvm.bench import kinds_exits, kinds_interrupts, kinds_kernel, kinds_memory

    return (
        *kinds_exits.KINDS,
        *kinds_kernel.KINDS,
        *kinds_interrupts.KINDS,
        *kinds_memory.KINDS,
    )
