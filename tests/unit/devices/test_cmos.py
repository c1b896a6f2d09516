"""The RTC on a clock that the test moves, and the CMOS RAM."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pykvm.devices import Cmos
from pykvm.irq import IrqLine
from tests.unit.devices.accelerated_guest import Guest

NS = 1_000_000_000
GIB = 1 << 30
MIB = 1 << 20
START = datetime(2024, 2, 28, 23, 59, 58, tzinfo=UTC)  # a Wednesday
SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY = 0, 2, 4, 6, 7, 8, 9, 0x32
A, B, C, D = 0x0A, 0x0B, 0x0C, 0x0D
SET, PIE, AIE, UIE, BINARY, HOURS_24 = 0x80, 0x40, 0x20, 0x10, 0x04, 0x02
IRQF, PF, AF, UF = 0x80, 0x40, 0x20, 0x10
RATE_OFF, RATE_2HZ, DIVIDER_RESET = 0x20, 0x2F, 0x70


class Rig:
    """An RTC that starts on `START`, exactly on the second, with its alarm at midnight."""

    def __init__(self, below: int = 128 * MIB, above: int = 0) -> None:
        self.now = int(START.timestamp()) * NS
        self.irq = IrqLine()
        self.cmos = Cmos(self.irq, ram_below_4g=below, ram_above_4g=above, clock=lambda: self.now)
        self.guest = Guest(accelerated=False)
        self.guest.bus.attach(0x70, 2, self.cmos)

    def read(self, register: int) -> int:
        self.guest.out(0x70, register)
        return self.guest.inp(0x71)

    def write(self, register: int, value: int) -> None:
        self.guest.out(0x70, register)
        self.guest.out(0x71, value)

    def sleep(self, seconds: float) -> None:
        self.now += round(seconds * NS)

    def time(self) -> str:
        """All counters as hexadecimal text: century, year, month, day, weekday, h, m, s."""
        order = (CENTURY, YEAR, MONTH, DAY, WEEKDAY, HOURS, MINUTES, SECONDS)
        return " ".join(f"{self.read(register):02x}" for register in order)


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.write(A, RATE_OFF)
    return rig


class TestTime:
    def test_starts_with_the_clock_in_bcd_and_24_hours(self, rig: Rig) -> None:
        assert rig.time() == "20 24 02 28 04 23 59 58"

    def test_runs_with_the_clock(self, rig: Rig) -> None:
        rig.sleep(1.999)
        assert rig.time() == "20 24 02 28 04 23 59 59"
        rig.sleep(0.001)
        assert rig.time() == "20 24 02 29 05 00 00 00"

    def test_defaults_to_the_host_clock(self) -> None:
        cmos = Cmos(IrqLine(), ram_below_4g=MIB)

        def read_year() -> int:
            cmos.write(0, 1, YEAR)
            return cmos.read(1, 1)

        before = datetime.now(UTC).year % 100
        year = read_year()
        after = datetime.now(UTC).year % 100
        assert f"{year:02x}" in (f"{before:02d}", f"{after:02d}")

    def test_binary(self, rig: Rig) -> None:
        rig.write(B, BINARY | HOURS_24)
        assert rig.time() == "14 18 02 1c 04 17 3b 3a"

    @pytest.mark.parametrize(
        ("hour", "bcd", "binary"),
        [(0, 0x12, 0x0C), (1, 0x01, 0x01), (11, 0x11, 0x0B), (12, 0x92, 0x8C), (23, 0x91, 0x8B)],
    )
    def test_12_hours(self, rig: Rig, hour: int, bcd: int, binary: int) -> None:
        rig.sleep(2 + 3600 * hour)
        rig.write(B, 0)
        assert rig.read(HOURS) == bcd
        rig.write(B, BINARY)
        assert rig.read(HOURS) == binary

    @pytest.mark.parametrize("mode", [0, HOURS_24, BINARY, BINARY | HOURS_24])
    def test_hours_written_read_back_in_every_mode(self, rig: Rig, mode: int) -> None:
        rig.write(B, mode)
        for _ in range(24):
            rig.sleep(3600)
            hours = rig.read(HOURS)
            rig.write(HOURS, hours)
            assert rig.read(HOURS) == hours

    def test_set_freezes_and_the_new_time_runs_on(self, rig: Rig) -> None:
        rig.write(B, SET | HOURS_24)
        rig.sleep(10)
        assert rig.read(SECONDS) == 0x58
        new = {CENTURY: 0x19, YEAR: 0x99, MONTH: 0x12, DAY: 0x31, WEEKDAY: 6}
        for register, value in {**new, HOURS: 0x23, MINUTES: 0x59, SECONDS: 0x59}.items():
            rig.write(register, value)
        assert rig.time() == "19 99 12 31 06 23 59 59"
        rig.write(B, HOURS_24)
        assert rig.time() == "19 99 12 31 06 23 59 59"
        rig.sleep(1)
        assert rig.time() == "20 00 01 01 07 00 00 00"

    def test_counters_may_be_written_while_running_one_by_one(self, rig: Rig) -> None:
        for register, value in ((DAY, 0x31), (MONTH, 0x02), (DAY, 0x05)):
            rig.write(register, value)
        assert rig.time() == "20 24 02 05 04 23 59 58"
        rig.sleep(2)
        assert rig.time() == "20 24 02 06 05 00 00 00"

    def test_a_clock_that_steps_back_is_followed(self, rig: Rig) -> None:
        rig.write(A, RATE_2HZ)
        rig.sleep(-86400)
        assert rig.time() == "20 24 02 27 03 23 59 58"
        assert rig.read(C) == 0

    def test_divider_reset_starts_the_next_update_half_a_second_later(self, rig: Rig) -> None:
        rig.sleep(0.9)
        rig.write(A, DIVIDER_RESET)
        rig.sleep(100.3)
        assert rig.read(SECONDS) == 0x58
        rig.write(A, RATE_OFF)
        rig.sleep(0.499)
        assert rig.read(SECONDS) == 0x58
        rig.sleep(0.001)
        assert rig.read(SECONDS) == 0x59
        rig.sleep(0.999)
        assert rig.read(SECONDS) == 0x59

    @pytest.mark.parametrize("value", range(256))
    def test_any_byte_in_any_counter_is_survived(self, rig: Rig, value: int) -> None:
        for register in (SECONDS, MINUTES, HOURS, WEEKDAY, DAY, MONTH, YEAR, CENTURY):
            for mode in (0, BINARY, HOURS_24):
                rig.write(B, mode)
                rig.write(register, value)
                rig.sleep(86400)
                rig.time()


class TestUpdateInProgress:
    @pytest.mark.parametrize(
        ("before_ns", "uip"), [(244_001, 0), (244_000, 1), (1, 1), (0, 0), (NS // 2, 0)]
    )
    def test_is_set_244_us_before_an_update(self, rig: Rig, before_ns: int, uip: int) -> None:
        rig.now += NS - before_ns
        assert rig.read(A) >> 7 == uip

    def test_not_while_set(self, rig: Rig) -> None:
        rig.now += NS - 1
        rig.write(B, SET)
        assert rig.read(A) >> 7 == 0

    def test_is_read_only(self, rig: Rig) -> None:
        rig.write(A, 0xA6)
        assert rig.read(A) == 0x26


class TestFlags:
    def test_update_flag_once_a_second_until_read(self, rig: Rig) -> None:
        assert rig.read(C) == 0
        rig.sleep(1)
        assert rig.read(C) == UF
        assert rig.read(C) == 0
        rig.sleep(0.5)
        assert rig.read(C) == 0
        rig.sleep(0.5)
        assert rig.read(C) & UF

    def test_no_update_while_set(self, rig: Rig) -> None:
        rig.write(B, SET)
        rig.sleep(5)
        assert rig.read(C) == 0

    def test_what_happened_before_set_is_kept(self, rig: Rig) -> None:
        rig.sleep(1)
        rig.write(B, SET)
        assert rig.read(C) == UF

    def test_set_clears_the_update_interrupt_enable(self, rig: Rig) -> None:
        rig.write(B, UIE | HOURS_24)
        rig.write(B, SET | UIE | HOURS_24)
        assert rig.read(B) == SET | HOURS_24

    def test_enabled_update_interrupts(self, rig: Rig) -> None:
        rig.write(B, UIE | HOURS_24)
        rig.sleep(1)
        assert not rig.irq.level  # nobody has looked: no timers
        rig.cmos.poll()
        assert rig.irq.level
        assert rig.read(C) == IRQF | UF
        assert not rig.irq.level

    def test_enabling_after_the_event_interrupts_and_disabling_ends_it(self, rig: Rig) -> None:
        rig.sleep(1)
        rig.write(B, UIE | HOURS_24)
        assert rig.irq.level
        rig.write(B, HOURS_24)
        assert not rig.irq.level

    @pytest.mark.parametrize(
        ("rate", "hertz"), [(1, 256), (2, 128), (3, 8192), (6, 1024), (8, 256), (15, 2)]
    )
    def test_periodic_rates(self, rig: Rig, rate: int, hertz: int) -> None:
        rig.write(A, 0x20 | rate)
        rig.read(C)
        rig.sleep(0.9 / hertz)
        assert not rig.read(C) & PF
        rig.sleep(0.2 / hertz)
        assert rig.read(C) & PF
        assert not rig.read(C) & PF

    def test_rate_0_is_off(self, rig: Rig) -> None:
        rig.sleep(10)
        assert not rig.read(C) & PF

    def test_periodic_interrupt(self, rig: Rig) -> None:
        rig.write(A, RATE_2HZ)
        rig.write(B, PIE | HOURS_24)
        rig.sleep(0.6)
        assert rig.read(C) == IRQF | PF

    def test_alarm_at_a_time(self, rig: Rig) -> None:
        for register, value in ((5, 0x00), (3, 0x00), (1, 0x01)):
            rig.write(register, value)
        rig.sleep(2)
        assert not rig.read(C) & AF
        rig.sleep(1)
        assert rig.read(C) & AF
        rig.sleep(3600)
        assert not rig.read(C) & AF
        rig.sleep(86400)
        assert rig.read(C) & AF

    def test_alarm_in_12_hours(self, rig: Rig) -> None:
        rig.write(B, 0)
        for register, value in ((5, 0x91), (3, 0x59), (1, 0x59)):  # 11 PM
            rig.write(register, value)
        rig.sleep(1)
        assert rig.read(C) & AF

    def test_dont_care_alarm_fires_each_second(self, rig: Rig) -> None:
        for register in (1, 3, 5):
            rig.write(register, 0xC0)
        rig.write(B, AIE | HOURS_24)
        for _ in range(3):
            rig.sleep(1)
            assert rig.read(C) == IRQF | AF | UF

    def test_alarm_follows_the_guest_time(self, rig: Rig) -> None:
        for register, value in ((5, 0x07), (3, 0x30), (1, 0x00)):
            rig.write(register, value)
        for register, value in ((HOURS, 0x07), (MINUTES, 0x29), (SECONDS, 0x59)):
            rig.write(register, value)
        rig.sleep(1)
        assert rig.read(C) & AF


class TestRam:
    def test_index_port_masks_nmi_and_is_write_only(self, rig: Rig) -> None:
        assert not rig.cmos.nmi_masked
        rig.guest.out(0x70, 0x80 | YEAR)
        assert rig.cmos.nmi_masked
        assert rig.guest.inp(0x71) == 0x24
        assert rig.guest.inp(0x70) == 0xFF

    def test_ram_keeps_what_is_written(self, rig: Rig) -> None:
        for address in (0x0E, 0x0F, 0x33, 0x7F):
            rig.write(address, address ^ 0xFF)
        assert [rig.read(address) for address in (0x0E, 0x0F, 0x33, 0x7F)] == [
            0xF1,
            0xF0,
            0xCC,
            0x80,
        ]

    def test_status_registers_c_and_d_are_read_only(self, rig: Rig) -> None:
        rig.write(C, 0xFF)
        rig.write(D, 0x00)
        assert (rig.read(C), rig.read(D)) == (0, 0x80)

    @pytest.mark.parametrize(
        ("ram", "sizes"),
        [
            ((64 << 10, 0), (64, 0, 0, 0)),
            ((MIB, 0), (640, 0, 0, 0)),
            ((16 * MIB, 0), (640, 15 * 1024, 0, 0)),
            ((128 * MIB, 0), (640, 65535, 112 * 16, 0)),
            ((3 * GIB, 5 * GIB), (640, 65535, 3056 * 16, 5 * 16384)),
            ((4 * GIB, 1 << 50), (640, 65535, 4080 * 16, 0xFFFFFF)),
        ],
    )
    def test_memory_size_bytes(self, ram: tuple[int, int], sizes: tuple[int, ...]) -> None:
        rig = Rig(*ram)

        def number(at: int, length: int) -> int:
            return sum(rig.read(at + i) << 8 * i for i in range(length))

        assert (number(0x15, 2), number(0x17, 2), number(0x34, 2), number(0x5B, 3)) == sizes
        assert number(0x30, 2) == number(0x17, 2)

    def test_checksum_of_the_at(self, rig: Rig) -> None:
        total = sum(rig.read(address) for address in range(0x10, 0x2E))
        assert total > 0
        assert rig.read(0x2E) << 8 | rig.read(0x2F) == total
