"""A model of pykvm's C loop: it posts and answers for a device, and counts what reaches Python.

csrc/runloop.c does the same with a guest.  Here it is without one, so that a check is exact, and
needs no KVM.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pykvm.bus import PORT_SPACE, Bus, Device

BASE = 0x320

Act = tuple[str, *tuple[int, ...]]
"""("write", offset, value), ("read", offset, size), ("paper", low) or ("tick",)."""


class CLoop:
    """Between a guest and a device at BASE.

    Args:
        device: whose hints it takes.
        length: how many ports it has.

    Attributes:
        dispatches: how often Python was asked, by what for: ("write", offset), ("read", offset),
            ("posted", offset).
    """

    def __init__(self, device: Device, length: int) -> None:
        self.dispatches: Counter[tuple[str, int]] = Counter()
        self._posted: dict[int, int] = {}
        self._answers: dict[int, tuple[int, int]] = {}
        self._log: list[tuple[int, int, bytearray]] = []
        self._bus = Bus("port", PORT_SPACE, accelerator=self)
        self._bus.attach(BASE, length, device)

    def post_writes(self, address: int, size: int, on: bool) -> None:
        """As `pykvm.bus.Accelerator` says."""
        self._posted[address] = size if on else 0

    def answer_reads(self, address: int, size: int, value: int | None) -> None:
        """As `pykvm.bus.Accelerator` says."""
        self._answers[address] = (0, 0) if value is None else (size, value)

    def write(self, offset: int, size: int, value: int) -> None:
        """The guest writes."""
        address, data = BASE + offset, value.to_bytes(size, "little")
        if not self._posted.get(address, 0) & size:
            self.deliver()
            self.dispatches["write", offset] += 1
            self._bus.write(address, size, value)
        elif self._log and self._log[-1][:2] == (address, size):
            self._log[-1][2].extend(data)
        else:
            self._log.append((address, size, bytearray(data)))

    def read(self, offset: int, size: int) -> int:
        """The guest reads."""
        sizes, value = self._answers.get(BASE + offset, (0, 0))
        if sizes & size:
            return value & ((1 << 8 * size) - 1)
        self.deliver()
        self.dispatches["read", offset] += 1
        return self._bus.read(BASE + offset, size)

    def deliver(self) -> None:
        """Give Python what was posted, as each access that Python sees does, and each tick."""
        log, self._log = self._log, []
        for address, size, data in log:
            self.dispatches["posted", address - BASE] += 1
            self._bus.write_block(address, size, bytes(data))


def play(loop: CLoop, device: Any, acts: Sequence[Act]) -> list[int]:
    """Take the acts, deliver what is left; what each read gave, and -1 for all others."""
    given = []
    for kind, *rest in acts:
        got = -1
        if kind == "write":
            loop.write(rest[0], 1, rest[1])
        elif kind == "read":
            got = loop.read(rest[0], rest[1])
        elif kind == "paper":
            device.set_paper_low(bool(rest[0]))
        else:
            loop.deliver()
        given.append(got)
    loop.deliver()
    return given
