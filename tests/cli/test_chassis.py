"""Where the command keeps its machine, moment by moment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from pykvm.bios.bda import Bda
from pykvm.bios.keyboard import Keyboard
from pykvm.cli.chassis import Chassis
from pykvm.cpu.stop import Stop, StopReason
from pykvm.devices import BufferSink, Uart16550
from pykvm.irq import IrqLine
from pykvm.memory import GuestMemory

if TYPE_CHECKING:
    from pykvm.machine import Machine

FIRST = Stop(StopReason.INTERRUPTED, detail="first")
SECOND = Stop(StopReason.TERMINATED, detail="second")


class Fake:
    """In place of a machine: a UART with a queue of four, and what stopped it."""

    def __init__(self) -> None:
        serial = Uart16550(IrqLine(), BufferSink(), queue_size=4)
        self.board = SimpleNamespace(serial=serial)
        self.serial = serial
        self.bios = SimpleNamespace(keyboard=Keyboard(Bda(GuestMemory(1 << 16))))
        self.stops: list[Stop] = []
        self.presses = 0
        self.closed = False

    def stop(self, stop: Stop) -> None:
        self.stops.append(stop)

    def send(self, data: bytes) -> int:
        assert not self.closed
        return self.serial.receive(data)

    def take_keys(self) -> list[int]:
        assert not self.closed
        return self.bios.keyboard.take(from_guest=True)  # type: ignore[no-any-return]

    def press_power_button(self) -> None:
        assert not self.closed
        self.presses += 1

    def close(self) -> None:
        self.closed = True


class Factory:
    """Makes fakes; `meanwhile` is done while there is none."""

    def __init__(self) -> None:
        self.made: list[Fake] = []
        self.chassis = Chassis(self.make)

    def make(self) -> Machine:
        if self.made:
            assert self.made[-1].closed
            self.meanwhile()
        self.made.append(Fake())
        return cast("Machine", self.made[-1])

    def meanwhile(self) -> None:
        """Nothing, unless a test says what."""


def received(machine: Fake) -> bytes:
    """All that the guest gets to read."""
    serial, data = machine.serial, bytearray()
    while serial.read(5, 1) & 1:
        data.append(serial.read(0, 1))
    return bytes(data)


def test_a_stop_between_two_machines_stops_the_next_one() -> None:
    factory = Factory()
    factory.meanwhile = lambda: factory.chassis.stop(FIRST)  # type: ignore[method-assign]
    factory.chassis.restart()
    assert [machine.stops for machine in factory.made] == [[], [FIRST]]


def test_the_first_stop_counts_for_every_machine() -> None:
    factory = Factory()
    factory.chassis.stop(FIRST)
    factory.chassis.stop(SECOND)
    factory.chassis.restart()
    assert [machine.stops for machine in factory.made] == [[FIRST, FIRST], [FIRST]]


def test_there_is_no_room_between_two_machines_and_room_is_told_of() -> None:
    factory = Factory()
    taken = []
    factory.meanwhile = lambda: taken.append(  # type: ignore[method-assign]
        factory.chassis.send(b"x")
    )
    factory.chassis.on_room = lambda: taken.append(factory.chassis.send(b"y"))
    factory.chassis.restart()
    assert taken == [0, 1]
    assert received(factory.made[-1]) == b"y"


def test_what_a_guest_has_not_read_is_for_the_next_one() -> None:
    factory = Factory()
    serial = factory.made[0].serial
    assert factory.chassis.send(b"abcd") == 4
    assert serial.read(0, 1) == ord("a")  # and b is in the RBR
    assert factory.chassis.send(b"efg") == 2
    factory.chassis.restart()
    assert factory.chassis.send(b"x") == 0
    assert received(factory.made[1]) == b"bcdef"


def test_keys_wait_for_the_next_guest() -> None:
    factory = Factory()
    factory.made[0].bios.keyboard.type(b"abc")
    factory.chassis.restart()
    keyboards = [machine.bios.keyboard for machine in factory.made]
    assert [keyboard.room for keyboard in keyboards] == [4096, 4093]
    told = []
    factory.chassis.on_key_room = lambda: told.append(1)
    keyboards[1].refill()
    assert (keyboards[1].room, told) == (4096, [1])


def test_room_for_keys_is_told_of_when_a_machine_is_put_in() -> None:
    factory = Factory()
    told = []
    factory.chassis.on_key_room = lambda: told.append(1)
    factory.chassis.restart()
    assert told == [1]


def test_the_power_button_is_that_of_the_machine_that_is_in() -> None:
    factory = Factory()
    factory.chassis.press_power_button()
    factory.meanwhile = factory.chassis.press_power_button  # type: ignore[method-assign]
    factory.chassis.restart()
    factory.chassis.press_power_button()
    factory.chassis.press_power_button()
    assert [machine.presses for machine in factory.made] == [1, 2]


def test_after_a_restart_room_is_told_of_as_before() -> None:
    factory = Factory()
    factory.chassis.send(b"abcd")
    factory.chassis.restart()
    told = []
    factory.chassis.on_room = lambda: told.append(1)
    assert received(factory.made[1]) == b"abcd"
    assert told == [1]


def test_what_a_guest_sends_to_itself_is_its_own() -> None:
    factory = Factory()
    serial = factory.made[0].serial
    factory.chassis.send(b"a")
    serial.write(4, 1, 0x10)  # MCR: loop-back
    serial.write(0, 1, ord("z"))
    factory.chassis.restart()
    assert received(factory.made[1]) == b"a"


def test_a_machine_that_cannot_be_made_leaves_none() -> None:
    factory = Factory()

    def fail() -> None:
        raise OSError("no")

    factory.meanwhile = fail  # type: ignore[method-assign]
    with pytest.raises(OSError, match="no"):
        factory.chassis.restart()
    assert factory.chassis.send(b"x") == 0
    factory.chassis.stop(FIRST)
    factory.chassis.close()
