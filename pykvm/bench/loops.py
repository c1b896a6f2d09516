"""The scale beside the figures: the same exits under three loops, in turn, pair by pair.

One vCPU of one machine executes one OUT for ever, under
- a bare loop around KVM_RUN in C, which is what the host asks for an exit;
- pykvm's C loop, which drops the write;
- pykvm's whole way up to a device in Python.
Guest, kernel, process and processor are the same, so that ratios are pykvm's own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

from pykvm._shim import lib
from pykvm.bench.kinds_exits import OUT, Latch
from pykvm.bench.result import Ratio
from pykvm.bench.rig import Rig
from pykvm.bench.statistics import median_interval
from pykvm.errors import KvmIoctlError
from pykvm.kvm.meter import Meter
from pykvm.layout import BENCH_PORT

if TYPE_CHECKING:
    from pykvm.bench.calibration import Calibration
    from pykvm.kvm.system import System

Step = Callable[[int], None]
"""Called before each turn with its number."""

BASE = "bare KVM_RUN loop in C"
C_GOAL = 1.03
PYTHON_GOAL_NS = 1000.0

EXITS = 200
"""How many each loop takes before it is the next one's turn: some milliseconds, so that what else
the host does comes over all of them alike."""


class Loops:
    """The three loops over one vCPU; each call returns the median of some exits, in ticks.

    All are stamped by the same meter.  Ticks of pykvm's own clock, one in 10 ms, are in no median.
    """

    def __init__(self, stack: ExitStack, system: System) -> None:
        self._rig = Rig(stack, OUT, system=system)
        self._rig.machine.ports.attach(BENCH_PORT, 1, Latch())
        self._ports = self._rig.machine.routes.ports
        self._meter = Meter(kept=EXITS)

    def bare(self) -> float:
        """The bare loop."""
        self._meter.reset()
        vcpu = self._rig.vcpu
        result = lib.shim_run_bare(vcpu.fd, vcpu.page.run, EXITS, self._meter.cdata)
        if result < 0:
            raise KvmIoctlError("KVM_RUN", -result)
        return median(self._meter.kept)

    def in_c(self) -> float:
        """pykvm's C loop, whose route drops the write."""
        self._ports.drop_writes(BENCH_PORT, 1)
        return self._run()

    def in_python(self) -> float:
        """pykvm with a device in Python."""
        self._ports.post_writes(BENCH_PORT, 1, on=False)
        return self._run()

    def _run(self) -> float:
        loop = self._rig.loop
        self._meter.reset()
        loop.measure(self._meter)
        try:
            self._rig.run(max_exits=EXITS)
        finally:
            loop.measure(None)
        return median(self._meter.kept)


def compare(system: System, calibration: Calibration, pairs: int, step: Step) -> list[Ratio]:
    """Measure all three in turn.

    Args:
        system: whose KVM.
        calibration: how long a tick is.
        pairs: how often.
        step: called before each turn with its number.

    Raises:
        PykvmError: the host cannot run the guest.
    """
    with ExitStack() as stack:
        loops = Loops(stack, system)
        order = [loops.bare, loops.in_c, loops.in_python]
        for loop in order:
            loop()
        turns = []
        for turn in range(pairs):
            step(turn)
            # each one follows each other one as often
            order = order[::-1] if turn % 3 else order[1:] + order[:1]
            found = {loop.__name__: loop() * 1e6 / calibration.khz for loop in order}
            turns.append((found["bare"], found["in_c"], found["in_python"]))
    return ratios(turns)


def ratios(turns: list[tuple[float, float, float]]) -> list[Ratio]:
    """What the turns' times say, each in ns for one exit: bare, in C, in Python."""
    c = [c / bare for bare, c, _ in turns]
    python = [python / bare for bare, _, python in turns]
    more = [python - bare for bare, _, python in turns]
    return [
        _ratio("pykvm's C loop", BASE, c, "x", C_GOAL),
        _ratio("device in Python", BASE, python, "x", None),
        _ratio("device in Python", BASE, more, "ns", PYTHON_GOAL_NS),
    ]


def failed(reason: str) -> Ratio:
    """What is said where the loops could not be compared."""
    return Ratio("pykvm's C loop", BASE, 0.0, 0.0, 0.0, 0, "x", C_GOAL, reason)


def _ratio(name: str, base: str, values: list[float], unit: str, goal: float | None) -> Ratio:
    found = median_interval(values)
    return Ratio(name, base, found.value, found.low, found.high, len(values), unit, goal)
