"""The timer by the 8254's datasheet: its figures pulse by pulse, and its commands."""

from __future__ import annotations

import pytest

from tests.unit.devices.i8254_rig import BCD, BOTH, CONTROL, COUNTER_2, LSB, MSB, Rig, mode


@pytest.fixture
def rig() -> Rig:
    return Rig()


class TestModes:
    """Figures 15 to 20, whose counts are these."""

    def test_mode_0(self, rig: Rig) -> None:
        rig.program(0, 4)
        assert not rig.pit.speaker_output()
        assert rig.trace(7) == [
            *((4, False), (3, False), (2, False), (1, False)),
            *((0, True), (0xFFFF, True), (0xFFFE, True)),
        ]

    def test_mode_0_with_the_gate(self, rig: Rig) -> None:
        rig.pit.set_speaker_gate(False)
        rig.program(0, 3)
        assert rig.trace(2) == [(3, False), (3, False)]  # it is loaded, but does not count
        rig.pit.set_speaker_gate(True)
        assert rig.trace(3) == [(2, False), (1, False), (0, True)]

    def test_mode_0_counts_anew(self, rig: Rig) -> None:
        rig.program(0, 2)
        rig.pulses(3)
        rig.out(2, 3)
        assert not rig.pit.speaker_output()
        assert rig.trace(2) == [(0, False), (0, False)]  # the first byte stops it
        rig.out(2, 0)
        assert rig.trace(4) == [(3, False), (2, False), (1, False), (0, True)]

    def test_mode_1(self, rig: Rig) -> None:
        rig.pit.set_speaker_gate(False)
        rig.program(1, 3)
        assert rig.pit.speaker_output()
        rig.pulses(5)
        assert rig.status() & 0x40  # not loaded without a trigger
        rig.pit.set_speaker_gate(True)
        rig.pit.set_speaker_gate(False)  # only the edge counts
        assert rig.trace(5) == [(3, False), (2, False), (1, False), (0, True), (0xFFFF, True)]
        rig.pit.set_speaker_gate(True)
        assert rig.trace(2) == [(3, False), (2, False)]
        rig.pit.set_speaker_gate(False)
        rig.pit.set_speaker_gate(True)
        assert rig.trace(4) == [(3, False), (2, False), (1, False), (0, True)]

    def test_mode_2(self, rig: Rig) -> None:
        rig.program(2, 3)
        assert rig.trace(6) == [(3, True), (2, True), (1, False)] * 2
        rig.out(2, 5, 0)
        assert rig.trace(5) == [(5, True), (4, True), (3, True), (2, True), (1, False)]
        rig.pit.set_speaker_gate(False)
        assert rig.pit.speaker_output()
        assert rig.trace(2) == [(1, True), (1, True)]
        rig.pit.set_speaker_gate(True)
        assert rig.trace(2) == [(5, True), (4, True)]

    @pytest.mark.parametrize(
        ("count", "high", "low"), [(4, [4, 2], [4, 2]), (5, [4, 2, 0], [4, 2]), (2, [2], [2])]
    )
    def test_mode_3(self, rig: Rig, count: int, high: list[int], low: list[int]) -> None:
        rig.program(3, count)
        period = [(n, True) for n in high] + [(n, False) for n in low]
        assert rig.trace(3 * len(period)) == period * 3

    def test_mode_3_takes_a_new_count_at_the_half(self, rig: Rig) -> None:
        rig.program(3, 4)
        rig.pulses(1)
        rig.out(2, 6, 0)
        assert rig.trace(4) == [(2, True), (6, False), (4, False), (2, False)]
        rig.pit.set_speaker_gate(False)
        assert rig.trace(1) == [(2, True)]
        rig.pit.set_speaker_gate(True)
        assert rig.trace(2) == [(6, True), (4, True)]

    def test_mode_4(self, rig: Rig) -> None:
        rig.program(4, 3)
        assert rig.trace(6) == [
            *((3, True), (2, True), (1, True), (0, False)),
            *((0xFFFF, True), (0xFFFE, True)),
        ]
        rig.out(2, 2)
        assert rig.trace(1) == [(0xFFFD, True)]  # the first byte has no effect
        rig.out(2, 0)
        assert rig.trace(4) == [(2, True), (1, True), (0, False), (0xFFFF, True)]

    def test_mode_5(self, rig: Rig) -> None:
        rig.program(5, 3)
        rig.pulses(9)
        assert rig.status() & 0x40
        rig.pit.set_speaker_gate(False)
        rig.pit.set_speaker_gate(True)
        rig.pit.set_speaker_gate(False)
        assert rig.trace(5) == [(3, True), (2, True), (1, True), (0, False), (0xFFFF, True)]

    @pytest.mark.parametrize(("alias", "number"), [(6, 2), (7, 3)])
    def test_modes_6_and_7_are_2_and_3(self, rig: Rig, alias: int, number: int) -> None:
        rig.program(alias, 5)
        seen = rig.trace(12)
        rig.program(number, 5)
        assert rig.trace(12) == seen

    @pytest.mark.parametrize("number", [2, 3])
    def test_a_count_of_1_where_that_is_illegal(self, rig: Rig, number: int) -> None:
        rig.program(number, 1)
        assert all(level for _, level in rig.trace(5))

    @pytest.mark.parametrize(("flags", "highest"), [(0, 0x10000), (BCD, 10_000)])
    def test_a_count_of_0_is_the_highest(self, rig: Rig, flags: int, highest: int) -> None:
        rig.program(0, 0, flags)
        rig.pulses(highest)
        assert not rig.pit.speaker_output()
        rig.pulses(1)
        assert rig.pit.speaker_output()

    def test_bcd(self, rig: Rig) -> None:
        rig.program(0, 0x1001, BCD)
        assert [count for count, _ in rig.trace(4)] == [0x1001, 0x1000, 0x0999, 0x0998]
        rig.pulses(998)
        assert [count for count, _ in rig.trace(2)] == [0x9999, 0x9998]


class TestCommands:
    def test_one_byte_counts(self, rig: Rig) -> None:
        rig.out(CONTROL, COUNTER_2 | LSB | mode(0))
        rig.out(2, 0x12)
        rig.pulses(1)
        assert (rig.inp(2), rig.inp(2)) == (0x12, 0x12)
        rig.out(CONTROL, COUNTER_2 | MSB | mode(0))
        rig.out(2, 0x12)
        rig.pulses(1)
        assert (rig.inp(2), rig.inp(2)) == (0x12, 0x12)
        rig.pulses(1)
        assert rig.inp(2) == 0x11

    def test_a_latched_count_is_held(self, rig: Rig) -> None:
        rig.program(2, 1000)
        rig.pulses(11)
        rig.out(CONTROL, COUNTER_2)
        rig.pulses(10)
        rig.out(CONTROL, COUNTER_2)  # ignored, as the first is yet to be read
        assert rig.word() == 990
        assert rig.word() == 980

    def test_a_latch_is_read_from_its_low_byte_on(self, rig: Rig) -> None:
        rig.program(0, 0x1234)
        rig.pulses(1)
        assert rig.inp(2) == 0x34
        rig.out(CONTROL, COUNTER_2)
        assert rig.word() == 0x1234
        assert rig.inp(2) == 0x12

    def test_a_control_word_drops_what_was_latched(self, rig: Rig) -> None:
        rig.program(0, 0x1234)
        rig.pulses(1)
        rig.out(CONTROL, 0xC8)  # read back count and status
        rig.program(0, 0x5678)
        rig.pulses(1)
        assert rig.word() == 0x5678

    def test_status(self, rig: Rig) -> None:
        rig.out(CONTROL, COUNTER_2 | BOTH | mode(3) | BCD)
        assert rig.status() == 0x80 | 0x40 | 0x37
        rig.out(2, 4, 0)
        assert rig.status() == 0xF7
        rig.pulses(1)
        assert rig.status() == 0xB7
        rig.pulses(2)
        assert rig.status() == 0x37
        rig.out(2, 8)
        assert rig.status() == 0x37  # half a count is none
        rig.out(2, 0)
        assert rig.status() == 0x77

    def test_status_comes_before_the_count(self, rig: Rig) -> None:
        rig.program(0, 0x0100)
        rig.pulses(1)
        rig.out(CONTROL, 0xD8)  # count alone
        rig.pulses(1)
        rig.out(CONTROL, 0xC8)  # both: the count is held already
        rig.out(CONTROL, 0xE8)  # and now the status, too
        assert rig.inp(2) == 0x30
        assert rig.word() == 0x0100

    def test_read_back_of_several(self, rig: Rig) -> None:
        for counter in range(3):
            rig.out(CONTROL, counter << 6 | LSB | mode(0))
            rig.out(counter, 10 + counter)
        rig.pulses(1)
        rig.out(CONTROL, 0xDA)  # counts of 0 and 2
        rig.pulses(1)
        assert [rig.inp(counter) for counter in range(3)] == [10, 10, 12]

    def test_the_control_word_cannot_be_read(self, rig: Rig) -> None:
        assert rig.inp(CONTROL) == 0xFF

    def test_a_control_word_forgets_the_count(self, rig: Rig) -> None:
        rig.program(2, 10)
        rig.pulses(5)
        rig.out(CONTROL, COUNTER_2 | BOTH | mode(2))
        rig.out(2, 1)
        count, _ = rig.trace(1)[0]
        assert rig.trace(1)[0][0] == count
