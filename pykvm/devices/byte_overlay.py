"""Registers of one byte that share a wider device's addresses, as chipsets decode them."""

from __future__ import annotations

from collections.abc import Mapping

from pykvm.bus import Device, Shortcuts


class ByteOverlay(Device):
    """A device with other devices' one-byte registers laid over it.

    A one-byte access to an overlaid offset goes to the register there, whatever else to the
    device below.  So port 0xCF9 is the reset control register to `out dx, al`, and a part of PCI's
    address register to an `out dx, eax` at 0xCF8.  Neither device knows of the other.

    Args:
        below: the device that has all addresses; its name and width count.
        registers: by offset, the device that has one-byte accesses there; it sees offset 0.
    """

    def __init__(self, below: Device, registers: Mapping[int, Device]) -> None:
        self.name = below.name
        self.width = below.width
        self._below = below
        self._registers = dict(registers)

    def read(self, offset: int, size: int) -> int:
        """Read the register over this byte, or the device below."""
        if size == 1 and offset in self._registers:
            return self._registers[offset].read(0, 1)
        return self._below.read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Write the register over this byte, or the device below."""
        if size == 1 and offset in self._registers:
            self._registers[offset].write(0, 1, value)
        else:
            self._below.write(offset, size, value)

    def connect(self, shortcuts: Shortcuts) -> None:
        """The device below may shorten what is its own."""
        self._below.connect(_Uncovered(shortcuts, frozenset(self._registers)))


class _Uncovered(Shortcuts):
    """Another's shortcuts, without those for one-byte accesses at covered offsets."""

    __slots__ = ("_covered", "_shortcuts")

    def __init__(self, shortcuts: Shortcuts, covered: frozenset[int]) -> None:
        self._shortcuts = shortcuts
        self._covered = covered

    def post(self, offset: int, size: int = 1, *, on: bool = True) -> None:
        if size != 1 or offset not in self._covered:
            self._shortcuts.post(offset, size, on=on)

    def answer(self, offset: int, value: int | None, size: int = 1) -> None:
        if offset in self._covered:
            size &= ~1
        if size:
            self._shortcuts.answer(offset, value, size)
