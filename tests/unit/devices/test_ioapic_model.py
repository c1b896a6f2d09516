"""The IOAPIC against an independent model, on random programs."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pykvm.bus import MEMORY_SPACE, Bus
from pykvm.devices import IoApic
from pykvm.devices.ioapic import LENGTH, Route
from tests.unit.devices.ioapic_model import PINS, IoApicModel

BASE = 0xFEC0_0000

# Few pins and vectors, so that they meet; now and then any.
PIN = st.sampled_from([0, 1, 2]) | st.integers(0, PINS - 1)
VECTOR = st.sampled_from([0x0F, 0x30, 0x30, 0x31]) | st.integers(0, 255)
MODE = st.sampled_from([0, 0, 0, 1, 4]) | st.integers(0, 7)
BITS = st.sampled_from([0x8000, 0x8000, 0, 0x18000, 0x10000, 0x800]) | st.integers(0, 0x1F).map(
    lambda bits: bits << 11 | 0x8000
)
LOW = st.builds(lambda vector, mode, bits: vector | mode << 8 | bits, VECTOR, MODE, BITS)
VALUE = st.integers(0, 0xFFFF_FFFF)


class IoApicAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = IoApicModel()
        self.sent: list[tuple[int, int]] = []
        self.told: tuple[Route, ...] = ()
        self.ioapic = IoApic(self.deliver, on_route_change=self.note_routes)
        self.bus = Bus("MMIO", MEMORY_SPACE)
        self.bus.attach(BASE, LENGTH, self.ioapic)

    def deliver(self, address: int, data: int) -> bool:
        assert (address, data) in {route[1:] for route in self.told}, "no route for it yet"
        self.sent.append((address, data))
        return True

    def note_routes(self) -> None:
        assert self.told != self.ioapic.routes()
        self.told = self.ioapic.routes()

    def access(self, offset: int, value: int) -> None:
        self.bus.write(BASE + offset, 4, value)
        self.model.write(offset, value)

    @rule(pin=PIN, low=LOW)
    def program(self, pin: int, low: int) -> None:
        self.access(0x00, 0x10 + 2 * pin)
        self.access(0x10, low)

    @rule(pin=PIN, destination=st.integers(0, 255))
    def aim(self, pin: int, destination: int) -> None:
        self.access(0x00, 0x11 + 2 * pin)
        self.access(0x10, destination << 24)

    @rule(select=st.integers(0, 255), value=VALUE)
    def write_any_register(self, select: int, value: int) -> None:
        self.access(0x00, select)
        self.access(0x10, value)

    @rule(offset=st.sampled_from([0x00, 0x10, 0x40, 0x08, 0xFFC]), value=VALUE)
    def write_anywhere(self, offset: int, value: int) -> None:
        self.access(offset, value)

    @rule(pin=PIN, level=st.booleans())
    def drive(self, pin: int, level: bool) -> None:
        self.ioapic.line(pin).set(level)
        self.model.drive(pin, level)

    @rule(vector=VECTOR, by_register=st.booleans())
    def end_of_interrupt(self, vector: int, by_register: bool) -> None:
        if by_register:
            self.access(0x40, vector)
        else:
            self.ioapic.end_of_interrupt(vector)
            self.model.end(vector)

    @rule(select=st.integers(0, 0x41))
    def read_register(self, select: int) -> None:
        self.access(0x00, select)
        for offset in (0x00, 0x10, 0x40):
            assert self.bus.read(BASE + offset, 4) == self.model.read(offset)

    @invariant()
    def same_messages(self) -> None:
        assert self.sent == self.model.sent

    @invariant()
    def same_routes(self) -> None:
        assert list(self.ioapic.routes()) == self.model.routes()
        assert self.told == self.ioapic.routes()


TestIoApicAgainstModel = IoApicAgainstModel.TestCase
TestIoApicAgainstModel.settings = settings(max_examples=150, stateful_step_count=40)
