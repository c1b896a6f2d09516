"""Interrupt controllers, timer and speaker, wired to each other on a port bus."""

from __future__ import annotations

import pytest

from pykvm.bus import PORT_SPACE, Bus
from pykvm.devices.timer_tick import MOST_OWED
from pykvm.isa_interrupts import IsaInterrupts

NS = 1_000_000_000
HZ = 1_193_182


class Rig:
    """All of it, as a BIOS sets it up, on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 5 * NS
        self.isa = IsaInterrupts(clock=lambda: self.now)
        self.ports = Bus("port", PORT_SPACE, strict=True)
        self.isa.attach(self.ports)
        self.initialize()

    def initialize(self) -> None:
        for port, words in ((0x20, (0x11, 8, 4, 1)), (0xA0, (0x11, 0x70, 2, 1))):
            self.out(port, words[0])
            self.out(port + 1, *words[1:])

    def out(self, port: int, *values: int) -> None:
        for value in values:
            self.ports.write(port, 1, value)

    def rate(self, count: int, *, mode: int = 2) -> None:
        self.out(0x43, 0x30 | mode << 1)
        self.out(0x40, count & 0xFF, count >> 8)

    def wait(self, pulses: int) -> None:
        self.now += -(-pulses * NS // HZ)
        self.isa.poll()

    def serve(self) -> list[int]:
        """Take interrupts and end them, as long as there are some."""
        vectors = []
        while self.isa.intr.level:
            vectors.append(self.isa.acknowledge())
            self.out(0x20, 0x20)
            self.isa.poll()
            assert len(vectors) <= 2000
        return vectors


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_the_timer_interrupts_at_input_0(rig: Rig) -> None:
    rig.rate(1000)
    rig.wait(500)
    assert rig.serve() == []
    rig.wait(502)
    assert rig.serve() == [8]


def test_ticks_that_were_missed_are_made_up_for(rig: Rig) -> None:
    rig.rate(1000, mode=3)
    rig.wait(5500)
    assert rig.serve() == [8] * 5
    rig.wait(502)
    assert rig.serve() == [8]


def test_but_not_those_that_came_while_masked(rig: Rig) -> None:
    rig.out(0x21, 0x01)
    rig.rate(1000)
    rig.wait(5500)
    assert rig.serve() == []
    rig.out(0x21, 0)
    assert rig.serve() == [8]


def test_nor_those_from_before_the_controllers_were_set_up(rig: Rig) -> None:
    rig.isa.pics.reset()
    rig.rate(1000)
    rig.wait(5500)
    rig.initialize()
    assert rig.serve() == []
    rig.wait(1000)
    assert rig.serve() == [8]


def test_a_poll_takes_a_tick_too(rig: Rig) -> None:
    rig.rate(1000)
    rig.wait(2001)
    for _ in range(2):
        rig.out(0x20, 0x0C)
        assert rig.ports.read(0x20, 1) == 0x80
        rig.out(0x20, 0x20)
        rig.isa.poll()
    assert not rig.isa.intr.level


def test_a_guest_that_never_takes_a_tick_gets_so_many_and_no_more(rig: Rig) -> None:
    rig.rate(2)
    rig.wait(HZ)
    assert len(rig.serve()) == MOST_OWED


@pytest.mark.parametrize("irq", [1, 3, 4, 7, 9, 15])
def test_lines_from_outside(rig: Rig, irq: int) -> None:
    rig.isa.set_input(irq, True)
    assert rig.isa.acknowledge() == (8 + irq if irq < 8 else 0x70 + irq - 8)


@pytest.mark.parametrize("irq", [0, 2])
def test_the_timer_s_and_the_cascade_s_lead_nowhere(rig: Rig, irq: int) -> None:
    rig.isa.set_input(irq, True)
    assert not rig.isa.intr.level


def test_port_61_gates_timer_2_and_shows_it(rig: Rig) -> None:
    rig.out(0x43, 0xB0)  # counter 2, mode 0
    rig.out(0x42, 100, 0)
    rig.wait(1000)
    assert not rig.ports.read(0x61, 1) & 0x20
    rig.out(0x61, 0x01)
    rig.wait(99)
    assert not rig.ports.read(0x61, 1) & 0x20
    rig.wait(1)
    assert rig.ports.read(0x61, 1) & 0x21 == 0x21


def test_reset(rig: Rig) -> None:
    rig.isa.set_input(4, True)
    rig.out(0x61, 0x03)
    rig.rate(100)
    rig.wait(1000)
    rig.isa.reset()
    assert not rig.isa.intr.level
    assert rig.isa.next_event() is None
    assert rig.ports.read(0x61, 1) & 0x0F == 0
    rig.initialize()
    assert rig.serve() == []
    rig.isa.set_input(4, False)
    rig.isa.set_input(4, True)
    assert rig.serve() == [12]


def test_a_late_tick_is_an_event(rig: Rig) -> None:
    rig.rate(0)
    rig.wait(0x2_0001)
    rig.isa.acknowledge()
    rig.now += 7
    assert rig.isa.next_event() == rig.isa.pit.next_event()
    rig.out(0x20, 0x20)
    assert rig.isa.next_event() == rig.now + 7
    rig.now += 7
    rig.isa.poll()
    assert rig.isa.intr.level


def test_initializing_in_an_interrupt_ends_it(rig: Rig) -> None:
    rig.rate(1000)
    rig.wait(1001)
    rig.isa.acknowledge()
    rig.initialize()
    rig.wait(1001)
    assert rig.serve() == [8]
