"""The keyboard controller and its keyboard."""

from __future__ import annotations

import pytest

from pykvm.devices import I8042, A20Gate
from pykvm.devices.ps2_keyboard import QUEUE_SIZE
from pykvm.irq import IrqLine
from tests.unit.devices.accelerated_guest import Guest

DATA, COMMAND = 0x60, 0x64
OUTPUT_FULL, AUX_FULL, TIME_OUT = 0x01, 0x20, 0x40
FIRMWARE_CONFIG = 0x65
UNTRANSLATED = 0x25


class Rig:
    """A controller on a bus, at the PC's ports."""

    def __init__(self) -> None:
        self.edges: list[bool] = []
        self.resets = 0
        self.a20_changes: list[bool] = []
        self.gate = A20Gate(self.a20_changes.append)
        self.irq = IrqLine(self.edges.append)
        self.aux_irq = IrqLine()
        self.kbc = I8042(self.irq, self.aux_irq, on_reset=self.reset, a20=self.gate)
        self.guest = Guest(accelerated=False)
        self.guest.bus.attach(DATA, 1, self.kbc.data)
        self.guest.bus.attach(COMMAND, 1, self.kbc.command)

    def reset(self) -> None:
        self.resets += 1

    def status(self) -> int:
        return self.guest.inp(COMMAND)

    def command(self, value: int, *data: int) -> None:
        self.guest.out(COMMAND, value)
        for byte in data:
            self.guest.out(DATA, byte)

    def keyboard(self, *values: int) -> bytes:
        """Send bytes to the keyboard; what it answered."""
        answers = bytearray()
        for value in values:
            self.guest.out(DATA, value)
            answers += self.drain()
        return bytes(answers)

    def drain(self) -> bytes:
        """Read all that is to be had."""
        found = bytearray()
        while self.status() & OUTPUT_FULL:
            found.append(self.guest.inp(DATA))
        return bytes(found)


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def raw(rig: Rig) -> Rig:
    """With translation off, so that the keyboard's own bytes show."""
    rig.command(0x60, UNTRANSLATED)
    return rig


class TestStatus:
    def test_at_the_start(self, rig: Rig) -> None:
        assert rig.status() == 0x14  # not locked, system flag

    def test_tells_commands_from_data(self, rig: Rig) -> None:
        rig.command(0xAE)
        assert rig.status() & 0x08
        rig.guest.out(DATA, 0xEE)
        assert not rig.status() & 0x08

    def test_system_flag_is_the_configuration_bit(self, rig: Rig) -> None:
        rig.command(0x60, FIRMWARE_CONFIG & ~0x04)
        assert not rig.status() & 0x04
        rig.command(0xAA)
        assert rig.status() & 0x04

    def test_reading_data_empties_the_buffer(self, rig: Rig) -> None:
        rig.command(0xAA)
        assert rig.status() & OUTPUT_FULL
        assert rig.guest.inp(DATA) == 0x55
        assert not rig.status() & OUTPUT_FULL
        assert rig.guest.inp(DATA) == 0x55


class TestCommands:
    @pytest.mark.parametrize(
        ("command", "answer"),
        [(0x20, FIRMWARE_CONFIG), (0xAA, 0x55), (0xAB, 0x00), (0xA9, 0x00), (0xC0, 0xA0)],
    )
    def test_commands_that_answer(self, rig: Rig, command: int, answer: int) -> None:
        rig.command(command)
        assert rig.drain() == bytes((answer,))

    def test_configuration_reads_back(self, rig: Rig) -> None:
        rig.command(0x60, 0x47)
        rig.command(0x20)
        assert rig.drain() == b"\x47"

    def test_memory_reads_back(self, rig: Rig) -> None:
        rig.command(0x7F, 0x5A)
        rig.command(0x3F)
        assert rig.drain() == b"\x5a"
        rig.command(0x20)
        assert rig.drain() == bytes((FIRMWARE_CONFIG,))

    @pytest.mark.parametrize(("off", "on", "bit"), [(0xAD, 0xAE, 0x10), (0xA7, 0xA8, 0x20)])
    def test_disable_and_enable_devices(self, rig: Rig, off: int, on: int, bit: int) -> None:
        for command, expected in ((off, bit), (on, 0)):
            rig.command(command)
            rig.command(0x20)
            assert rig.drain()[0] & bit == expected

    def test_a_new_command_replaces_one_that_waits_for_data(self, rig: Rig) -> None:
        rig.command(0xD1)
        rig.command(0x60, 0x45)
        assert rig.resets == 0
        rig.command(0x20)
        assert rig.drain() == b"\x45"
        rig.command(0xD1)
        rig.command(0xAE)
        assert rig.keyboard(0xEE) == b"\xee"  # the data byte is the keyboard's again
        assert rig.a20_changes == []

    def test_write_output_buffer_as_if_from_the_keyboard(self, rig: Rig) -> None:
        rig.command(0xD2, 0x77)
        assert rig.status() & (OUTPUT_FULL | AUX_FULL) == OUTPUT_FULL
        assert rig.irq.level
        assert rig.guest.inp(DATA) == 0x77

    def test_write_output_buffer_as_if_from_the_mouse(self, rig: Rig) -> None:
        rig.command(0x60, 0x47)
        rig.command(0xD3, 0x77)
        assert rig.status() & (OUTPUT_FULL | AUX_FULL) == OUTPUT_FULL | AUX_FULL
        assert (rig.irq.level, rig.aux_irq.level) == (False, True)
        assert rig.guest.inp(DATA) == 0x77
        assert not rig.aux_irq.level

    def test_no_mouse_is_a_time_out(self, rig: Rig) -> None:
        rig.command(0xD4, 0xF2)
        assert rig.status() & TIME_OUT
        assert rig.guest.inp(DATA) == 0xFE
        assert not rig.status() & TIME_OUT

    def test_unknown_commands_do_nothing(self, rig: Rig) -> None:
        for command in (0x00, 0x40, 0x80, 0xB0, 0xE0):
            rig.command(command)
        assert rig.drain() == b""


class TestOutputPort:
    @pytest.mark.parametrize("command", [0xF0, 0xFE, 0xF2, 0xFC])
    def test_pulsing_bit_0_resets(self, rig: Rig, command: int) -> None:
        rig.command(command)
        assert rig.resets == 1

    @pytest.mark.parametrize("command", [0xFF, 0xFD, 0xF1])
    def test_pulsing_others_does_not(self, rig: Rig, command: int) -> None:
        rig.command(command)
        assert rig.resets == 0

    def test_output_port_moves_a20(self, rig: Rig) -> None:
        rig.command(0xD1, 0xDD)
        assert not rig.kbc.a20
        rig.command(0xD0)
        assert rig.drain()[0] & 0x03 == 0x01
        rig.command(0xD1, 0xDF)
        rig.command(0xD0)
        assert rig.drain()[0] & 0x03 == 0x03
        assert rig.a20_changes == [False, True]
        assert rig.resets == 0

    def test_output_port_bit_0_resets(self, rig: Rig) -> None:
        rig.command(0xD1, 0xFE)
        assert rig.resets == 1

    def test_direct_a20_commands(self, rig: Rig) -> None:
        rig.command(0xDD)
        rig.command(0xDF)
        assert rig.a20_changes == [False, True]

    def test_output_port_shows_the_buffer_state(self, rig: Rig) -> None:
        rig.command(0xD0)
        assert rig.guest.inp(DATA) & 0x30 == 0x00
        rig.command(0xD2, 0)
        rig.command(0xD0)
        assert rig.guest.inp(DATA) & 0x30 == 0x10
        rig.command(0xD3, 0)
        rig.command(0xD0)
        assert rig.guest.inp(DATA) & 0x30 == 0x20


class TestKeys:
    def test_keys_arrive_translated(self, rig: Rig) -> None:
        # a down, a up, cursor left down and up, F7 down, in set 2
        assert rig.kbc.press(b"\x1c\xf0\x1c\xe0\x6b\xe0\xf0\x6b\x83") == 9
        assert rig.drain() == b"\x1e\x9e\xe0\x4b\xe0\xcb\x41"

    def test_keys_arrive_raw_without_translation(self, raw: Rig) -> None:
        raw.kbc.press(b"\x1c\xf0\x1c")
        assert raw.drain() == b"\x1c\xf0\x1c"

    def test_a_release_in_two_parts(self, rig: Rig) -> None:
        rig.kbc.press(b"\xf0")
        assert rig.drain() == b""
        rig.kbc.press(b"\x1c")
        assert rig.drain() == b"\x9e"

    def test_each_byte_is_an_edge_of_irq_1(self, rig: Rig) -> None:
        rig.kbc.press(b"\x1c\x32")
        assert rig.edges == [True]
        rig.guest.inp(DATA)
        assert rig.edges == [True, False, True]
        rig.guest.inp(DATA)
        assert rig.edges == [True, False, True, False]

    def test_interrupt_follows_its_enable_bit(self, rig: Rig) -> None:
        rig.command(0x60, FIRMWARE_CONFIG & ~0x01)
        rig.kbc.press(b"\x1c")
        assert not rig.irq.level
        rig.command(0x60, FIRMWARE_CONFIG)
        assert rig.irq.level

    def test_a_disabled_keyboard_keeps_its_keys(self, rig: Rig) -> None:
        rig.command(0xAD)
        assert rig.kbc.press(b"\x1c") == 1
        assert rig.drain() == b""
        rig.command(0xAE)
        assert rig.drain() == b"\x1e"

    def test_writing_to_the_keyboard_enables_it(self, rig: Rig) -> None:
        rig.command(0xAD)
        assert rig.keyboard(0xEE) == b"\xee"

    def test_the_queue_is_bounded(self, rig: Rig) -> None:
        rig.command(0xAD)
        assert rig.kbc.press(bytes(QUEUE_SIZE + 9)) == QUEUE_SIZE
        assert rig.kbc.press(b"\x1c") == 0


class TestKeyboardCommands:
    @pytest.mark.parametrize(
        ("sent", "answers"),
        [
            ((0xFF,), "fa aa"),
            ((0xF2,), "fa ab 83"),
            ((0xED, 0x07), "fa fa"),
            ((0xF3, 0x20), "fa fa"),
            ((0xF4,), "fa"),
            ((0xF5,), "fa"),
            ((0xF6,), "fa"),
            ((0xEE,), "ee"),
            ((0xF0, 0x00), "fa fa 02"),
            ((0xF0, 0x01, 0xF0, 0x00), "fa fa fa fa 01"),
            ((0xF0, 0x09, 0x03), "fa fe fa"),
            ((0xFA,), "fa"),
            ((0xFC, 0x1C, 0x1B, 0xEE), "fa fa fa ee"),
            ((0x00,), "fe"),
            ((0xF2, 0xFE), "fa ab 83 83"),
        ],
    )
    def test_answers(self, raw: Rig, sent: tuple[int, ...], answers: str) -> None:
        assert raw.keyboard(*sent) == bytes.fromhex(answers)

    def test_answers_are_translated_as_on_a_pc(self, rig: Rig) -> None:
        assert rig.keyboard(0xF2) == b"\xfa\xab\x41"
        assert rig.keyboard(0xF0, 0x00) == b"\xfa\xfa\x41"

    def test_leds(self, raw: Rig) -> None:
        raw.keyboard(0xED, 0x05)
        assert raw.kbc.keyboard.leds == 0x05
        raw.keyboard(0xFF)
        assert raw.kbc.keyboard.leds == 0

    def test_a_command_instead_of_an_option_is_a_command(self, raw: Rig) -> None:
        assert raw.keyboard(0xED, 0xEE, 0x05) == b"\xfa\xee\xfe"
        assert raw.kbc.keyboard.leds == 0

    def test_no_keys_while_not_scanning(self, raw: Rig) -> None:
        raw.keyboard(0xF5)
        assert raw.kbc.press(b"\x1c") == 0
        raw.keyboard(0xF4)
        assert raw.kbc.press(b"\x1c") == 1

    def test_answers_go_before_keys(self, raw: Rig) -> None:
        raw.kbc.press(b"\x1c\x32")  # the first is in the controller already
        raw.guest.out(DATA, 0xEE)
        assert raw.drain() == b"\x1c\xee\x32"

    def test_a_new_command_drops_unread_answers(self, raw: Rig) -> None:
        for _ in range(1000):
            raw.guest.out(DATA, 0xF2)
        assert raw.drain() == b"\xfa\xfa\xab\x83"
