"""What an `out` costs in pykvm's two loops, against loops that somebody would write without it.

    python benchmarks/peer_loops.py [ROUNDS]

All in one process on one processor, with the same two instructions as the guest: pykvm's C loop,
which drops the write; a device in Python on pykvm's bus; a bare loop around KVM_RUN in C
(bare_loop.c); a loop in pure Python (ctypes_loop.py), which hands the write to a function.  All
without interrupt controllers: with them, pykvm looks more often at the start of a run whether the
guest sleeps for good, which turns as short as these would see.  Each turn
begins with some exits that do not count, since the others' turns have filled the caches.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import psutil
from ctypes_loop import CtypesLoop
from loop_ratio import OUT_FOREVER, PORT, build_bare
from pairs import host_line, take_turns
from peer_table import Figure

from pykvm import Machine, StopReason
from pykvm.bus import Device

ROUNDS = 1000
EXITS = 200
"""So few that most turns end before another process gets the processor."""

WARMING = 20

PYTHON_PORT = PORT + 1
OUT_TO_PYTHON = bytes.fromhex(
    "e6 11"  # out 0x11, al
    "eb fc"  # jmp back to it
)


class Latch(Device):
    """The simplest device: it keeps what was written last."""

    name = "latch"

    def __init__(self) -> None:
        self.value = 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Keep it."""
        self.value = value

    def keep(self, port: int, size: int, value: int) -> None:
        """Keep it, for `CtypesLoop`."""
        self.value = value


def without_controllers() -> Machine:
    """A machine with as little beside its processor as the bare loops have."""
    return Machine("64K", irqchip="none")


def run_machine(machine: Machine, exits: int) -> float:
    """Take that many exits; returns the ns they took."""
    start = time.monotonic_ns()
    stop = machine.run(max_exits=exits)
    end = time.monotonic_ns()
    assert stop.reason is StopReason.BUDGET
    return end - start


def run_warm(run: Callable[[int], float], exits: int) -> float:
    """What one of `exits` exits takes, after some that fill the caches again."""
    run(WARMING)
    return run(exits) / exits


def measure(rounds: int, exits: int = EXITS) -> list[Figure]:
    """Compare, in `rounds` rounds of `exits` exits each, on the first of this process's CPUs."""
    bare = build_bare()
    psutil.Process().cpu_affinity([psutil.Process().cpu_affinity()[0]])

    def run_bare(exits: int) -> float:
        ns = bare.bare_run(exits)
        assert ns > 0
        return float(ns)

    python = CtypesLoop(OUT_FOREVER, Latch().keep)
    with without_controllers() as dropping, without_controllers() as asking:
        dropping.load(OUT_FOREVER)
        dropping.routes.ports.drop_writes(PORT, 1)
        asking.ports.attach(PYTHON_PORT, 1, Latch())
        asking.load(OUT_TO_PYTHON)
        loops: tuple[Callable[[int], float], ...] = (
            partial(run_machine, dropping),
            partial(run_machine, asking),
            run_bare,
            lambda exits: python.run(exits) * 1e9,
        )
        taken = take_turns([partial(run_warm, loop, exits) for loop in loops], rounds)
    python.close()

    def pairs(a: int, b: int) -> list[tuple[float, float]]:
        return [(turn[a], turn[b]) for turn in taken]

    return [
        Figure("`out`: pykvm's C loop", "bare C loop", pairs(0, 2), "ns", 1.03),
        Figure("`out`: device in Python", "bare C loop", pairs(1, 2), "ns", 1.15, 1000),
        Figure("`out`: pykvm's C loop", "loop in pure Python", pairs(0, 3), "ns"),
        Figure("`out`: device in Python", "loop in pure Python", pairs(1, 3), "ns"),
    ]


def main() -> None:
    """Measure and print."""
    result = measure(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
    print(host_line())
    for figure in result:
        print(figure.line)


if __name__ == "__main__":
    main()
