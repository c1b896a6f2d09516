"""Random accesses to the interrupt controllers and the timer, alone and together."""

from __future__ import annotations

import random

import pytest

from pykvm.devices import Speaker
from pykvm.devices.i8254 import I8254
from pykvm.devices.i8259_pair import I8259Pair
from pykvm.devices.timer_tick import MOST_OWED, TimerTick
from pykvm.irq import IrqLine
from pykvm.isa_interrupts import IsaInterrupts
from tests.unit.devices.accelerated_guest import Guest
from tests.unit.devices.random_access import BASE, TIMEOUT, Attach, Check, access_at_random

SECOND = 10**9
INITIALIZATION = ((0, 0x11), (1, 0x20), (1, 0x04), (1, 0x01))


class Clock:
    """Time that goes in leaps, mostly forward."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self.now = SECOND

    def __call__(self) -> int:
        self.now += self._dice.choice((0, 1, 838, 10**5, 10**9, 10**14, -(10**10)))
        return self.now


def attach_pair(guest: Guest, dice: random.Random) -> Check:
    served: list[int] = []
    pair = I8259Pair(on_service=lambda irq, begins: served.append(irq))
    for base, chip in ((BASE, pair.master), (BASE + 4, pair.slave), (BASE + 8, pair.edge_level)):
        guest.bus.attach(base, 2, chip)

    def check() -> None:
        pair.set_input(dice.choice((0, 1, 3, 4, 7, 8, 9, 12, 15)), bool(dice.randrange(2)))
        if not dice.randrange(16):
            for offset, word in INITIALIZATION:
                pair.master.write(offset, 1, word)
        if pair.intr.level:
            assert pair.may_interrupt()
            assert 0 <= pair.acknowledge() <= 0xFF
        assert all(0 <= irq < 16 for irq in served)
        served.clear()
        assert pair.edge_level.read(0, 1) & 0x07 == 0
        assert pair.edge_level.read(1, 1) & 0x21 == 0

    return check


def attach_timer(guest: Guest, dice: random.Random) -> Check:
    clock = Clock(dice)
    line = IrqLine()
    tick = TimerTick(line, is_open=lambda: bool(dice.randrange(4)), clock=clock)
    pit = I8254(tick, clock=clock)
    speaker = Speaker(timer2=pit.speaker_output, on_gate=pit.set_speaker_gate, clock=clock)
    guest.bus.attach(BASE, 4, pit)
    guest.bus.attach(BASE + 5, 1, speaker)

    def check() -> None:
        if line.level and dice.randrange(2):
            tick.serve(begins=True)
            tick.serve(begins=False)
        assert 0 <= tick.owed <= MOST_OWED
        pit.poll()
        event = pit.next_event()
        assert event is None or event > 0
        assert 0 <= pit.read(dice.randrange(4), 1) <= 0xFF

    return check


def attach_all(guest: Guest, dice: random.Random) -> Check:
    isa = IsaInterrupts(clock=Clock(dice))
    guest.bus.attach(BASE, 2, isa.pics.master)
    guest.bus.attach(BASE + 2, 2, isa.pics.slave)
    guest.bus.attach(BASE + 4, 4, isa.pit)
    guest.bus.attach(BASE + 8, 1, isa.speaker)

    def check() -> None:
        isa.poll()
        isa.next_event()
        for _ in range(dice.randrange(3)):
            if isa.intr.level:
                isa.acknowledge()

    return check


@TIMEOUT
@pytest.mark.parametrize("attach", [attach_pair, attach_timer, attach_all])
def test_random_accesses(attach: Attach) -> None:
    access_at_random(attach, accelerated=False)
