"""Random accesses to fw_cfg, the test device and the IOAPIC."""

from __future__ import annotations

import random
import struct

import pytest

from pykvm.bus import Device
from pykvm.devices import FwCfg, IoApic
from pykvm.devices.fw_cfg_items import MAX_CPUS
from pykvm.devices.testdev import LinePorts, PageFlush, ScratchMemory, ScratchPort
from pykvm.errors import GuestMemoryError
from pykvm.irq import IrqLine
from pykvm.memory import Gpa
from tests.unit.devices.accelerated_guest import Guest
from tests.unit.devices.random_access import BASE, TIMEOUT, Attach, Check, access_at_random


class RandomRam:
    """A page of RAM that shows at every page below 2 TiB, so that random descriptors are in it."""

    def __init__(self, dice: random.Random) -> None:
        self.page = bytearray(dice.randbytes(4096))

    def view(self, gpa: Gpa, length: int) -> memoryview:
        start = gpa % 4096
        if gpa >> 41 or start + length > 4096:
            raise GuestMemoryError(f"{length} bytes at {gpa:#x} are not RAM")
        return memoryview(self.page)[start : start + length]

    def zero(self, gpa: Gpa, length: int) -> None:
        self.view(gpa, length)[:] = bytes(length)


def attach_fw_cfg(guest: Guest, dice: random.Random) -> Check:
    ram = RandomRam(dice)
    fw_cfg = FwCfg(ram, ram=1 << 30)
    lengths = []
    for i in range(8):
        fw_cfg.add_file(f"opt/{i}", bytes(100), on_write=lambda data: lengths.append(len(data)))
    guest.bus.attach(BASE, 2, fw_cfg.ports)
    guest.bus.attach(BASE + 4, 8, fw_cfg.dma)

    def check() -> None:
        control = dice.choice((2, 16)) | 8 | (0x20 + dice.randrange(9)) << 16
        buffer = dice.getrandbits(33)
        ram.page[0:16] = struct.pack(">IIQ", control, dice.randrange(120), buffer)
        page = dice.getrandbits(20) << 12
        guest.bus.write(BASE + 8, 4, int.from_bytes(page.to_bytes(4, "big"), "little"))
        assert fw_cfg.read_byte() < 256
        assert set(lengths) <= {100}
        lengths.clear()
        fw_cfg.select(MAX_CPUS)
        assert fw_cfg.read_byte() == 1
        ram.page[dice.randrange(4096)] = dice.randrange(256)

    return check


def attach_scratch_port(guest: Guest, dice: random.Random) -> Check:
    guest.bus.attach(BASE, 4, ScratchPort())
    return lambda: None


def attach_page_flush(guest: Guest, dice: random.Random) -> Check:
    pages: list[Gpa] = []
    guest.bus.attach(BASE, 4, PageFlush(pages.append))

    def check() -> None:
        assert all(page % 4096 == 0 and page < 1 << 32 for page in pages)
        pages.clear()

    return check


def attach_line_ports(guest: Guest, dice: random.Random) -> Check:
    guest.bus.attach(BASE, 24, LinePorts(lambda number: IrqLine()))
    return lambda: None


def attach_scratch_memory(guest: Guest, dice: random.Random) -> Check:
    guest.bus.attach(BASE, 0xF000, ScratchMemory())
    return lambda: None


class Closer(Device):
    """The IOAPIC with its three registers next to each other."""

    width = 4

    def __init__(self, ioapic: IoApic) -> None:
        self._ioapic = ioapic

    def read(self, offset: int, size: int) -> int:
        return self._ioapic.read((0x00, 0x10, 0x40)[offset // 4] + offset % 4, size)

    def write(self, offset: int, size: int, value: int) -> None:
        self._ioapic.write((0x00, 0x10, 0x40)[offset // 4] + offset % 4, size, value)


def attach_ioapic(guest: Guest, dice: random.Random) -> Check:
    sent: list[int] = []

    def deliver(address: int, data: int) -> bool:
        assert address & ~0xFF00C == 0xFEE00000
        sent.append(data & 0xFF)
        return dice.random() < 0.9

    ioapic = IoApic(deliver)
    guest.bus.attach(BASE, 12, Closer(ioapic))

    def check() -> None:
        ioapic.line(dice.randrange(24)).set(dice.random() < 0.5)
        ioapic.end_of_interrupt(sent.pop() if sent else dice.randrange(256))
        assert len(sent) <= 24
        sent.clear()
        pins = [route.pin for route in ioapic.routes()]
        assert pins == sorted(set(pins))
        select = ioapic.read(0x00, 4)
        if 0x10 <= select < 0x40:
            assert ioapic.read(0x10, 4) & (0xFFFE1000, 0x00FFFFFF)[select & 1] == 0

    return check


@TIMEOUT
@pytest.mark.parametrize("accelerated", [False, True])
@pytest.mark.parametrize(
    "attach",
    [
        attach_fw_cfg,
        attach_scratch_port,
        attach_page_flush,
        attach_line_ports,
        attach_scratch_memory,
        attach_ioapic,
    ],
)
def test_random_accesses(attach: Attach, accelerated: bool) -> None:
    access_at_random(attach, accelerated=accelerated)
