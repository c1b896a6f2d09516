"""Services that wait: they return at once and are asked again until their time has come."""

from __future__ import annotations

from collections.abc import Callable


class Wait:
    """A deadline that survives from one trap of a waiting caller to its next.

    Callers are told apart by where their stack is: it is the same in each trap of one call.

    Args:
        clock: monotonic, in ns.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._caller: int | None = None
        self._deadline = 0

    @property
    def active(self) -> bool:
        """Somebody waits, and the time has not come."""
        return self._caller is not None and self._clock() < self._deadline

    def belongs_to(self, caller: int) -> bool:
        """Whether that one is `caller`."""
        return self._caller == caller

    def over(self, caller: int, duration: int) -> bool:
        """Whether `caller` has waited long enough; the first time it asks, its wait begins.

        Another's wait is forgotten.

        Args:
            caller: see above.
            duration: in ns.
        """
        now = self._clock()
        if self._caller != caller:
            self._caller = caller
            self._deadline = now + duration
        if now < self._deadline:
            return False
        self._caller = None
        return True

    def end(self) -> None:
        """Nobody waits any more."""
        self._caller = None
