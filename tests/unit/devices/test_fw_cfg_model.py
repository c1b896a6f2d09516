"""fw_cfg against an independent model, on random programs with random, often bad descriptors."""

from __future__ import annotations

import struct

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.unit.devices.fw_cfg_model import FwCfgModel
from tests.unit.devices.fw_cfg_rig import HIGH, HOLE, RAM_SIZE, Rig

FILES = {"etc/empty": b"", "opt/long": bytes(range(1, 200)), "opt/text": b"0123456789"}
WRITABLE = {"opt/writable": b"." * 20}

KEYS = st.sampled_from(
    [0x00, 0x01, 0x03, 0x19, 0x20, 0x21, 0x22, 0x23, 0x23, 0x4023, 0x24]
) | st.integers(0, 0xFFFF)
LENGTHS = st.integers(0, 300) | st.sampled_from([0x3000, 0x3001, 0x1000, 0x7FFF_FFFF, 0xFFFF_FFFF])
EDGES = (0, HOLE[0], HOLE[1], RAM_SIZE, HIGH, HIGH + 0x1000, 1 << 32, 1 << 63, 1 << 64)
ADDRESSES = st.one_of(
    st.integers(0x100, 0x400),
    st.builds(
        lambda edge, shift: (edge + shift) % (1 << 64), st.sampled_from(EDGES), st.integers(-20, 20)
    ),
)
ACTIONS = st.sampled_from([2, 2, 16, 16, 4, 8, 10, 24, 12, 0, 1]) | st.integers(0, 31)


class FwCfgAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()
        self.written: list[bytes] = []
        for name, data in FILES.items():
            self.rig.fw_cfg.add_file(name, data)
        for name, data in WRITABLE.items():
            self.rig.fw_cfg.add_file(name, data, on_write=self.written.append)
        contents = {**FILES, **WRITABLE}
        directory = struct.pack(">I", len(contents)) + b"".join(
            struct.pack(">IHH56s", len(data), 0x20 + i, 0, name.encode())
            for i, (name, data) in enumerate(contents.items())
        )
        self.model = FwCfgModel(
            {
                0x00: b"QEMU",
                0x01: b"\3\0\0\0",
                0x03: 0x1_2345_6000.to_bytes(8, "little"),
                0x04: b"\1\0",
                0x05: b"\2\0",
                0x0F: b"\5\0",
                0x19: directory,
                **{0x20 + i: data for i, data in enumerate(contents.values())},
            },
            writable={0x23},
        )
        self.memory = {
            base + i: 0 for base, piece in self.rig.ram.pieces.items() for i in range(len(piece))
        }

    @rule(key=KEYS)
    def select(self, key: int) -> None:
        self.rig.select(key)
        self.model.select(key)

    @rule(count=st.integers(0, 40))
    def read(self, count: int) -> None:
        assert self.rig.read(count) == bytes(self.model.read() for _ in range(count))

    @rule(address=ADDRESSES, data=st.binary(min_size=1, max_size=30))
    def store(self, address: int, data: bytes) -> None:
        for i, value in enumerate(data):
            if address + i in self.memory:
                self.memory[address + i] = value
                self.rig.fill(address + i, bytes((value,)))

    @rule(descriptor=ADDRESSES, action=ACTIONS, key=KEYS, length=LENGTHS, buffer=ADDRESSES)
    def operate(self, descriptor: int, action: int, key: int, length: int, buffer: int) -> None:
        self.store(descriptor, struct.pack(">IIQ", key << 16 | action, length, buffer))
        self.rig.start(descriptor)
        self.model.operate(self.memory, descriptor)
        for base, piece in self.rig.ram.pieces.items():
            assert piece == bytes(self.memory[base + i] for i in range(len(piece)))

    @invariant()
    def same_writable_item(self) -> None:
        if self.written:
            assert self.written[-1] == bytes(self.model.items[0x23])
        else:
            assert bytes(self.model.items[0x23]) == WRITABLE["opt/writable"]


TestFwCfgAgainstModel = FwCfgAgainstModel.TestCase
TestFwCfgAgainstModel.settings = settings(max_examples=60, stateful_step_count=30)
