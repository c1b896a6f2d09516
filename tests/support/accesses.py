"""What a guest asks of its devices, in order: to be compared between two accelerators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from unittest.mock import patch

from pykvm.bus import Bus, Device, Shortcuts


class Access(NamedTuple):
    """One access of a register, as its device sees it.

    Attributes:
        space: "port" or "MMIO".
        address: in that space.
        is_write: by OUT or a store; else by IN or a load.
        size: bytes.
        value: what was written, or what the device answered.
    """

    space: str
    address: int
    is_write: bool
    size: int
    value: int

    def halves(self) -> tuple[Access, ...]:
        """Two of 4 bytes for one of 8, the lower one first; any other as it is."""
        if self.size != 8:
            return (self,)
        low = self._replace(size=4, value=self.value & 0xFFFF_FFFF)
        return low, low._replace(address=self.address + 4, value=self.value >> 32)

    def __str__(self) -> str:
        """For messages."""
        arrow = "<-" if self.is_write else "->"
        return f"{self.space} {self.address:#x} {arrow} {self.value:#0{2 + 2 * self.size}x}"


Sequence = list[Access]


class _Posting(Shortcuts):
    """Lets writes be posted, but has no read answered by others than the device."""

    def __init__(self, shortcuts: Shortcuts) -> None:
        super().__init__(None, 0)
        self._shortcuts = shortcuts

    def post(self, offset: int, size: int = 1, *, on: bool = True) -> None:
        self._shortcuts.post(offset, size, on=on)


class _Recorded(Device):
    """A device at one place, with a note of each access to it there."""

    def __init__(self, device: Device, bus: Bus, base: int, noted: Sequence) -> None:
        self.name, self.width = device.name, device.width
        self._device = device
        self._space, self._base, self._noted = bus.name, base, noted

    def _note(self, offset: int, size: int, value: int, *, is_write: bool) -> None:
        self._noted.append(Access(self._space, self._base + offset, is_write, size, value))

    def connect(self, shortcuts: Shortcuts) -> None:
        self._device.connect(_Posting(shortcuts))

    def read(self, offset: int, size: int) -> int:
        value = self._device.read(offset, size) & (1 << 8 * size) - 1
        self._note(offset, size, value, is_write=False)
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        self._note(offset, size, value, is_write=True)
        self._device.write(offset, size, value)

    def write_block(self, offset: int, size: int, data: bytes) -> None:
        for at in range(0, len(data), size):
            value = int.from_bytes(data[at : at + size], "little")
            self._note(offset, size, value, is_write=True)
        self._device.write_block(offset, size, data)


@contextmanager
def recording() -> Iterator[Sequence]:
    """Note what the guests of machines made meanwhile do with what is attached to their buses.

    String instructions are noted element by element, however they came out of the guest, and
    posted writes where they are delivered: before the next access that Python sees.
    """
    noted: Sequence = []
    attach = Bus.attach

    def attach_recorded(
        bus: Bus, base: int, length: int, device: Device, name: str | None = None
    ) -> None:
        attach(bus, base, length, _Recorded(device, bus, base, noted), name)

    with patch.object(Bus, "attach", attach_recorded):
        yield noted
