"""The A20 gate: the AND gate on address line 20 that made an AT wrap at 1 MiB like an XT."""

from __future__ import annotations

from collections.abc import Callable


class A20Gate:
    """The gate's one latch, which the keyboard controller and system control port A share.

    The last write through either wins.  The gate starts open, as firmware leaves it.

    Args:
        on_a20: called with the new state on each change.
    """

    def __init__(self, on_a20: Callable[[bool], None] | None = None) -> None:
        self.on_a20 = on_a20
        self._enabled = True

    @property
    def enabled(self) -> bool:
        """Whether address line 20 passes; else addresses have it forced to 0."""
        return self._enabled

    def set(self, enabled: bool) -> None:
        """Open or close the gate."""
        if enabled != self._enabled:
            self._enabled = enabled
            if self.on_a20 is not None:
                self.on_a20(enabled)
