"""Interrupt lines: how a device says "I want service" without knowing to whom."""

from __future__ import annotations

from collections.abc import Callable


class IrqLine:
    """One level-triggered interrupt line, from a device to whatever listens.

    A device calls `set` with the level its datasheet asks for as often as it likes; the listener
    hears changes only.  Edges are made by the controller from the level, as on a real board.

    Args:
        listener: called with the new level on each change; None for a pin that leads nowhere.
    """

    __slots__ = ("_level", "listener")

    def __init__(self, listener: Callable[[bool], None] | None = None) -> None:
        self.listener = listener
        self._level = False

    @property
    def level(self) -> bool:
        """Whether the line is asserted now."""
        return self._level

    def set(self, level: bool) -> None:
        """Drive the line to `level`."""
        if level != self._level:
            self._level = level
            if self.listener is not None:
                self.listener(level)


class Lines:
    """The lines into a machine's interrupt controllers, by global system interrupt."""

    __slots__ = ("shared",)

    def __init__(self) -> None:
        self.shared: dict[int, SharedLine] = {}

    def new_input(self, gsi: int) -> IrqLine:
        """A device's line, which other devices of the same interrupt do not disturb."""
        return self.shared.setdefault(gsi, SharedLine()).new_input()


class SharedLine:
    """One interrupt line that several devices drive: asserted while any of them asserts it.

    Attributes:
        line: the line itself, for a listener.
    """

    __slots__ = ("_inputs", "line")

    def __init__(self) -> None:
        self.line = IrqLine()
        self._inputs: list[IrqLine] = []

    def new_input(self) -> IrqLine:
        """A line of a device's own, which drives the shared one together with the others."""
        device = IrqLine(self._changed)
        self._inputs.append(device)
        return device

    def _changed(self, _: bool) -> None:
        self.line.set(any(device.level for device in self._inputs))
