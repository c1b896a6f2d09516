"""Random accesses to the devices that a PC has had from the beginning, and to ACPI's."""

from __future__ import annotations

import random

import pytest

from pykvm.devices import (
    I8042,
    A20Gate,
    AcpiPm,
    BufferSink,
    ByteOverlay,
    Cmos,
    Crtc,
    Debugcon,
    DebugExit,
    PciConfig,
    Port92,
    Post,
    ResetControl,
    Speaker,
    Uart16550,
)
from pykvm.devices.post import HISTORY_LENGTH
from pykvm.devices.ps2_keyboard import QUEUE_SIZE
from pykvm.devices.serial_reg import IER, IIR, LCR, LCR_DLAB, LSR, MCR
from pykvm.irq import IrqLine
from tests.unit.devices.accelerated_guest import Guest
from tests.unit.devices.random_access import BASE, TIMEOUT, Attach, Check, access_at_random

OUTPUT_KEPT = 1000


class Clock:
    """Time that goes in leaps, mostly forward."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._now = 1_700_000_000 * 10**9

    def __call__(self) -> int:
        self._now += self._dice.choice((0, 1, 10**5, 10**9, 10**14, -(10**10)))
        return self._now


def attach_uart(guest: Guest, dice: random.Random) -> Check:
    irq = IrqLine()
    uart = Uart16550(irq, BufferSink(OUTPUT_KEPT))
    guest.bus.attach(BASE, 8, uart)

    def check() -> None:
        uart.receive(dice.randbytes(dice.randrange(20)))
        assert 0 <= uart.room <= 4096
        assert uart.read(MCR, 1) < 0x20
        if not uart.read(LCR, 1) & LCR_DLAB:
            assert uart.read(IER, 1) < 0x10
        identity = uart.read(IIR, 1)
        assert identity & 0x3F in (0x00, 0x01, 0x02, 0x04, 0x06, 0x0C)
        assert not (irq.level and identity & 0x01)
        assert uart.read(LSR, 1) & 0x60 == 0x60

    return check


def attach_keyboard(guest: Guest, dice: random.Random) -> Check:
    keyboard_irq, aux_irq = IrqLine(), IrqLine()
    gate = A20Gate()
    kbc = I8042(keyboard_irq, aux_irq, on_reset=lambda: None, a20=gate)
    guest.bus.attach(BASE, 1, kbc.data)
    guest.bus.attach(BASE + 4, 1, kbc.command)

    def check() -> None:
        assert 0 <= kbc.press(dice.randbytes(dice.randrange(5))) <= QUEUE_SIZE
        status = kbc.read(4, 1)
        assert status & 0x12 == 0x10  # never locked, never busy
        assert not (keyboard_irq.level and aux_irq.level)
        assert not (keyboard_irq.level or aux_irq.level) or status & 0x01
        assert kbc.keyboard.leds < 8
        assert kbc.keyboard.scan_code_set in (1, 2, 3)

    return check


def attach_cmos(guest: Guest, dice: random.Random) -> Check:
    irq = IrqLine()
    cmos = Cmos(irq, ram_below_4g=1 << 30, clock=Clock(dice))
    guest.bus.attach(BASE, 2, cmos)

    def check() -> None:
        cmos.poll()
        cmos.write(0, 1, dice.choice((0x0C, 0x0D, 0x0A, dice.randrange(256))))
        value = cmos.read(1, 1)
        assert 0 <= value <= 0xFF
        cmos.write(0, 1, 0x0D)
        assert cmos.read(1, 1) == 0x80

    return check


def attach_post(guest: Guest, dice: random.Random) -> Check:
    post = Post()
    guest.bus.attach(BASE, 1, post)

    def check() -> None:
        assert len(post.history) <= HISTORY_LENGTH
        assert post.code == (post.history[-1] if post.history else 0)

    return check


def attach_debugcon(guest: Guest, dice: random.Random) -> Check:
    guest.bus.attach(BASE, 1, Debugcon(BufferSink(OUTPUT_KEPT)))
    return lambda: None


def attach_debug_exit(guest: Guest, dice: random.Random) -> Check:
    values: list[int] = []
    guest.bus.attach(BASE, 4, DebugExit(values.append))

    def check() -> None:
        assert all(0 <= value < 1 << 32 for value in values)
        values.clear()

    return check


def attach_port92(guest: Guest, dice: random.Random) -> Check:
    gate = A20Gate()
    port = Port92(a20=gate, on_reset=lambda: None)
    guest.bus.attach(BASE, 1, port)

    def check() -> None:
        assert port.read(0, 1) & 0x02 == gate.enabled << 1

    return check


def attach_pci(guest: Guest, dice: random.Random) -> Check:
    pci = PciConfig()
    guest.bus.attach(BASE, 8, pci)

    def check() -> None:
        assert pci.read(0, 4) & ~0x80FFFFFC == 0
        assert pci.read(4, 4) == 0xFFFFFFFF

    return check


def attach_pm(guest: Guest, dice: random.Random) -> Check:
    sci = IrqLine()
    pm = AcpiPm(sci, on_power_off=lambda: None, clock=Clock(dice))
    guest.bus.attach(BASE, 12, pm)

    def check() -> None:
        if not dice.randrange(8):
            pm.press_power_button()
        status, enable = pm.read(0, 2), pm.read(2, 2)
        assert status & ~0x101 == 0
        assert enable & ~0x521 == 0
        raised = bool(pm.read(0, 2) & enable)
        assert sci.level == raised
        assert pm.read(4, 4) & ~0x1C02 == 0x0001
        assert pm.read(8, 4) < 1 << 24

    return check


def attach_reset_control(guest: Guest, dice: random.Random) -> Check:
    register = ResetControl(on_reset=lambda: None)
    pci = PciConfig()
    guest.bus.attach(BASE, 8, ByteOverlay(pci, {1: register}))

    def check() -> None:
        assert register.read(0, 1) & ~0x0E == 0
        assert pci.read(0, 4) & ~0x80FFFFFC == 0

    return check


def attach_speaker(guest: Guest, dice: random.Random) -> Check:
    speaker = Speaker(clock=Clock(dice))
    guest.bus.attach(BASE, 1, speaker)

    def check() -> None:
        value = speaker.read(0, 1)
        assert value & ~0x3F == 0
        assert speaker.sounding == (value & 0x03 == 0x03)
        assert value & 0x21  # output is high while the gate is low

    return check


def attach_crtc(guest: Guest, dice: random.Random) -> Check:
    crtc = Crtc(clock=Clock(dice))
    guest.bus.attach(BASE, 2, crtc)
    guest.bus.attach(BASE + 6, 1, crtc.status)

    def check() -> None:
        assert crtc.read(0, 1) < 0x20
        assert crtc.read(1, 1) < 0x100
        assert crtc.status.read(0, 1) in (0, 1, 9)
        assert 0 <= crtc.start < 1 << 16
        assert 0 <= crtc.cursor < 1 << 16
        assert set(crtc.cursor_lines) <= set(range(32))

    return check


@TIMEOUT
@pytest.mark.parametrize("accelerated", [False, True])
@pytest.mark.parametrize(
    "attach",
    [
        attach_uart,
        attach_keyboard,
        attach_cmos,
        attach_post,
        attach_debugcon,
        attach_debug_exit,
        attach_port92,
        attach_pci,
        attach_pm,
        attach_reset_control,
        attach_speaker,
        attach_crtc,
    ],
)
def test_random_accesses(attach: Attach, accelerated: bool) -> None:
    access_at_random(attach, accelerated=accelerated)
