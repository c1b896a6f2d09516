"""The IOAPIC by the 82093AA's datasheet: registers, triggers, masks, messages, EOI, routes."""

from __future__ import annotations

import pytest

from pykvm.devices import IoApic
from pykvm.devices.ioapic import PINS
from tests.unit.devices.ioapic_rig import (
    ARBITRATION,
    ASSERT,
    BASE,
    EXTINT,
    FIXED,
    ID,
    INIT,
    LEVEL,
    LOGICAL,
    LOWEST,
    MASKED,
    NMI,
    PIN,
    POLARITY,
    REMOTE_IRR,
    SMI,
    STATUS,
    TABLE,
    VERSION,
    Rig,
)


@pytest.fixture
def rig() -> Rig:
    return Rig()


class TestRegisters:
    def test_after_reset(self, rig: Rig) -> None:
        assert rig.read(ID) == 0
        assert rig.read(VERSION) == 0x0017_0020
        assert rig.read(ARBITRATION) == 0
        for pin in range(PINS):
            assert (rig.low(pin), rig.read(TABLE + 2 * pin + 1)) == (MASKED, 0)
        assert rig.ioapic.routes() == ()

    def test_reset_takes_all_back(self, rig: Rig) -> None:
        rig.drive(1)
        rig.program(FIXED | LEVEL | 0x55)
        rig.write(ID, 0x0500_0000)
        rig.bus.write(BASE, 4, TABLE)
        rig.ioapic.reset()
        assert rig.bus.read(BASE, 4) == 0
        assert rig.bus.read(BASE + 0x10, 4) == 0
        self.test_after_reset(rig)
        assert rig.ioapic.line(PIN).level

    def test_the_id_has_four_bits_and_loads_the_arbitration_id(self, rig: Rig) -> None:
        rig.write(ID, 0xFFFF_FFFF)
        assert rig.read(ID) == rig.read(ARBITRATION) == 0x0F00_0000

    @pytest.mark.parametrize("register", [VERSION, ARBITRATION])
    def test_read_only(self, rig: Rig, register: int) -> None:
        before = rig.read(register)
        rig.write(register, 0xFFFF_FFFF)
        assert rig.read(register) == before

    @pytest.mark.parametrize("register", [3, 0x0F, 0x40, 0xFF])
    def test_registers_that_are_not_there(self, rig: Rig, register: int) -> None:
        rig.write(register, 0)
        assert rig.read(register) == 0xFFFF_FFFF

    def test_the_selector_reads_back_eight_bits(self, rig: Rig) -> None:
        rig.bus.write(BASE, 4, 0xFFFF_FF01)
        assert rig.bus.read(BASE, 4) == 1
        rig.bus.write(BASE, 1, 2)
        assert rig.bus.read(BASE, 1) == 2

    @pytest.mark.parametrize("size", [1, 2])
    def test_the_window_is_written_whole(self, rig: Rig, size: int) -> None:
        rig.program(0x1_0020)
        rig.bus.write(BASE + 0x10, size, 0)
        assert rig.low() == 0x1_0020
        assert rig.bus.read(BASE + 0x10, size) == 0x20

    @pytest.mark.parametrize("offset", [0x04, 0x0C, 0x14, 0x20, 0x40, 0x44, 0xFFC])
    def test_offsets_without_a_readable_register(self, rig: Rig, offset: int) -> None:
        rig.bus.write(BASE + offset, 4, 0)
        assert rig.bus.read(BASE + offset, 4) == 0xFFFF_FFFF

    def test_read_only_and_reserved_bits_of_an_entry(self, rig: Rig) -> None:
        rig.write(TABLE + 2 * PIN, 0xFFFF_FFFF)
        rig.write(TABLE + 2 * PIN + 1, 0xFFFF_FFFF)
        assert rig.low() == 0x1_FFFF & ~STATUS & ~REMOTE_IRR
        assert rig.read(TABLE + 2 * PIN + 1) == 0xFF00_0000

    def test_entries_are_apart(self, rig: Rig) -> None:
        for pin in range(PINS):
            rig.program(MASKED | 0x40 + pin, destination=pin, pin=pin)
        for pin in range(PINS):
            assert rig.low(pin) == MASKED | 0x40 + pin
            assert rig.read(TABLE + 2 * pin + 1) == pin << 24


class TestMessages:
    @pytest.mark.parametrize(
        ("entry", "destination", "address", "data"),
        [
            (FIXED | 0x10, 0, 0xFEE0_0000, ASSERT | 0x10),
            (FIXED | 0xFF, 0xAB, 0xFEEA_B000, ASSERT | 0xFF),
            (FIXED | LOGICAL | 0x31, 3, 0xFEE0_3004, ASSERT | LOGICAL | 0x31),
            (LOWEST | LOGICAL | 0x31, 0xFF, 0xFEEF_F00C, ASSERT | LOGICAL | LOWEST | 0x31),
            (LOWEST | LEVEL | 0x31, 1, 0xFEE0_1008, ASSERT | LEVEL | LOWEST | 0x31),
            (FIXED | LEVEL | 0x31, 1, 0xFEE0_1000, ASSERT | LEVEL | 0x31),
            (FIXED | POLARITY | 0x31, 1, 0xFEE0_1000, ASSERT | 0x31),
            (SMI, 1, 0xFEE0_1000, ASSERT | SMI),
            (NMI | 0x02, 1, 0xFEE0_1000, ASSERT | NMI | 0x02),
            (INIT, 1, 0xFEE0_1000, ASSERT | INIT),
            (EXTINT, 1, 0xFEE0_1000, ASSERT | EXTINT),
            (NMI | LEVEL, 1, 0xFEE0_1000, ASSERT | NMI),
        ],
    )
    def test_message(self, rig: Rig, entry: int, destination: int, address: int, data: int) -> None:
        rig.program(entry, destination)
        rig.drive(1)
        assert rig.messages == [(address, data)]
        assert rig.ioapic.routes() == ((PIN, address, data),)

    @pytest.mark.parametrize("entry", [0x00, 0x0F, 0x0F | LEVEL, 3 << 8 | 0x31, 6 << 8 | 0x31])
    def test_what_no_local_apic_accepts_is_not_sent(self, rig: Rig, entry: int) -> None:
        rig.program(entry)
        rig.drive(1, 0, 1)
        assert rig.messages == []
        assert rig.low() == entry
        assert rig.ioapic.routes() == ()


class TestEdge:
    def test_each_rise_is_one_message(self, rig: Rig) -> None:
        rig.program(0x31)
        rig.drive(1, 1, 0, 1, 0)
        assert rig.vectors == [0x31, 0x31]
        assert rig.low() == 0x31

    def test_no_eoi_is_awaited(self, rig: Rig) -> None:
        rig.program(0x31)
        rig.drive(1)
        rig.ioapic.end_of_interrupt(0x31)
        assert rig.vectors == [0x31]

    def test_on_a_masked_pin_it_is_lost(self, rig: Rig) -> None:
        rig.program(0x31 | MASKED)
        rig.drive(1, 0, 1)
        rig.program(0x31)
        assert rig.vectors == []
        rig.drive(0, 1)
        assert rig.vectors == [0x31]

    @pytest.mark.parametrize("mode", [SMI, NMI, INIT, EXTINT])
    def test_modes_that_are_edges_whatever_the_entry_says(self, rig: Rig, mode: int) -> None:
        rig.program(mode | LEVEL)
        rig.drive(1)
        rig.program(mode | LEVEL)
        rig.drive(0, 1)
        assert len(rig.messages) == 2
        assert rig.low() == mode | LEVEL


class TestLevel:
    def test_one_message_until_the_eoi_and_again_while_it_is_high(self, rig: Rig) -> None:
        rig.program(0x31 | LEVEL)
        rig.drive(1)
        assert rig.low() == 0x31 | LEVEL | REMOTE_IRR
        rig.drive(0, 1, 0, 1)
        assert rig.vectors == [0x31]
        rig.ioapic.end_of_interrupt(0x31)
        assert rig.vectors == [0x31]
        assert rig.low() & REMOTE_IRR
        rig.drive(0)
        rig.ioapic.end_of_interrupt(0x31)
        assert rig.vectors == []
        assert rig.low() == 0x31 | LEVEL

    def test_an_eoi_of_another_vector(self, rig: Rig) -> None:
        rig.program(0x31 | LEVEL)
        rig.drive(1)
        rig.ioapic.end_of_interrupt(0x30)
        assert rig.vectors == [0x31]
        assert rig.low() & REMOTE_IRR

    def test_an_eoi_ends_all_pins_of_its_vector(self, rig: Rig) -> None:
        for pin in (3, 4):
            rig.program(0x31 | LEVEL, destination=pin, pin=pin)
            rig.drive(1, pin=pin)
        rig.drive(0, pin=3)
        assert rig.vectors == [0x31, 0x31]
        rig.ioapic.end_of_interrupt(0x31)
        assert rig.messages == [(0xFEE0_4000, ASSERT | LEVEL | 0x31)]
        assert not rig.low(3) & REMOTE_IRR
        assert rig.low(4) & REMOTE_IRR

    def test_the_eoi_register(self, rig: Rig) -> None:
        rig.program(0x31 | LEVEL)
        rig.drive(1)
        rig.bus.write(BASE + 0x40, 4, 0xFFFF_FF31)
        assert rig.vectors == [0x31, 0x31]

    def test_what_nobody_accepted_awaits_no_eoi(self, rig: Rig) -> None:
        rig.accepts = False
        rig.program(0x31 | LEVEL)
        rig.drive(1)
        assert rig.low() == 0x31 | LEVEL
        rig.accepts = True
        rig.program(0x31 | LEVEL)
        assert rig.vectors == [0x31, 0x31]

    def test_masked_it_waits(self, rig: Rig) -> None:
        rig.program(0x31 | LEVEL | MASKED)
        rig.drive(1)
        assert rig.vectors == []
        rig.program(0x31 | LEVEL)
        assert rig.vectors == [0x31]

    def test_masked_and_gone_leaves_nothing(self, rig: Rig) -> None:
        rig.program(0x31 | LEVEL | MASKED)
        rig.drive(1, 0)
        rig.program(0x31 | LEVEL)
        assert rig.vectors == []

    def test_masking_within_the_handler_keeps_it_quiet_after_the_eoi(self, rig: Rig) -> None:
        rig.program(0x31 | LEVEL)
        rig.drive(1)
        rig.program(0x31 | LEVEL | MASKED)
        assert rig.low() & REMOTE_IRR
        rig.ioapic.end_of_interrupt(0x31)
        assert rig.vectors == [0x31]
        rig.program(0x31 | LEVEL)
        assert rig.vectors == [0x31]

    def test_writing_an_entry_does_not_repeat_what_is_awaited(self, rig: Rig) -> None:
        rig.program(0x31 | LEVEL)
        rig.drive(1)
        rig.program(0x31 | LEVEL, destination=2)
        assert rig.vectors == [0x31]

    def test_to_edge_and_back_frees_an_entry(self, rig: Rig) -> None:
        """What Linux does where there is no EOI register."""
        rig.program(0x31 | LEVEL)
        rig.drive(1)
        rig.program(0x31 | MASKED)
        assert rig.low() == 0x31 | MASKED
        rig.program(0x31 | LEVEL)
        assert rig.vectors == [0x31, 0x31]

    def test_turned_to_level_with_the_line_high(self, rig: Rig) -> None:
        rig.program(0x31)
        rig.drive(1)
        rig.program(0x41 | LEVEL)
        assert rig.vectors == [0x31, 0x41]


class TestRoutes:
    def test_changes_are_told_before_what_they_bring(self, rig: Rig) -> None:
        rig.drive(1)
        rig.write(TABLE + 2 * PIN, 0x31 | LEVEL)
        message = (0xFEE0_0000, ASSERT | LEVEL | 0x31)
        assert rig.log == [((PIN, *message),), message]

    def test_only_changes_are_told(self, rig: Rig) -> None:
        rig.program(0x31 | LEVEL)
        rig.log.clear()
        rig.program(0x31 | LEVEL)
        rig.write(ID, 1 << 24)
        rig.program(MASKED | 0x32, pin=PIN + 1)
        rig.program(0x31 | LEVEL | POLARITY)
        assert rig.log == []

    def test_masked_entries_have_none(self, rig: Rig) -> None:
        rig.program(0x31, pin=2)
        rig.program(0x32, pin=5)
        assert [route.pin for route in rig.ioapic.routes()] == [2, 5]
        rig.program(0x31 | MASKED, pin=2)
        assert [route.pin for route in rig.ioapic.routes()] == [5]

    def test_an_eoi_to_come_keeps_a_masked_entry_s_route(self, rig: Rig) -> None:
        rig.program(0x31 | LEVEL)
        rig.drive(1)
        rig.program(0x31 | LEVEL | MASKED)
        assert rig.ioapic.routes() == ((PIN, 0xFEE0_0000, ASSERT | LEVEL | 0x31),)
        rig.log.clear()
        rig.ioapic.end_of_interrupt(0x31)
        assert rig.log == [()]

    def test_without_a_listener(self) -> None:
        ioapic = IoApic(lambda address, data: True)
        ioapic.write(0, 4, TABLE)
        ioapic.write(0x10, 4, 0x31)
        assert len(ioapic.routes()) == 1


def test_lines_are_always_the_same(rig: Rig) -> None:
    assert all(rig.ioapic.line(pin) is rig.ioapic.line(pin) for pin in range(PINS))
    assert len({id(rig.ioapic.line(pin)) for pin in range(PINS)}) == PINS
