"""The pair of interrupt controllers against an independent model, on random programs."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.devices.i8259_model import PairModel
from tests.unit.devices.i8259_rig import ELCR, MASTER, SLAVE, PairRig

CHIP = st.sampled_from([0, 0, 1])
IRQ = st.sampled_from([irq for irq in range(16) if irq != 2])
MASK = st.sampled_from([0, 0, 0, 0x04, 0xFB]) | st.integers(0, 255)
OCW2 = st.builds(lambda command, level: command << 5 | level, st.integers(0, 7), st.integers(0, 7))
OCW3 = st.sampled_from([0x68, 0x68, 0x48, 0x0A, 0x0B, 0x0C]) | st.integers(0, 0x7F).map(
    lambda bits: bits & 0x67 | 0x08
)
SELDOM = st.integers(0, 7).map(lambda number: number == 0)
ICW1 = st.sampled_from([0x11, 0x11, 0x10, 0x13, 0x19, 0x12])
ICW4 = st.sampled_from([0x01, 0x01, 0x03, 0x11, 0x13, 0x1F])


class PairAgainstModel(RuleBasedStateMachine):
    @initialize(begun=st.sampled_from([True, True, True, False]), icw4s=st.tuples(ICW4, ICW4))
    def power_on(self, begun: bool, icw4s: tuple[int, int]) -> None:
        self.rig, self.model = PairRig(), PairModel()
        if begun:
            self.set_up(0, 0x11, icw4s[0])
            self.set_up(1, 0x11, icw4s[1])

    def write(self, chip: int, a0: int, value: int) -> None:
        self.rig.out((MASTER, SLAVE)[chip] + a0, value)
        self.model.write(chip, a0, value)

    def set_up(self, chip: int, icw1: int, icw4: int) -> None:
        self.write(chip, 0, icw1)
        self.write(chip, 1, (0x27, 0x70)[chip])
        if not icw1 & 2:
            self.write(chip, 1, (4, 2)[chip])
        if icw1 & 1:
            self.write(chip, 1, icw4)

    @rule(chip=CHIP, icw1=ICW1, icw4=ICW4, now=SELDOM)
    def initialize_anew(self, chip: int, icw1: int, icw4: int, now: bool) -> None:
        if now:
            self.set_up(chip, icw1, icw4)

    @rule(irq=IRQ, high=st.sampled_from([True, True, False]))
    def drive(self, irq: int, high: bool) -> None:
        self.rig.pair.set_input(irq, high)
        self.model.drive(irq, high)

    @rule(chip=CHIP, mask=MASK)
    def mask(self, chip: int, mask: int) -> None:
        self.write(chip, 1, mask)

    @rule(chip=CHIP, word=OCW2 | OCW3)
    def operate(self, chip: int, word: int) -> None:
        self.write(chip, 0, word)

    @rule(chip=CHIP, a0=st.integers(0, 1), value=st.integers(0, 255), now=SELDOM)
    def write_anything(self, chip: int, a0: int, value: int, now: bool) -> None:
        if now:
            self.write(chip, a0, value)

    @rule(chip=CHIP, value=st.integers(0, 255))
    def choose_triggers(self, chip: int, value: int) -> None:
        self.rig.out(ELCR + chip, value)
        self.model.set_sensitive(chip, value)

    @rule(chip=CHIP)
    def read(self, chip: int) -> None:
        for a0 in (0, 1):
            assert self.rig.inp((MASTER, SLAVE)[chip] + a0) == self.model.read(chip, a0)

    @rule()
    def acknowledge(self) -> None:
        assert self.rig.pair.acknowledge() == self.model.acknowledge()

    @rule(irqs=st.lists(IRQ, max_size=3))
    def interrupt(self, irqs: list[int]) -> None:
        for irq in irqs:
            self.drive(irq, False)
            self.drive(irq, True)
            if self.rig.pair.intr.level:
                self.acknowledge()

    @rule(levels=st.lists(st.integers(3, 7), min_size=2, max_size=4))
    def mask_what_is_in_service(self, levels: list[int]) -> None:
        """As special mask mode is meant to be used."""
        self.operate(0, 0x68)
        for level in levels:
            self.mask(0, 0)
            self.interrupt([level])
            self.mask(0, 1 << level)

    @rule(chip=CHIP)
    def end_of_interrupt(self, chip: int) -> None:
        self.write(chip, 0, 0x20)

    @invariant()
    def same_output(self) -> None:
        assert self.rig.pair.intr.level == self.model.intr
        assert self.rig.served == self.model.served

    @invariant()
    def who_interrupts_may(self) -> None:
        assert self.rig.pair.may_interrupt() or not self.rig.pair.intr.level


TestPairAgainstModel = PairAgainstModel.TestCase
TestPairAgainstModel.settings = settings(max_examples=200, stateful_step_count=40)
