"""INT 14h onto a 16550, and INT 17h."""

from __future__ import annotations

import pytest

from pykvm.bios import bda as field
from pykvm.boot.bios_data import COM_PORTS
from pykvm.layout import COM1
from tests.unit.bios.rig import NS, STACK, Rig

THRE_AND_EMPTY = 0x60


def test_send(rig: Rig) -> None:
    for character in b"ok":
        r = rig.call(0x14, ax=0x0100 | character).r
        assert (r.ah, r.al) == (THRE_AND_EMPTY, character)
    assert rig.serial_out.data == b"ok"


@pytest.mark.parametrize(
    ("parameters", "divisor", "lcr"),
    [(0xE3, 12, 0x03), (0x00, 1047, 0x00), (0x5A, 384, 0x1A), (0xBF, 48, 0x1F)],
)
def test_set_up(rig: Rig, parameters: int, divisor: int, lcr: int) -> None:
    r = rig.call(0x14, ax=parameters).r
    assert (r.ah, r.al & 0xF0) == (THRE_AND_EMPTY, 0xB0)
    assert rig.ports.read(COM1 + 3, 1) == lcr
    rig.ports.write(COM1 + 3, 1, 0x80)
    assert rig.ports.read(COM1, 1) | rig.ports.read(COM1 + 1, 1) << 8 == divisor


def test_receive(rig: Rig) -> None:
    rig.uart.receive(b"hi")
    rig.ports.write(COM1 + 4, 1, 0x08)
    for character in b"hi":
        result = rig.call(0x14, ax=0x0200)
        assert (result.signal, result.r.ah, result.r.al) == (False, 0, character)
    assert rig.ports.read(COM1 + 4, 1) == 0x0B  # the interrupt's gate is as it was


def test_receiving_waits_for_the_time_in_the_data_area(rig: Rig) -> None:
    rig.bda.set_byte(field.SERIAL_TIMEOUTS, 3)
    for now in (5 * NS, 7 * NS, 8 * NS - 1):
        rig.now = now
        result = rig.call(0x14, ax=0x0255)
        assert (result.signal, result.r.ax) == (True, 0x0255)
    rig.now = 8 * NS
    result = rig.call(0x14, ax=0x0255)
    assert (result.signal, result.r.ah) == (False, 0xE0)
    assert rig.call(0x14, ax=0x0200).signal  # from the start again


def test_a_wait_ends_with_a_character(rig: Rig) -> None:
    assert rig.call(0x14, ax=0x0200).signal
    rig.uart.receive(b"x")
    assert rig.call(0x14, ax=0x0200).r.ax == 0x0078
    rig.now = 10 * NS
    assert rig.call(0x14, ax=0x0200).signal
    assert rig.call(0x14, ax=0x0200, sp=STACK - 10).signal


def test_status(rig: Rig) -> None:
    assert rig.call(0x14, ax=0x0300).r.ax == 0x60B0
    rig.uart.receive(b"x")
    assert rig.call(0x14, ax=0x0300).r.ah == 0x61


@pytest.mark.parametrize("function", [0, 1, 2, 3])
@pytest.mark.parametrize("port", [1, 2, 0xFFFF])
def test_ports_that_are_not_there(rig: Rig, function: int, port: int) -> None:
    result = rig.call(0x14, ax=function << 8 | 0x41, dx=port)
    assert (result.signal, result.r.ah) == (False, 0x80)
    assert rig.serial_out.data == b""


def test_a_port_that_the_guest_removed(rig: Rig) -> None:
    rig.bda.set_word(COM_PORTS, 0)
    assert rig.call(0x14, ax=0x0141).r.ah == 0x80
    # its address there is the guest's to change, not where the service writes
    rig.bda.set_word(COM_PORTS, 0x30)
    assert rig.call(0x14, ax=0x0141).r.ah == THRE_AND_EMPTY
    assert rig.serial_out.data == b"A"


@pytest.mark.parametrize("function", [0, 1, 2])
def test_no_printer(rig: Rig, function: int) -> None:
    assert rig.call(0x17, ax=function << 8 | 0x41).r.ah == 0x01
