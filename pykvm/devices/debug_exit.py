"""The debug-exit port: how a guest ends its machine with a status, as QEMU's isa-debug-exit."""

from __future__ import annotations

from collections.abc import Callable

from pykvm.bus import Device


def exit_status(value: int) -> int:
    """The exit status of a process whose guest wrote `value`: odd, so never mistaken for 0.

    QEMU exits with `(value << 1) | 1` too; the operating system keeps the low 8 bits.
    """
    return (value << 1 | 1) & 0xFF


class DebugExit(Device):
    """A write ends the machine; a read answers 0, as in QEMU.

    Args:
        on_exit: called with the value written (up to 32 bits); see `exit_status`.
    """

    name = "debug exit"
    width = 4

    def __init__(self, on_exit: Callable[[int], None]) -> None:
        self._on_exit = on_exit

    def read(self, offset: int, size: int) -> int:
        """Answer 0."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """End the machine with `value`."""
        self._on_exit(value)

    def write_block(self, offset: int, size: int, data: bytes) -> None:
        """End the machine with the first element: it is off when the second one would come."""
        self._on_exit(int.from_bytes(data[:size], "little"))
