"""What keeps an instruction from reading a device again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_READS = 2
"""How often one instruction may read one address: CMPS does twice, if both of its operands are
there."""


class Rereads:
    """Counts the reads of the instruction under way.

    Unicorn plays LOCK NEG as a loop that reads until it finds what it has found before, and looks
    at no request to stop meanwhile.  A device that never answers alike would hold it for ever.
    """

    def __init__(self) -> None:
        self._instruction = -1
        self._seen: dict[tuple[int, int], tuple[int, int]] = {}  # how often, and what was read last

    def read(self, instruction: int, gpa: int, size: int, ask: Callable[[], int]) -> int:
        """A read by an instruction; too many of one address are answered as the last one was.

        Args:
            instruction: a number that is another one for each instruction.
            gpa, size: what is read.
            ask: reads it.
        """
        if instruction != self._instruction:
            self._instruction = instruction
            self._seen.clear()
        count, value = self._seen.get((gpa, size), (0, 0))
        if count < MOST_READS:
            value = ask()
        self._seen[gpa, size] = count + 1, value
        return value
