"""ACPI's fixed registers on a clock that the test moves."""

from __future__ import annotations

import pytest

from pykvm.devices import AcpiPm
from pykvm.irq import IrqLine
from tests.unit.devices.accelerated_guest import Guest

NS = 1_000_000_000
HZ = 3_579_545
HALF_TURN = 1 << 23
STATUS, ENABLE, CONTROL, TIMER = 0x600, 0x602, 0x604, 0x608
TMR, GBL, PWRBTN, RTC = 1 << 0, 1 << 5, 1 << 8, 1 << 10
SCI_EN, BM_RLD, GBL_RLS, SLP_EN = 1 << 0, 1 << 1, 1 << 2, 1 << 13


class Rig:
    """The registers at 0x600, and a clock that begins anywhere."""

    def __init__(self) -> None:
        self.start = self.now = 123_456_789_012_345
        self.sci = IrqLine()
        self.power_offs = 0
        self.pm = AcpiPm(self.sci, on_power_off=self._count, clock=lambda: self.now)
        self.guest = Guest(accelerated=False)
        self.guest.bus.attach(0x600, 12, self.pm)

    def _count(self) -> None:
        self.power_offs += 1

    def read(self, port: int, size: int = 2) -> int:
        return self.guest.inp(port, size)

    def write(self, port: int, value: int, size: int = 2) -> None:
        self.guest.out(port, value, size)

    def tick_to(self, ticks: int) -> None:
        """Move the clock to the first nanosecond of the timer's tick number `ticks`."""
        self.now = self.start + -(-ticks * NS // HZ)


@pytest.fixture
def rig() -> Rig:
    return Rig()


class TestTimer:
    def test_runs_at_3_579545_mhz(self, rig: Rig) -> None:
        assert rig.read(TIMER, 4) == 0
        rig.now += NS
        assert rig.read(TIMER, 4) == HZ
        rig.now += NS // 2
        assert rig.read(TIMER, 4) == HZ * 3 // 2

    def test_a_tick_ends_where_the_next_begins(self, rig: Rig) -> None:
        rig.tick_to(1000)
        assert rig.read(TIMER, 4) == 1000
        rig.now -= 1
        assert rig.read(TIMER, 4) == 999

    def test_has_24_bits(self, rig: Rig) -> None:
        rig.tick_to((1 << 24) - 1)
        assert rig.read(TIMER, 4) == 0xFFFFFF
        rig.tick_to((1 << 24) + 5)
        assert rig.read(TIMER, 4) == 5

    def test_no_drift_in_a_year(self, rig: Rig) -> None:
        rig.now += 365 * 86400 * NS
        assert rig.read(TIMER, 4) == 365 * 86400 * HZ % (1 << 24)

    def test_is_read_only(self, rig: Rig) -> None:
        rig.tick_to(77)
        rig.write(TIMER, 0xFFFFFFFF, 4)
        assert rig.read(TIMER, 4) == 77

    def test_by_bytes_and_words(self, rig: Rig) -> None:
        rig.tick_to(0x123456)
        assert [rig.read(TIMER + i, 1) for i in range(4)] == [0x56, 0x34, 0x12, 0]
        assert rig.read(TIMER + 1, 2) == 0x1234

    def test_the_host_s_monotonic_clock_by_default(self) -> None:
        pm = AcpiPm(IrqLine(), on_power_off=lambda: None)
        first = pm.read(8, 4)
        assert first < HZ * 100
        while pm.read(8, 4) == first:
            pass


class TestTimerStatus:
    def test_each_change_of_the_top_bit_sets_it(self, rig: Rig) -> None:
        for half_turns in (1, 2, 3):
            rig.tick_to(half_turns * HALF_TURN - 1)
            assert rig.read(STATUS) == 0
            rig.tick_to(half_turns * HALF_TURN)
            assert rig.read(STATUS) == TMR
            rig.write(STATUS, TMR)
            assert rig.read(STATUS) == 0

    def test_a_change_back_unseen_counts_as_well(self, rig: Rig) -> None:
        rig.tick_to(2 * HALF_TURN)
        assert rig.read(STATUS) == TMR

    def test_interrupts_while_enabled(self, rig: Rig) -> None:
        rig.write(ENABLE, TMR)
        rig.tick_to(HALF_TURN)
        assert not rig.sci.level  # nobody has looked
        rig.pm.poll()
        assert rig.sci.level
        rig.write(STATUS, TMR)
        assert not rig.sci.level

    def test_enabling_after_the_event_interrupts_and_disabling_ends_it(self, rig: Rig) -> None:
        rig.tick_to(HALF_TURN)
        rig.pm.poll()
        assert not rig.sci.level
        rig.write(ENABLE, TMR)
        assert rig.sci.level
        rig.write(ENABLE, 0)
        assert not rig.sci.level
        assert rig.read(STATUS) == TMR

    def test_poll_interrupts_once_a_half_turn_is_over(self, rig: Rig) -> None:
        rig.tick_to(HALF_TURN + 1000)
        rig.write(ENABLE, TMR)
        rig.write(STATUS, TMR)
        rig.tick_to(2 * HALF_TURN - 1)
        rig.pm.poll()
        assert not rig.sci.level
        rig.tick_to(2 * HALF_TURN)
        rig.pm.poll()
        assert rig.sci.level

    def test_a_clock_that_steps_back_is_survived(self, rig: Rig) -> None:
        rig.tick_to(HALF_TURN)
        rig.write(STATUS, TMR)
        rig.now = rig.start - 1
        assert rig.read(TIMER, 4) == 0xFFFFFF
        assert rig.read(STATUS) == 0


class TestStatusAndEnable:
    def test_status_bits_are_cleared_by_ones_only(self, rig: Rig) -> None:
        rig.pm.press_power_button()
        rig.tick_to(HALF_TURN)
        assert rig.read(STATUS) == TMR | PWRBTN
        rig.write(STATUS, 0)
        assert rig.read(STATUS) == TMR | PWRBTN
        rig.write(STATUS, PWRBTN)
        assert rig.read(STATUS) == TMR
        rig.write(STATUS, 0xFFFF)
        assert rig.read(STATUS) == 0

    def test_clearing_reaches_the_bytes_written_only(self, rig: Rig) -> None:
        rig.pm.press_power_button()
        rig.tick_to(HALF_TURN)
        rig.write(STATUS, 0xFF, 1)
        assert rig.read(STATUS) == PWRBTN
        rig.write(STATUS + 1, 0xFF, 1)
        assert rig.read(STATUS) == 0

    def test_enable_has_the_bits_of_what_there_is_and_of_the_clock(self, rig: Rig) -> None:
        rig.write(ENABLE, 0xFFFF)
        assert rig.read(ENABLE) == TMR | GBL | PWRBTN | RTC
        rig.write(ENABLE, PWRBTN)
        assert rig.read(ENABLE) == PWRBTN

    def test_enable_by_bytes(self, rig: Rig) -> None:
        rig.write(ENABLE + 1, PWRBTN >> 8, 1)
        rig.write(ENABLE, TMR, 1)
        assert rig.read(ENABLE) == TMR | PWRBTN

    def test_both_in_one_access(self, rig: Rig) -> None:
        rig.pm.press_power_button()
        rig.write(STATUS, PWRBTN << 16 | TMR, 4)
        assert rig.read(STATUS, 4) == PWRBTN << 16 | PWRBTN
        assert rig.sci.level
        rig.write(STATUS, PWRBTN << 16 | PWRBTN, 4)
        assert not rig.sci.level

    def test_clearing_one_of_two_keeps_the_interrupt(self, rig: Rig) -> None:
        rig.write(ENABLE, TMR | PWRBTN)
        rig.pm.press_power_button()
        rig.tick_to(HALF_TURN)
        rig.write(STATUS, PWRBTN)
        assert rig.sci.level


class TestPowerButton:
    def test_interrupts_a_guest_that_listens(self, rig: Rig) -> None:
        rig.write(ENABLE, PWRBTN)
        rig.pm.press_power_button()
        assert rig.sci.level
        assert rig.read(STATUS) == PWRBTN
        rig.write(STATUS, PWRBTN)
        assert not rig.sci.level

    def test_is_only_noted_for_one_that_does_not(self, rig: Rig) -> None:
        rig.pm.press_power_button()
        assert not rig.sci.level
        assert rig.read(STATUS) == PWRBTN


class TestControl:
    def test_always_in_acpi_mode(self, rig: Rig) -> None:
        assert rig.read(CONTROL) == SCI_EN
        rig.write(CONTROL, 0)
        assert rig.read(CONTROL) == SCI_EN

    def test_write_only_bits_read_zero(self, rig: Rig) -> None:
        rig.write(CONTROL, 0xFFFF & ~SLP_EN)
        assert rig.read(CONTROL) == SCI_EN | BM_RLD | 7 << 10
        assert rig.power_offs == 0

    def test_soft_off_as_a_kernel_does_it(self, rig: Rig) -> None:
        """ACPICA writes the type alone first, then again with SLP_EN."""
        rig.write(CONTROL, SCI_EN)
        assert rig.power_offs == 0
        rig.write(CONTROL, SCI_EN | SLP_EN)
        assert rig.power_offs == 1
        assert not rig.read(CONTROL) & SLP_EN

    def test_soft_off_by_bytes(self, rig: Rig) -> None:
        rig.write(CONTROL + 1, SLP_EN >> 8, 1)
        assert rig.power_offs == 1

    def test_the_low_byte_alone_does_not_switch_off(self, rig: Rig) -> None:
        rig.write(CONTROL, 0xFF, 1)
        assert rig.power_offs == 0

    @pytest.mark.parametrize("kind", range(1, 8))
    def test_other_sleep_types_do_nothing(self, rig: Rig, kind: int) -> None:
        rig.write(CONTROL, kind << 10 | SLP_EN)
        assert rig.power_offs == 0
        assert rig.read(CONTROL) == kind << 10 | SCI_EN

    def test_what_is_behind_reads_zero(self, rig: Rig) -> None:
        rig.write(CONTROL + 2, 0xFFFF)
        assert rig.read(CONTROL, 4) == SCI_EN
        assert rig.power_offs == 0

    def test_bits_of_other_registers_do_not_switch_off(self, rig: Rig) -> None:
        rig.write(STATUS, 0xFFFFFFFF, 4)
        rig.write(TIMER, 0xFFFFFFFF, 4)
        assert rig.power_offs == 0
