"""The reset control register, what shares its ports, and port 0x61."""

from __future__ import annotations

import pytest

from pykvm.bus import Device, Shortcuts
from pykvm.devices import ByteOverlay, PciConfig, ResetControl, Speaker
from tests.support.small_guests import Recorder
from tests.unit.devices.accelerated_guest import Guest

NS = 1_000_000_000


class Resets:
    """A reset control register, and what it did on each write."""

    def __init__(self) -> None:
        self.count = 0
        self.register = ResetControl(on_reset=self._on_reset)

    def _on_reset(self) -> None:
        self.count += 1

    def write(self, *values: int) -> list[int]:
        """How many resets each write made."""
        edges = []
        for value in values:
            before = self.count
            self.register.write(0, 1, value)
            edges.append(self.count - before)
        return edges


class TestResetControl:
    @pytest.mark.parametrize("value", [0x06, 0x0E])
    def test_one_write_is_enough(self, value: int) -> None:
        """As ACPI's reset register is written."""
        assert Resets().write(value) == [1]

    def test_as_a_kernel_does_it_that_chooses_first(self) -> None:
        assert Resets().write(0x02, 0x06) == [0, 1]

    def test_only_the_rising_edge_counts(self) -> None:
        assert Resets().write(0x04, 0x04, 0x06, 0x00, 0x04) == [1, 0, 0, 0, 1]

    def test_a_hard_reset_resets_the_register(self) -> None:
        resets = Resets()
        assert resets.write(0x0E) == [1]
        assert resets.register.read(0, 1) == 0
        assert resets.write(0x06) == [1]

    @pytest.mark.parametrize("value", [0x00, 0x02, 0x08, 0xF1, 0xFB])
    def test_nothing_else_resets(self, value: int) -> None:
        assert Resets().write(value) == [0]

    @pytest.mark.parametrize(("value", "read"), [(0x0A, 0x0A), (0xFB, 0x0A), (0x0C, 0x0C)])
    def test_three_bits_read_back(self, value: int, read: int) -> None:
        resets = Resets()
        resets.write(value)
        assert resets.register.read(0, 1) == read


class TestOverlay:
    @pytest.fixture
    def resets(self) -> Resets:
        return Resets()

    @pytest.fixture
    def guest(self, resets: Resets) -> Guest:
        guest = Guest(accelerated=True)
        guest.bus.attach(0xCF8, 8, ByteOverlay(PciConfig(), {1: resets.register}))
        return guest

    def test_a_byte_is_the_register_s(self, guest: Guest, resets: Resets) -> None:
        guest.out(0xCF9, 0x02)
        assert guest.inp(0xCF9) == 0x02
        guest.out(0xCF9, 0x06)
        assert resets.count == 1

    def test_an_address_is_not(self, guest: Guest, resets: Resets) -> None:
        guest.out(0xCF9, 0x08)
        guest.out(0xCF8, 0x80000600, 4)
        assert resets.count == 0
        assert guest.inp(0xCF8, 4) == 0x80000600
        assert guest.inp(0xCF9) == 0x08

    @pytest.mark.parametrize(("port", "size"), [(0xCF8, 2), (0xCF9, 2), (0xCF8, 1), (0xCFA, 1)])
    def test_nor_is_anything_else(self, guest: Guest, resets: Resets, port: int, size: int) -> None:
        guest.out(port, 0x0606 & (1 << 8 * size) - 1, size)
        assert resets.count == 0
        assert guest.inp(port, size) == (1 << 8 * size) - 1

    def test_strings_are_bytes_or_addresses_as_well(self, guest: Guest, resets: Resets) -> None:
        guest.outs(0xCF9, b"\x02\x06\x02\x06")
        assert resets.count == 2
        guest.outs(0xCF8, bytes.fromhex("00060080 00060080"), 4)
        assert resets.count == 2
        assert guest.inp(0xCF8, 4) == 0x80000600

    def test_the_device_below_may_shorten_what_is_its_own(self) -> None:
        class Eager(Device):
            name = "eager"
            width = 4

            def connect(self, shortcuts: Shortcuts) -> None:
                for offset in (0, 1):
                    for size in (1, 2):
                        shortcuts.post(offset, size)
                    shortcuts.answer(offset, 7, 1 | 2)

        guest = Guest(accelerated=True)
        guest.bus.attach(0x40, 8, ByteOverlay(Eager(), {1: Recorder(0xAB)}))
        assert guest.accelerator is not None
        shortened = {(0x40, 1), (0x40, 2), (0x41, 2)}
        assert guest.accelerator.posted == shortened
        assert set(guest.accelerator.answers) == shortened
        assert guest.inp(0x41) == 0xAB

    def test_a_search_of_pci_needs_nobody(self, guest: Guest, resets: Resets) -> None:
        assert guest.accelerator is not None
        assert guest.accelerator.posted == {(0xCF8, 4)}
        assert guest.accelerator.answers == {
            (0xCFC + offset, size): (1 << 8 * size) - 1
            for size in (1, 2, 4)
            for offset in range(0, 4, size)
        }

    def test_both_see_their_own_offsets(self) -> None:
        below, above = Recorder(0x12345678), Recorder(0xAB)
        guest = Guest(accelerated=False)
        overlay = ByteOverlay(below, {3: above})
        guest.bus.attach(0x40, 8, overlay)
        assert (overlay.name, overlay.width) == (below.name, below.width)
        assert guest.inp(0x43) == 0xAB
        guest.out(0x43, 0xCD)
        guest.out(0x42, 0xEF)
        guest.out(0x43, 0x1234, 2)
        assert above.seen == [("read", 0, 1, 0), ("write", 0, 1, 0xCD)]
        assert below.seen == [("write", 2, 1, 0xEF), ("write", 3, 2, 0x1234)]


class SpeakerRig:
    """Port 0x61 on a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 5 * NS
        self.speaker = Speaker(clock=lambda: self.now)

    def read(self) -> int:
        return self.speaker.read(0, 1)


class TestSpeaker:
    def test_four_bits_are_written(self) -> None:
        rig = SpeakerRig()
        rig.speaker.write(0, 1, 0xFF)
        assert rig.read() & 0xCF == 0x0F  # no SERR#, no IOCHK#
        rig.speaker.write(0, 1, 0xF0)
        assert rig.read() & 0xCF == 0x00

    def test_sounds_with_gate_and_data(self) -> None:
        rig = SpeakerRig()
        sounding = []
        for value in range(4):
            rig.speaker.write(0, 1, value)
            sounding.append(rig.speaker.sounding)
        assert sounding == [False, False, False, True]

    def test_refresh_toggles_every_15_us(self) -> None:
        rig = SpeakerRig()
        period = 18 * NS // 1_193_182
        toggles = 0
        last = rig.read() & 0x10
        for _ in range(1500):
            rig.now += 1000
            toggles += rig.read() & 0x10 != last
            last = rig.read() & 0x10
        assert abs(toggles - 1_500_000 // period) <= 1

    def test_output_is_high_while_the_gate_is_low(self) -> None:
        rig = SpeakerRig()
        for _ in range(10):
            rig.now += 7_000_000
            assert rig.read() & 0x20

    def test_output_is_a_square_wave_from_the_gate_s_rise_on(self) -> None:
        rig = SpeakerRig()
        half = 32768 * NS // 1_193_182 + 1  # 27.5 ms
        rig.now += 12345
        rig.speaker.write(0, 1, 1)
        rig.now += half - 1
        assert rig.read() & 0x20
        rig.now += 1
        assert not rig.read() & 0x20
        rig.now += half
        assert rig.read() & 0x20
        rig.now += half
        assert not rig.read() & 0x20
        rig.speaker.write(0, 1, 3)  # the gate stays high: no new start
        assert not rig.read() & 0x20
        rig.speaker.write(0, 1, 2)
        assert rig.read() & 0x20
        rig.speaker.write(0, 1, 3)
        rig.now += half - 1
        assert rig.read() & 0x20

    def test_a_timer_of_the_machine_s_has_the_word(self) -> None:
        gates: list[bool] = []
        output = False
        speaker = Speaker(timer2=lambda: output, on_gate=gates.append, clock=lambda: 0)
        assert not speaker.read(0, 1) & 0x20
        output = True
        assert speaker.read(0, 1) & 0x20
        for value in (0x02, 0x03, 0x01, 0x00, 0x00):
            speaker.write(0, 1, value)
        assert gates == [True, False]

    def test_reset_is_power_on(self) -> None:
        gates: list[bool] = []
        speaker = Speaker(on_gate=gates.append, clock=lambda: 0)
        speaker.write(0, 1, 0x0F)
        speaker.reset()
        assert speaker.read(0, 1) == 0x20
        assert gates == [True, False]
