"""Whatever a client sends, a session answers; PYKVM_FUZZ_PACKETS says how many packets."""

from __future__ import annotations

import random

import pytest

from pykvm.gdb.packets import PACKET_SIZE, Decoder, escape, frame
from pykvm.x86 import Mode
from tests.unit.gdb.fakes import RAM, FakeDebugger, session_of
from tests.unit.gdb.random_packets import (
    CHANGING,
    HARMLESS,
    PACKETS,
    noise,
    on_the_wire,
    random_content,
)

pytestmark = pytest.mark.timeout(0 if PACKETS > 2000 else 300)


@pytest.mark.parametrize("mode", Mode)
def test_random_packets(mode: Mode) -> None:
    dice = random.Random(mode.value)
    fake = FakeDebugger(processors=2, mode=mode)
    fake.limit = 4
    session = session_of(fake)
    decoder = Decoder()
    handled = 0
    known = HARMLESS + CHANGING
    while handled < PACKETS:
        content = noise(dice) if dice.randrange(4) == 0 else random_content(dice, known)
        for item in decoder.feed(on_the_wire(dice, content)):
            if not isinstance(item, bytes):
                continue
            handled += 1
            answer = session.handle(item)
            for packet in answer.packets:
                assert len(frame(packet)) <= PACKET_SIZE + 4
                assert escape(packet).count(b"$") == 0
        assert len(decoder._buffer) <= PACKET_SIZE + 1
        assert len(fake.points) <= fake.limit
        assert len(fake.memory) == RAM
    session.leave()
    assert fake.points == []
    (reply,) = session.handle(b"qAttached").packets
    assert reply == b"1"
