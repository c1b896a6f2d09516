"""The pair of interrupt controllers by the 8259A's datasheet: from a line to a vector."""

from __future__ import annotations

import pytest

from tests.unit.devices.i8259_rig import ELCR, MASTER, MASTER_BASE, SLAVE, SLAVE_BASE, PairRig

EOI, SET_PRIORITY, SPECIAL_MASK, AEOI = 0x20, 0xC0, 0x68, 0x03


@pytest.fixture
def rig() -> PairRig:
    """A pair as a BIOS sets it up."""
    rig = PairRig()
    rig.initialize()
    return rig


class TestInitialization:
    def test_nobody_interrupts_before(self) -> None:
        rig = PairRig()
        rig.raise_irq(4)
        rig.out(MASTER + 1, 0)
        assert not rig.pair.intr.level
        assert not rig.pair.may_interrupt()

    def test_the_mask_is_there_before(self) -> None:
        """As Linux, started without a BIOS, asks to find out whether there is a chip."""
        rig = PairRig()
        for port in (MASTER + 1, SLAVE + 1):
            assert rig.inp(port) == 0
            for mask in (0xFF, 0xFB, 0x04):
                rig.out(port, mask)
                assert rig.inp(port) == mask
        rig.initialize()
        rig.raise_irq(4)
        assert rig.taken() == [MASTER_BASE + 4]

    def test_nor_before_the_last_word(self) -> None:
        rig = PairRig()
        for port, word in ((MASTER, 0x11), (MASTER + 1, 0x20), (MASTER + 1, 0x04)):
            rig.out(port, word)
            rig.raise_irq(4)
            assert not rig.pair.intr.level
            rig.lower_irq(4)
        rig.raise_irq(4)
        rig.out(MASTER + 1, 0x01)
        assert rig.taken() == [0x24]

    @pytest.mark.parametrize(
        ("icw1", "words"), [(0x10, [0x20, 4]), (0x12, [0x20]), (0x13, [0x20, 1])]
    )
    def test_icw1_tells_which_words_come(self, icw1: int, words: list[int]) -> None:
        rig = PairRig()
        rig.out(MASTER, icw1)
        for word in words:
            rig.out(MASTER + 1, word)
        rig.out(MASTER + 1, 0xEF)
        assert rig.inp(MASTER + 1) == 0xEF
        rig.raise_irq(4)
        assert rig.taken() == [0x24]

    def test_the_vector_s_low_bits_are_the_level(self, rig: PairRig) -> None:
        rig.out(MASTER, 0x11)
        for word in (0xFF, 4, 1):
            rig.out(MASTER + 1, word)
        rig.raise_irq(5)
        assert rig.taken() == [0xFD]

    def test_icw1_clears_masks_service_and_edges(self, rig: PairRig) -> None:
        rig.out(MASTER + 1, 0x40)
        rig.raise_irq(1)
        rig.pair.acknowledge()
        rig.out(MASTER, SET_PRIORITY | 3)
        rig.raise_irq(5)
        rig.out(MASTER, SPECIAL_MASK)
        rig.initialize()
        assert rig.irr(MASTER) == rig.isr(MASTER) == rig.inp(MASTER + 1) == 0
        assert not rig.pair.intr.level
        rig.lower_irq(5)
        rig.raise_irq(5, 3)
        assert rig.taken() == [0x23]  # 7 is the lowest again

    def test_icw1_chooses_the_request_register(self, rig: PairRig) -> None:
        rig.out(MASTER, 0x0B)
        rig.initialize()
        rig.raise_irq(3)
        assert rig.inp(MASTER) == 0x08

    def test_without_icw4_there_is_no_automatic_eoi(self, rig: PairRig) -> None:
        rig.initialize(master_icw4=AEOI)
        rig.out(MASTER, 0x10)
        rig.out(MASTER + 1, 0x20)
        rig.out(MASTER + 1, 0x04)
        rig.raise_irq(1)
        rig.pair.acknowledge()
        assert rig.isr(MASTER) == 0x02


class TestRequests:
    @pytest.mark.parametrize("irq", [0, 1, 3, 4, 5, 6, 7])
    def test_a_rising_edge_interrupts_once(self, rig: PairRig, irq: int) -> None:
        rig.raise_irq(irq)
        assert rig.irr(MASTER) == 1 << irq
        assert rig.taken() == [MASTER_BASE + irq]
        assert (rig.irr(MASTER), rig.isr(MASTER)) == (0, 1 << irq)
        rig.out(MASTER, EOI)
        assert rig.isr(MASTER) == 0
        assert rig.taken() == []
        assert rig.served == rig.ended == [irq]

    @pytest.mark.parametrize("irq", range(8, 16))
    def test_the_slave_s_come_through_input_2(self, rig: PairRig, irq: int) -> None:
        rig.raise_irq(irq)
        assert (rig.irr(MASTER), rig.irr(SLAVE)) == (0x04, 1 << irq - 8)
        assert rig.taken() == [SLAVE_BASE + irq - 8]
        assert (rig.isr(MASTER), rig.isr(SLAVE)) == (0x04, 1 << irq - 8)
        assert rig.served == [irq]

    def test_an_edge_that_comes_in_service_waits(self, rig: PairRig) -> None:
        rig.raise_irq(4)
        rig.pair.acknowledge()
        rig.lower_irq(4)
        rig.raise_irq(4)
        assert rig.taken() == []
        rig.out(MASTER, EOI)
        assert rig.taken() == [0x24]

    def test_who_takes_a_request_back_has_none(self, rig: PairRig) -> None:
        rig.raise_irq(4)
        rig.lower_irq(4)
        assert not rig.pair.intr.level
        assert rig.irr(MASTER) == 0

    def test_a_level_interrupts_again_after_eoi(self, rig: PairRig) -> None:
        rig.out(ELCR + 1, 0x02)
        rig.raise_irq(9)
        for _ in range(3):
            assert rig.taken() == [0x71]
            assert rig.irr(SLAVE) == 0x02
            rig.out(SLAVE, EOI)
            rig.out(MASTER, EOI)
        rig.lower_irq(9)
        assert rig.taken() == []

    def test_a_line_that_is_up_already_is_a_level_but_no_edge(self, rig: PairRig) -> None:
        rig.raise_irq(5)
        rig.initialize()
        assert not rig.pair.intr.level
        rig.out(ELCR, 0x20)
        assert rig.pair.intr.level
        rig.out(ELCR, 0)
        assert not rig.pair.intr.level

    @pytest.mark.parametrize(("port", "allowed"), [(ELCR, 0xF8), (ELCR + 1, 0xDE)])
    def test_some_inputs_are_always_edges(self, rig: PairRig, port: int, allowed: int) -> None:
        rig.out(port, 0xFF)
        assert rig.inp(port) == allowed

    def test_a_mask_bit_holds_a_request_back(self, rig: PairRig) -> None:
        rig.out(MASTER + 1, 0x10)
        rig.raise_irq(4)
        assert rig.taken() == []
        assert rig.irr(MASTER) == 0x10
        rig.out(MASTER + 1, 0)
        assert rig.taken() == [0x24]

    def test_spurious_interrupts(self, rig: PairRig) -> None:
        assert rig.pair.acknowledge() == 0x27
        assert rig.isr(MASTER) == 0
        # the slave's, when its request went just between the two acknowledgements
        rig.raise_irq(10)
        rig.pair.slave.acknowledge()
        rig.pair.master.set_input(2, False)
        rig.pair.master.set_input(2, True)
        assert rig.pair.acknowledge() == 0x77
        assert (rig.isr(MASTER), rig.isr(SLAVE)) == (0x04, 0x04)
        assert rig.served == [10]

    def test_a_slave_with_another_identity_does_not_answer(self, rig: PairRig) -> None:
        rig.out(SLAVE, 0x11)
        for word in (0x70, 3, 1):
            rig.out(SLAVE + 1, word)
        rig.raise_irq(10)
        assert rig.pair.acknowledge() == 0xFF

    def test_a_master_that_knows_no_slave_answers_itself(self, rig: PairRig) -> None:
        rig.out(MASTER, 0x13)
        for word in (0x20, 1):
            rig.out(MASTER + 1, word)
        rig.raise_irq(10)
        assert rig.pair.acknowledge() == 0x22
