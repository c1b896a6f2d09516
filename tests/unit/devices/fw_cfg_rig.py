"""What the tests of fw_cfg share: a device on a bus, and RAM with a hole that it can reach."""

from __future__ import annotations

import struct

from pykvm.bus import PORT_SPACE, Bus
from pykvm.devices import FwCfg
from pykvm.devices.fw_cfg import DMA_LENGTH, PORTS_LENGTH
from pykvm.errors import GuestMemoryError
from pykvm.memory import Gpa

SELECTOR, DATA, DMA = 0x510, 0x511, 0x514
ERROR, READ, SKIP, SELECT, WRITE = 1, 2, 4, 8, 16
RAM_SIZE = 0x8000
HOLE = (0x3000, 0x5000)
HIGH = 1 << 33
"""There is RAM from 0 to 0x3000, from 0x5000 to 0x8000, and 4 KiB at this address."""


class Ram:
    """Two pieces of RAM with a hole between, and one far above.

    Counts the bytes that were cleared and viewed: the device must not touch more than is there.
    """

    def __init__(self) -> None:
        self.pieces = {0: bytearray(HOLE[0]), HOLE[1]: bytearray(0x3000), HIGH: bytearray(0x1000)}

    def view(self, gpa: Gpa, length: int) -> memoryview:
        for base, piece in self.pieces.items():
            if base <= gpa and gpa + length <= base + len(piece):
                return memoryview(piece)[gpa - base : gpa - base + length]
        raise GuestMemoryError(f"{length} bytes at {gpa:#x} are not RAM")

    def zero(self, gpa: Gpa, length: int) -> None:
        self.view(gpa, length)[:] = bytes(length)

    def snapshot(self) -> list[bytes]:
        return [bytes(piece) for piece in self.pieces.values()]

    def restore(self, snapshot: list[bytes]) -> None:
        for piece, saved in zip(self.pieces.values(), snapshot, strict=True):
            piece[:] = saved


class Rig:
    """An fw_cfg device on a port bus, and short names for what tests do with it."""

    def __init__(self) -> None:
        self.ram = Ram()
        self.fw_cfg = FwCfg(self.ram, ram=0x1_2345_6000, cpus=2, max_cpus=5)
        self.bus = Bus("port", PORT_SPACE)
        self.bus.attach(SELECTOR, PORTS_LENGTH, self.fw_cfg.ports)
        self.bus.attach(DMA, DMA_LENGTH, self.fw_cfg.dma)

    def select(self, key: int) -> None:
        self.bus.write(SELECTOR, 2, key)

    def read(self, count: int) -> bytes:
        """`rep insb` from the data port."""
        return self.bus.read_block(DATA, 1, count)

    def item(self, key: int, count: int) -> bytes:
        self.select(key)
        return self.read(count)

    def start(self, descriptor: int) -> None:
        """Write the descriptor's address, as a 32-bit guest writes those below 4 GiB."""
        high, low = struct.unpack("<II", descriptor.to_bytes(8, "big"))
        if high:
            self.bus.write(DMA, 4, high)
        self.bus.write(DMA + 4, 4, low)

    def dma(self, control: int, length: int, buffer: int, descriptor: int = 0x100) -> int:
        """Have one operation done; returns the control field afterwards."""
        packed = struct.pack(">IIQ", control, length, buffer)
        self.ram.view(Gpa(descriptor), 16)[:] = packed
        self.start(descriptor)
        return int.from_bytes(self.ram.view(Gpa(descriptor), 4), "big")

    def bytes_at(self, gpa: int, length: int) -> bytes:
        return bytes(self.ram.view(Gpa(gpa), length))

    def fill(self, gpa: int, data: bytes) -> None:
        self.ram.view(Gpa(gpa), len(data))[:] = data

    def directory(self) -> dict[str, tuple[int, int]]:
        """Key and size by name, as a guest reads it, checking its form."""
        count = int.from_bytes(self.item(0x19, 4), "big")
        files = {}
        for _ in range(count):
            size, key, reserved, name = struct.unpack(">IHH56s", self.read(64))
            assert reserved == 0
            text, _, padding = name.partition(b"\0")
            assert padding.strip(b"\0") == b""
            files[text.decode("ascii")] = (key, size)
        assert self.read(1) == b"\0"
        return files
