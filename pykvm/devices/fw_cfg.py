"""QEMU's firmware configuration device (docs/specs/fw_cfg.rst) as a PC has it.

Firmware and kernels ask it what machine they are on: sizes and counts by a number, and files by
a name.  They select an item and read its bytes one by one from a port, or have the device copy
them into RAM (DMA), which needs two exits whatever the length.
"""

from __future__ import annotations

import struct
from contextlib import suppress

from pykvm.bus import Device
from pykvm.devices import fw_cfg_items as items
from pykvm.devices.fw_cfg_items import Item, Items, Written
from pykvm.errors import GuestMemoryError
from pykvm.memory import Gpa
from pykvm.named import Protocol

SELECTOR = 0
DATA = 1
PORTS_LENGTH = 2

DMA_HIGH = 0
DMA_LOW = 4
DMA_LENGTH = 8
DMA_SIGNATURE = b"QEMU CFG"

ID_TRADITIONAL = 1 << 0
ID_DMA = 1 << 1

# The control field of a DMA descriptor; its upper 16 bits are the key to select.
CONTROL_ERROR = 1 << 0
CONTROL_READ = 1 << 1
CONTROL_SKIP = 1 << 2
CONTROL_SELECT = 1 << 3
CONTROL_WRITE = 1 << 4

DESCRIPTOR = struct.Struct(">IIQ")
"""FWCfgDmaAccess: control, length, address."""

CONTROL_SIZE = 4


class DmaMemory(Protocol):
    """The RAM that the device reads and writes by itself; `pykvm.memory.GuestMemory` is one.

    Both methods raise `GuestMemoryError` if not all of the bytes are RAM, and take no time and no
    host memory that grows with `length` otherwise.
    """

    def view(self, gpa: Gpa, length: int) -> memoryview:
        """The bytes themselves."""

    def zero(self, gpa: Gpa, length: int) -> None:
        """Clear them."""


class _Ports(Device):
    """The selector at offset 0, two bytes wide and written only, over the data at offset 1."""

    name = "fw_cfg"
    width = 2

    def __init__(self, device: FwCfg) -> None:
        self._device = device

    def read(self, offset: int, size: int) -> int:
        if offset == DATA:
            return self._device.read_byte()
        return super().read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == SELECTOR and size == PORTS_LENGTH:
            self._device.select(value)


class _DmaAddress(Device):
    """The DMA address register: eight bytes, big-endian."""

    name = "fw_cfg DMA"
    width = 8

    def __init__(self, device: FwCfg) -> None:
        self._device = device
        self._high = 0

    def read(self, offset: int, size: int) -> int:
        """The signature, by which a guest knows that there is DMA."""
        return int.from_bytes(DMA_SIGNATURE[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Take the whole address or a half of it; the low half starts the operation."""
        swapped = int.from_bytes(value.to_bytes(size, "little"), "big")
        if (offset, size) == (DMA_HIGH, 4):
            self._high = swapped
        elif (offset, size) == (DMA_LOW, 4):
            address = self._high << 32 | swapped
            self._high = 0
            self._device.operate(address)
        elif (offset, size) == (DMA_HIGH, 8):
            self._high = 0
            self._device.operate(swapped)


class FwCfg:
    """The device; a bus is given its registers as `ports` (2 bytes) and `dma` (8 bytes).

    Args:
        memory: guest RAM, for DMA.
        ram: bytes of RAM, for the guest to know.
        cpus: how many processors the machine starts with.
        max_cpus: how many it may have at most; by default as many.

    Attributes:
        ports: selector and data; at port 0x510 on a PC.
        dma: the DMA address register; at port 0x514.
    """

    def __init__(
        self, memory: DmaMemory, *, ram: int, cpus: int = 1, max_cpus: int | None = None
    ) -> None:
        self._memory = memory
        self._items = Items()
        self._selected: Item | None = None
        self._offset = 0
        self.ports = _Ports(self)
        self.dma = _DmaAddress(self)
        self.add_item(items.SIGNATURE, b"QEMU")
        self.add_item(items.ID, (ID_TRADITIONAL | ID_DMA).to_bytes(4, "little"))
        self.add_item(items.UUID, bytes(16))
        self.add_item(items.RAM_SIZE, ram.to_bytes(8, "little"))
        self.add_item(items.NOGRAPHIC, (1).to_bytes(2, "little"))
        self.add_item(items.NB_CPUS, cpus.to_bytes(2, "little"))
        self.add_item(items.BOOT_MENU, (0).to_bytes(2, "little"))
        self.add_item(items.MAX_CPUS, (max_cpus or cpus).to_bytes(2, "little"))
        self.select(items.SIGNATURE)

    # The host's side.

    def add_item(self, key: int, data: bytes, *, on_write: Written | None = None) -> None:
        """Add an item that has a key but no name.

        Args:
            key: below 0x19, or architecture-local: 0x8000 to 0xBFFF (`pykvm.devices.fw_cfg_items`
                names some).
            data: its bytes.
            on_write: called with all its bytes after each write by the guest; without it, the
                item is read-only.

        Raises:
            FwCfgError: such a key cannot be, or has an item already.
        """
        self._items.add_item(key, data, on_write)

    def add_file(self, name: str, data: bytes, *, on_write: Written | None = None) -> None:
        """Add a file.  Files are numbered by their names' order, so add all before the guest runs.

        Args:
            name: 1 to 55 printable ASCII characters.  Those that begin with "opt/" are the
                user's; others mean something to firmware.
            data: its bytes, fewer than 4 GiB.
            on_write: as in `add_item`.

        Raises:
            FwCfgError: such a file cannot be, the name is taken, or there are 16352 files.
        """
        self._items.add_file(name, data, on_write)

    # The guest's side.

    def select(self, key: int) -> None:
        """Choose the item of `key` (0 to 0xFFFF), from its first byte; it need not exist."""
        self._selected = self._items.find(key)
        self._offset = 0

    def read_byte(self) -> int:
        """The next byte of the selected item; 0 behind its end."""
        item = self._selected
        if item is None or self._offset >= len(item.data):
            return 0
        value = item.data[self._offset]
        self._offset += 1
        return value

    def operate(self, address: int) -> None:
        """Do what the DMA descriptor at the guest-physical `address` says, and note how it went.

        The note goes where the control field was, after everything else: a buffer may overlap
        the descriptor.
        """
        try:
            control, length, buffer = DESCRIPTOR.unpack(
                self._memory.view(Gpa(address), DESCRIPTOR.size)
            )
            self._execute(control, length, buffer)
            status = 0
        except (GuestMemoryError, _Refused):
            status = CONTROL_ERROR
        with suppress(GuestMemoryError):
            field = self._memory.view(Gpa(address), CONTROL_SIZE)
            field[:] = status.to_bytes(CONTROL_SIZE, "big")

    def _execute(self, control: int, length: int, buffer: int) -> None:
        if control & CONTROL_SELECT:
            self.select(control >> 16)
        if length == 0:
            return
        if control & CONTROL_READ:
            self._read(length, Gpa(buffer))
        elif control & CONTROL_WRITE:
            self._write(length, Gpa(buffer))
        elif control & CONTROL_SKIP:
            self._offset += len(self._rest(length))

    def _rest(self, length: int) -> memoryview:
        """What is left of the selected item, at most `length` bytes."""
        data = b"" if self._selected is None else self._selected.data
        return memoryview(data)[self._offset : self._offset + length]

    def _read(self, length: int, buffer: Gpa) -> None:
        """Copy into RAM; what lies behind the item's end is 0.  Nothing is copied on an error."""
        target = self._memory.view(buffer, length)
        rest = self._rest(length)
        copied = len(rest)
        target[:copied] = rest
        if copied < length:
            self._memory.zero(Gpa(buffer + copied), length - copied)
        self._offset += copied

    def _write(self, length: int, buffer: Gpa) -> None:
        """Copy from RAM, all or nothing: no item grows."""
        item = self._selected
        if item is None or item.on_write is None or len(self._rest(length)) < length:
            raise _Refused
        source = self._memory.view(buffer, length)
        with memoryview(item.data) as data:
            data[self._offset : self._offset + length] = source
        self._offset += length
        item.on_write(bytes(item.data))


class _Refused(Exception):
    """A write that the selected item does not take."""
