"""The board: what sits where, and how a guest ends its machine through it."""

from __future__ import annotations

import struct

import pytest

from pykvm import layout
from pykvm.board import Board, attach_testdev, build_board
from pykvm.bus import MEMORY_SPACE, PORT_SPACE, Bus
from pykvm.cpu.stop import Stop, StopReason
from pykvm.devices import NullSink
from pykvm.irq import IrqLine
from pykvm.memory import Gpa, GuestMemory


class Rig:
    """A board, the lines it asked for, and the stops it asked for."""

    def __init__(self, ram: int = 16 << 20) -> None:
        self.lines: dict[int, IrqLine] = {}
        self.stops: list[Stop] = []
        self.ports = Bus("port", PORT_SPACE, strict=True)
        self.memory = GuestMemory(1 << 20)
        self.board: Board = build_board(
            self.ports,
            ram=ram,
            cpus=3,
            memory=self.memory,
            serial=NullSink(),
            debug=NullSink(),
            line=self._line,
            stop=self.stops.append,
        )

    def _line(self, number: int) -> IrqLine:
        return self.lines.setdefault(number, IrqLine())


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_each_device_has_an_isa_interrupt(rig: Rig) -> None:
    assert sorted(rig.lines) == [1, 4, 8, 9, 12]


@pytest.mark.parametrize(
    ("port", "value", "size", "stop"),
    [
        (0x604, 0x2000, 2, Stop(StopReason.POWER_OFF)),
        (0xCF9, 0x06, 1, Stop(StopReason.RESET, detail="the reset control register")),
        (0x92, 0x01, 1, Stop(StopReason.RESET, detail="port 0x92")),
        (0x64, 0xFE, 1, Stop(StopReason.RESET, detail="the keyboard controller")),
        (0xF4, 0x10, 4, Stop(StopReason.DEBUG_EXIT, 0x10)),
    ],
)
def test_a_guest_ends_its_machine(rig: Rig, port: int, value: int, size: int, stop: Stop) -> None:
    rig.ports.write(port, size, value)
    assert rig.stops == [stop]


def test_pci_s_address_port_is_not_the_reset_register(rig: Rig) -> None:
    rig.ports.write(0xCF8, 4, 0x80000600)
    assert rig.ports.read(0xCF8, 4) == 0x80000600
    assert rig.ports.read(0xCFC, 4) == 0xFFFFFFFF
    assert rig.ports.read(0xCF9, 1) == 0
    assert not rig.stops


def test_the_power_button_interrupts_through_line_9(rig: Rig) -> None:
    rig.ports.write(0x602, 2, 0x100)
    rig.board.power.press_power_button()
    assert rig.lines[9].level


def test_each_tick_looks_for_the_power_timer(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.ports.write(0x602, 2, 1)
    rig.board.poll()
    assert not rig.lines[9].level
    power = rig.board.power
    half_turn = (1 << 23) * 1_000_000_000 // 3_579_545 + 1
    monkeypatch.setattr(power, "_clock", lambda: power._start + half_turn)
    rig.board.poll()
    assert rig.lines[9].level


def test_each_tick_looks_for_the_clock(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    for register, value in ((0x0A, 0x26), (0x0B, 0x52)):  # periodic, 1024 Hz
        rig.ports.write(0x70, 1, register)
        rig.ports.write(0x71, 1, value)
    rig.ports.write(0x70, 1, 0x0C)
    rig.ports.read(0x71, 1)  # what came before is over
    assert not rig.lines[8].level
    clock = rig.board.cmos._clock
    monkeypatch.setattr(rig.board.cmos, "_clock", lambda: clock() + 1_000_000_000)
    rig.board.poll()
    assert rig.lines[8].level


@pytest.mark.parametrize(
    ("ram", "ranges"),
    [
        (16 << 20, [(0, 16 << 20, 1), (0xFFFB_C000, 0x4000, 2)]),
        (3 << 30, [(0, 3 << 30, 1), (0xFFFB_C000, 0x4000, 2)]),
        (4 << 30, [(0, 3 << 30, 1), (0xFFFB_C000, 0x4000, 2), (4 << 30, 1 << 30, 1)]),
    ],
)
def test_fw_cfg_tells_of_memory(ram: int, ranges: list[tuple[int, int, int]]) -> None:
    ports = Rig(ram).ports
    ports.write(0x510, 2, 0x03)
    assert int.from_bytes(ports.read_block(0x511, 1, 8), "little") == ram
    ports.write(0x510, 2, 0x19)
    assert ports.read_block(0x511, 1, 21)[12:] == b"etc/e820\0"
    ports.write(0x510, 2, 0x20)
    table = ports.read_block(0x511, 1, 20 * len(ranges))
    assert ports.read_block(0x511, 1, 20) == bytes(20)
    assert [struct.unpack_from("<QQI", table, 20 * i) for i in range(len(ranges))] == ranges


def test_fw_cfg_has_dma(rig: Rig) -> None:
    rig.memory.write(Gpa(0x1000), bytes.fromhex("0000 000A 0000 0004  0000 0000 0000 2000"))
    rig.ports.write(0x518, 4, 0x0010_0000)  # 0x1000, big-endian
    assert rig.memory.read(Gpa(0x2000), 5) == b"QEMU\0"
    assert rig.memory.read(Gpa(0x1000), 4) == bytes(4)


def test_the_test_device_has_room_next_to_all_others(rig: Rig) -> None:
    pages: list[Gpa] = []
    lines = [IrqLine() for _ in range(24)]
    mmio = Bus("MMIO", MEMORY_SPACE, strict=True)
    attach_testdev(rig.ports, mmio, line=lines.__getitem__, flush=pages.append)
    rig.ports.write(0xE0, 4, 0x12345678)
    assert rig.ports.read(0xE0, 4) == 0x12345678
    rig.ports.write(0xE4, 4, 0x5000)
    assert pages == [0x5000]
    rig.ports.write(0x2017, 1, 1)
    assert lines[23].level
    mmio.write(0xFF00_FFF8, 8, 0x1122334455667788)
    assert mmio.read(0xFF00_FFF8, 8) == 0x1122334455667788
    assert rig.ports.read(layout.DEBUGCON, 1) == 0xE9
