"""PCI configuration mechanism #1 on a machine without PCI: "nothing here"."""

from __future__ import annotations

from pykvm.bus import Device, Shortcuts

ADDRESS_SIZE = 4
DATA = 4
DATA_READS = {0: 1 | 2 | 4, 1: 1, 2: 1 | 2, 3: 1}
"""The aligned reads of the data port: by offset, a sum of sizes."""
ADDRESS_BITS = 0x80FFFFFC
"""Enable, bus, device, function and register; the address port's other bits always read 0."""


class PciConfig(Device):
    """The address port at offset 0 and the data port at offset 4, each 4 bytes.

    Only a 32-bit access at offset 0 reaches the address latch; narrower ones there belong to
    whatever else shares these ports (PCI Local Bus Specification 3.0, 3.2.2.3.2).  Every
    configuration space reads all ones, which is how an absent device looks.
    """

    name = "PCI configuration"
    width = 4

    def __init__(self) -> None:
        self._address = 0

    def connect(self, shortcuts: Shortcuts) -> None:
        """A search for devices, some hundred accesses, needs no Python: nothing answers."""
        shortcuts.post(0, ADDRESS_SIZE)
        for offset, sizes in DATA_READS.items():
            shortcuts.answer(DATA + offset, (1 << 32) - 1, sizes)

    def read(self, offset: int, size: int) -> int:
        """The address latch, or all ones."""
        if offset == 0 and size == ADDRESS_SIZE:
            return self._address
        return (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Latch an address; drop everything else."""
        if offset == 0 and size == ADDRESS_SIZE:
            self._address = value & ADDRESS_BITS
