"""Random accesses of all sizes to one device: nothing raises, nothing grows, invariants hold.

Each device gets PYKVM_FUZZ_ACCESSES of them; 10,000 by default, a million in `make fuzz`.
"""

from __future__ import annotations

import gc
import os
import random
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType

import pytest

from tests.unit.devices.accelerated_guest import Guest

ACCESSES = int(os.environ.get("PYKVM_FUZZ_ACCESSES", "10000"))
TIMEOUT = pytest.mark.timeout(0 if ACCESSES > 10_000 else 300)

BASE = 0x40
"""The device's first port; accesses begin two ports below it."""

LARGEST = 1 << 17
"""Bytes that a bus with one device on it may hold; the UART's queue alone is 4096 long."""

Check = Callable[[], None]
"""What must hold after each access."""

Attach = Callable[[Guest, random.Random], Check]
"""Puts a device at `BASE`."""


def access_at_random(attach: Attach, *, accelerated: bool) -> None:
    """Have a guest read and write around `BASE`, and check after each access."""
    dice = random.Random(attach.__name__)
    guest = Guest(accelerated=accelerated)
    check = attach(guest, dice)
    for _ in range(ACCESSES):
        port = BASE - 2 + dice.randrange(12)
        size = dice.choice((1, 1, 1, 2, 4, 8))
        kind = dice.randrange(5)
        if kind < 2:
            assert 0 <= guest.inp(port, size) < 1 << 8 * size
        elif kind < 4:
            guest.out(port, dice.getrandbits(8 * size), size)
        else:
            guest.outs(port, dice.randbytes(size * dice.randrange(4)), size)
        check()
    assert size_of(guest.bus) < LARGEST


def size_of(root: object) -> int:
    """Bytes of all that can be reached from an object, code and classes aside."""
    seen: dict[int, object] = {}
    found = [root]
    while found:
        thing = found.pop()
        if id(thing) not in seen and not isinstance(thing, type | ModuleType | FunctionType):
            seen[id(thing)] = thing
            found += gc.get_referents(thing)
    return sum(sys.getsizeof(thing) for thing in seen.values())
