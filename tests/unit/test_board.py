"""The board: what sits where, and how a guest ends its machine through it."""

from __future__ import annotations

import pytest

from pykvm.board import Board, build_board
from pykvm.bus import PORT_SPACE, Bus
from pykvm.cpu.stop import Stop, StopReason
from pykvm.devices import NullSink
from pykvm.irq import IrqLine


class Rig:
    """A board, the lines it asked for, and the stops it asked for."""

    def __init__(self) -> None:
        self.lines: dict[int, IrqLine] = {}
        self.stops: list[Stop] = []
        self.ports = Bus("port", PORT_SPACE, strict=True)
        self.board: Board = build_board(
            self.ports,
            ram=16 << 20,
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
