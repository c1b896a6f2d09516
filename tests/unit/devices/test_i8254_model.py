"""The timer's counters against an independent model, on random programs."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pykvm.devices.i8254_counter import Counter
from tests.unit.devices.i8254_model import CounterModel

# Short counts, so that many periods pass; now and then any.
BYTE = st.sampled_from([0, 0, 1, 2, 3, 4, 5, 0x10]) | st.integers(0, 255)
SHORT = st.integers(1, 5)
PULSES = st.integers(0, 4) | st.integers(0, 12) | st.integers(0, 700)


class CounterAgainstModel(RuleBasedStateMachine):
    @initialize(gate=st.booleans())
    def power_on(self, gate: bool) -> None:
        self.counter = Counter(gate=gate)
        self.model = CounterModel(gate=gate)
        self.rises = 0

    @rule(mode=st.integers(0, 7), rw=st.integers(1, 3), bcd=st.booleans())
    def program(self, mode: int, rw: int, bcd: bool) -> None:
        word = rw << 4 | mode << 1 | bcd
        self.counter.program(word)
        self.model.program(word)

    @rule(mode=st.integers(0, 5), count=SHORT, bcd=st.booleans(), pulses=st.integers(0, 12))
    def run(self, mode: int, count: int, bcd: bool, pulses: int) -> None:
        self.program(mode, 1, bcd)
        self.write_one_byte(count)
        if mode in (1, 5):
            self.drive_gate(False)
        self.drive_gate(True)
        self.count(pulses)

    @rule(count=SHORT)
    def write_short_count(self, count: int) -> None:
        self.write_one_byte(count)

    @rule(low=BYTE, high=BYTE)
    def write(self, low: int, high: int) -> None:
        for byte in (low, high):
            self.counter.write(byte)
            self.model.write(byte)

    @rule(byte=BYTE)
    def write_one_byte(self, byte: int) -> None:
        self.counter.write(byte)
        self.model.write(byte)

    @rule(level=st.sampled_from([True, True, False]))
    def drive_gate(self, level: bool) -> None:
        self.counter.set_gate(level)
        self.model.set_gate(level)

    @rule(pulses=PULSES)
    def count(self, pulses: int) -> None:
        before = self.model.rises
        for _ in range(pulses):
            self.model.pulse()
        assert self.counter.advance(pulses) == self.model.rises - before

    @rule(limit=st.integers(1, 300))
    def foretell(self, limit: int) -> None:
        before, foretold = self.model.rises, self.counter.next_rise()
        for pulse in range(1, limit + 1):
            self.model.pulse()
            if self.model.rises > before:
                assert foretold == pulse
                break
        else:
            assert foretold is None or foretold > limit
        assert self.counter.advance(pulse) == self.model.rises - before

    @rule(status=st.booleans())
    def latch(self, status: bool) -> None:
        for counter in (self.counter, self.model):
            if status:
                counter.latch_status()
            else:
                counter.latch_count()

    @rule()
    def read(self) -> None:
        assert self.counter.read() == self.model.read()

    @invariant()
    def same_output(self) -> None:
        assert self.counter.out == self.model.out


TestCounterAgainstModel = CounterAgainstModel.TestCase
TestCounterAgainstModel.settings = settings(max_examples=200, stateful_step_count=40)
