"""What every suite is told, and how it tells how far it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

Progress = Callable[[int, int, str], None]
"""Called before each step: how many are done, of how many, and what comes now."""


class Options(NamedTuple):
    """How to measure.

    Attributes:
        quick: rather soon than exactly.
        rounds: how often each thing is measured anew; None for the suite's own choice.
        only: the kinds wanted; empty for all.
        cpu: the host's processor to measure on; None for the suite's own choice.
        command: what was typed, for the result.
    """

    quick: bool = False
    rounds: int | None = None
    only: tuple[str, ...] = ()
    cpu: int | None = None
    command: str = "pykvm bench"
