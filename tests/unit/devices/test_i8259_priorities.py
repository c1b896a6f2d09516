"""Which interrupt comes first: the 8259A's priorities, its modes, and polls."""

from __future__ import annotations

import pytest

from pykvm.devices.i8259 import LEVELS
from tests.unit.devices.i8259_rig import ELCR, MASTER, SLAVE, SLAVE_BASE, PairRig

EOI, ROTATE_ON_EOI, ROTATE_IN_AEOI = 0x20, 0xA0, 0x80
SPECIFIC_EOI, ROTATE_ON_SPECIFIC_EOI, SET_PRIORITY = 0x60, 0xE0, 0xC0
SPECIAL_MASK, NORMAL_MASK, POLL = 0x68, 0x48, 0x0C
AEOI, SFNM = 0x03, 0x11


@pytest.fixture
def rig() -> PairRig:
    """A pair as a BIOS sets it up."""
    rig = PairRig()
    rig.initialize()
    return rig


class TestPriorities:
    def test_input_0_is_the_highest(self, rig: PairRig) -> None:
        rig.raise_irq(7, 6, 5, 4, 3, 1, 0, 15, 8)
        order = []
        for _ in range(9):
            order += rig.taken()
            for port in (SLAVE, MASTER):
                rig.out(port, EOI)
        assert order == [0x20, 0x21, 0x70, 0x77, 0x23, 0x24, 0x25, 0x26, 0x27]

    def test_a_higher_one_nests(self, rig: PairRig) -> None:
        for irq in (6, 3, 1):
            rig.raise_irq(irq)
            assert rig.taken() == [0x20 + irq]
        rig.raise_irq(5)
        assert rig.taken() == []
        assert rig.isr(MASTER) == 0x4A

    def test_eoi_ends_the_highest(self, rig: PairRig) -> None:
        for irq in (6, 3):
            rig.raise_irq(irq)
            rig.pair.acknowledge()
        rig.out(MASTER, EOI)
        assert rig.isr(MASTER) == 0x40

    def test_a_specific_eoi_ends_its_level(self, rig: PairRig) -> None:
        for irq in (6, 3):
            rig.raise_irq(irq)
            rig.pair.acknowledge()
        rig.out(MASTER, SPECIFIC_EOI | 6)
        assert rig.isr(MASTER) == 0x08

    @pytest.mark.parametrize("lowest", range(LEVELS))
    def test_set_priority(self, rig: PairRig, lowest: int) -> None:
        rig.out(SLAVE, SET_PRIORITY | lowest)
        rig.raise_irq(*range(8, 16))
        order = []
        for _ in range(LEVELS):
            order += rig.taken()
            rig.out(SLAVE, EOI)
            rig.out(MASTER, EOI)
        assert order == [SLAVE_BASE + (lowest + 1 + i) % 8 for i in range(LEVELS)]

    @pytest.mark.parametrize("command", [ROTATE_ON_EOI, ROTATE_ON_SPECIFIC_EOI | 4])
    def test_rotation_puts_who_was_served_last(self, rig: PairRig, command: int) -> None:
        """As in "Automatic rotation": 4 is served, 6 waits; then 4 is the lowest, 5 the highest."""
        rig.raise_irq(4, 6)
        assert rig.taken() == [0x24]
        rig.out(MASTER, command)
        rig.lower_irq(4)
        rig.raise_irq(4, 3, 5)
        order = []
        for _ in range(4):
            order += rig.taken()
            rig.out(MASTER, EOI)
        assert order == [0x25, 0x26, 0x23, 0x24]

    def test_a_rotation_without_anyone_in_service_is_none(self, rig: PairRig) -> None:
        rig.out(MASTER, ROTATE_ON_EOI)
        rig.out(MASTER, 0x40 | 3)  # no operation
        rig.raise_irq(7, 0)
        assert rig.pair.acknowledge() == 0x20

    def test_automatic_eoi(self, rig: PairRig) -> None:
        rig.initialize(master_icw4=AEOI)
        rig.raise_irq(3, 5)
        assert rig.taken() == [0x23, 0x25]
        assert rig.isr(MASTER) == 0

    def test_automatic_eoi_of_a_slave_leaves_an_edge_for_the_next(self, rig: PairRig) -> None:
        rig.initialize(master_icw4=AEOI, slave_icw4=AEOI)
        rig.raise_irq(11, 9)
        assert rig.taken() == [0x71, 0x73]

    def test_rotation_in_automatic_eoi(self, rig: PairRig) -> None:
        rig.initialize(master_icw4=AEOI)
        rig.out(MASTER, ROTATE_IN_AEOI)
        rig.raise_irq(3)
        rig.pair.acknowledge()
        rig.lower_irq(3)
        rig.raise_irq(3, 5)
        assert rig.taken() == [0x25, 0x23]
        rig.out(MASTER, 0)  # no more of that
        rig.raise_irq(6)
        rig.pair.acknowledge()
        rig.lower_irq(6)
        rig.raise_irq(6, 0)
        assert rig.taken() == [0x26, 0x20]


class TestModes:
    def test_special_mask_mode_lets_lower_ones_in(self, rig: PairRig) -> None:
        rig.raise_irq(3)
        rig.pair.acknowledge()
        rig.raise_irq(6)
        rig.out(MASTER + 1, 0x08)
        assert rig.taken() == []
        rig.out(MASTER, SPECIAL_MASK)
        assert rig.taken() == [0x26]
        rig.out(MASTER, EOI)
        assert rig.isr(MASTER) == 0x08  # an EOI does not see what the mask bit hides
        rig.out(MASTER, EOI)
        assert rig.isr(MASTER) == 0x08
        rig.out(MASTER, NORMAL_MASK)
        rig.out(MASTER, EOI)
        assert rig.isr(MASTER) == 0

    def test_special_mask_mode_changes_only_when_enabled(self, rig: PairRig) -> None:
        rig.out(MASTER, 0x28)
        rig.raise_irq(3)
        rig.pair.acknowledge()
        rig.out(MASTER + 1, 0x08)
        rig.raise_irq(6)
        assert rig.taken() == []

    @pytest.mark.parametrize(("icw4", "nested"), [(0x01, []), (SFNM, [0x71])])
    def test_special_fully_nested_mode(self, rig: PairRig, icw4: int, nested: list[int]) -> None:
        rig.initialize(master_icw4=icw4)
        rig.raise_irq(12)
        assert rig.taken() == [0x74]
        rig.raise_irq(5)  # lower than the slave: held back in either mode
        rig.raise_irq(13)  # lower within the slave
        assert rig.taken() == []
        rig.raise_irq(9)  # higher within the slave
        assert rig.taken() == nested

    def test_special_fully_nested_mode_is_for_slaves_only(self, rig: PairRig) -> None:
        rig.initialize(master_icw4=SFNM)
        rig.raise_irq(5)
        rig.pair.acknowledge()
        rig.lower_irq(5)
        rig.raise_irq(5)
        assert rig.taken() == []

    @pytest.mark.parametrize("offset", [0, 1])
    def test_a_poll_acknowledges(self, rig: PairRig, offset: int) -> None:
        rig.out(MASTER, POLL)
        assert rig.inp(MASTER + offset) & 0x80 == 0
        rig.raise_irq(6, 4)
        rig.out(MASTER, POLL)
        assert rig.inp(MASTER + offset) == 0x84
        assert rig.isr(MASTER) == 0x10
        assert rig.served == [4]
        rig.out(MASTER, 0x0F)  # a poll takes precedence over a choice of register
        assert rig.inp(MASTER) & 0x80 == 0
        assert rig.inp(MASTER) == 0x10  # still the one chosen before

    def test_a_poll_of_the_slave(self, rig: PairRig) -> None:
        rig.raise_irq(11)
        rig.out(MASTER, POLL)
        assert rig.inp(MASTER) == 0x82
        rig.out(SLAVE, POLL)
        assert rig.inp(SLAVE) == 0x83
        assert rig.served == [11]


class TestHost:
    def test_whether_an_input_is_open(self, rig: PairRig) -> None:
        rig.out(MASTER + 1, 0x02)
        rig.out(SLAVE + 1, 0x01)
        assert [irq for irq in range(16) if not rig.pair.is_open(irq)] == [1, 8]
        rig.raise_irq(3)
        rig.pair.acknowledge()
        assert rig.pair.is_open(3)
        rig.out(MASTER + 1, 0x04)
        assert not rig.pair.is_open(12)

    @pytest.mark.parametrize(
        ("master", "slave", "may"),
        [(0xFF, 0, False), (0xFB, 0xFF, False), (0xFB, 0x7F, True), (0x7F, 0xFF, True)],
    )
    def test_whether_anything_may_interrupt(
        self, rig: PairRig, master: int, slave: int, may: bool
    ) -> None:
        rig.out(MASTER + 1, master)
        rig.out(SLAVE + 1, slave)
        assert rig.pair.may_interrupt() == may

    def test_what_is_in_service_may_hold_all_back(self, rig: PairRig) -> None:
        rig.raise_irq(0)
        rig.pair.acknowledge()
        assert not rig.pair.may_interrupt()
        rig.out(MASTER, EOI)
        assert rig.pair.may_interrupt()

    def test_reset(self, rig: PairRig) -> None:
        rig.out(ELCR, 0x20)
        rig.raise_irq(5)
        assert rig.pair.intr.level
        rig.pair.reset()
        assert not rig.pair.intr.level
        assert rig.inp(ELCR) == 0
        rig.initialize()
        rig.lower_irq(5)
        rig.raise_irq(5)
        assert rig.taken() == [0x25]
