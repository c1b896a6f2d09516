"""The UART against an independent model, with and without an accelerator, on random programs."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pykvm.devices import BufferSink, Uart16550
from pykvm.irq import IrqLine
from tests.unit.devices.accelerated_guest import Guest
from tests.unit.devices.uart_model import BI, FE, UartModel

BASE = 0x3F8
QUEUE_SIZE = 40
BYTE = st.integers(0, 255)

# Any value may be written anywhere, but mostly those that mean something.
VALUES = {
    0: BYTE,
    1: st.sampled_from([0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x0F]) | BYTE,
    2: st.sampled_from([0x00, 0x01, 0x07, 0x41, 0x43, 0x81, 0xC1, 0xC7]) | BYTE,
    3: st.sampled_from([0x03, 0x03, 0x00, 0x02, 0x43, 0x83]) | BYTE,
    4: st.sampled_from([0x08, 0x0B, 0x0F, 0x00, 0x18, 0x1F, 0x13]) | BYTE,
    5: BYTE,
    6: BYTE,
    7: BYTE,
}
WRITES = st.integers(0, 7).flatmap(lambda offset: st.tuples(st.just(offset), VALUES[offset]))


class Rig:
    """One UART on a bus, with everything that can be seen of it."""

    def __init__(self, *, accelerated: bool) -> None:
        self.edges: list[bool] = []
        self.irq = IrqLine(self.edges.append)
        self.sink = BufferSink()
        self.uart = Uart16550(self.irq, self.sink, queue_size=QUEUE_SIZE)
        self.guest = Guest(accelerated=accelerated)
        self.guest.bus.attach(BASE, 8, self.uart)


class UartAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model = UartModel(QUEUE_SIZE)
        self.plain = Rig(accelerated=False)
        self.fast = Rig(accelerated=True)
        self.rigs = (self.plain, self.fast)

    @rule(write=WRITES)
    def write(self, write: tuple[int, int]) -> None:
        offset, value = write
        self.model.write(offset, value)
        for rig in self.rigs:
            rig.guest.out(BASE + offset, value)

    @rule(data=st.binary(min_size=1, max_size=20))
    def transmit(self, data: bytes) -> None:
        for value in data:
            self.model.write(0, value)
            for rig in self.rigs:
                rig.guest.out(BASE, value)

    @rule(offset=st.integers(0, 7), data=st.binary(max_size=20))
    def write_string(self, offset: int, data: bytes) -> None:
        for value in data:
            self.model.write(offset, value)
        for rig in self.rigs:
            rig.guest.outs(BASE + offset, data)

    @rule(offset=st.integers(0, 7))
    def read(self, offset: int) -> None:
        expected = self.model.read(offset)
        for rig in self.rigs:
            assert rig.guest.inp(BASE + offset) == expected

    @rule(count=st.integers(1, 20))
    def read_received(self, count: int) -> None:
        for _ in range(count):
            self.read(0)

    @rule(value=st.integers(0, 0xFFFF))
    def write_word(self, value: int) -> None:
        self.model.write(0, value & 0xFF)
        self.model.write(1, value >> 8)
        for rig in self.rigs:
            rig.guest.out(BASE, value, size=2)

    @rule()
    def read_whole(self) -> None:
        expected = sum(self.model.read(4 + i) << 8 * i for i in range(4))
        for rig in self.rigs:
            assert rig.guest.inp(BASE + 4, size=4) == expected

    @rule(data=st.binary(max_size=60))
    def receive(self, data: bytes) -> None:
        taken = self.model.receive([(value, frozenset()) for value in data])
        for rig in self.rigs:
            assert rig.uart.receive(data) == taken

    @rule()
    def receive_break(self) -> None:
        taken = self.model.receive([(0, frozenset({BI, FE}))])
        for rig in self.rigs:
            assert rig.uart.receive_break() == bool(taken)

    @rule(cts=st.booleans(), dsr=st.booleans(), ri=st.booleans(), dcd=st.booleans())
    def set_modem_inputs(self, cts: bool, dsr: bool, ri: bool, dcd: bool) -> None:
        pins = {0x10: cts, 0x20: dsr, 0x40: ri, 0x80: dcd}
        self.model.pins = {pin for pin, asserted in pins.items() if asserted}
        self.model.settle()
        for rig in self.rigs:
            rig.uart.set_modem_inputs(cts=cts, dsr=dsr, ri=ri, dcd=dcd)

    @invariant()
    def same_line(self) -> None:
        assert self.plain.irq.level == self.fast.irq.level == self.model.line()
        assert self.plain.edges == self.fast.edges

    @invariant()
    def same_room(self) -> None:
        room = QUEUE_SIZE - len(self.model.queue)
        assert self.plain.uart.room == self.fast.uart.room == room

    @invariant()
    def same_output_without_accelerator(self) -> None:
        assert self.plain.sink.data == self.model.sent

    def teardown(self) -> None:
        self.fast.guest.flush()
        assert self.fast.sink.data == self.model.sent


TestUartAgainstModel = UartAgainstModel.TestCase
TestUartAgainstModel.settings = settings(max_examples=150, stateful_step_count=40)
