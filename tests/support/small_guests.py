"""Guests of a few instructions, a device that watches them, and a thread that stops them."""

from __future__ import annotations

import threading

from pykvm import Device, Machine
from tests.support.waiting import PATIENCE

SPIN = bytes.fromhex(
    "eb fe"  # jmp $
)
OUT_30_THEN_HALT = bytes.fromhex(
    "b0 07"  # mov al, 7
    "e6 30"  # out 0x30, al
    "f4"  # hlt
)


class Recorder(Device):
    """Remembers what it was asked."""

    name = "recorder"
    width = 8

    def __init__(self, answer: int = 0) -> None:
        self.answer = answer
        self.seen: list[tuple[str, int, int, int]] = []

    def read(self, offset: int, size: int) -> int:
        self.seen.append(("read", offset, size, 0))
        return self.answer

    def write(self, offset: int, size: int, value: int) -> None:
        self.seen.append(("write", offset, size, value))


def stop_when(event: threading.Event, machine: Machine) -> None:
    """Stop `machine` once `event` is there; leave it to its timeout if that never comes."""
    if event.wait(PATIENCE):
        machine.stop()
