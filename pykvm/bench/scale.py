"""`pykvm bench scale`: how many exits a machine with several processors takes in a second.

All processors of one machine run the same endless OUT.  KVM starts all but the first by INIT and
SIPI; here they are set going by KVM_SET_MP_STATE, so that nothing but exits is measured.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import psutil

from pykvm.bench import host
from pykvm.bench.result import Skipped
from pykvm.bench.samples import chosen, measure_of, now, pairs_of, ratio_of, result_of
from pykvm.bus import Device
from pykvm.cpu.stop import StopReason
from pykvm.errors import BenchError, PykvmError
from pykvm.kvm.state import MpState
from pykvm.kvm.system import System
from pykvm.layout import BENCH_PORT
from pykvm.machine import Machine

if TYPE_CHECKING:
    from pykvm.bench.options import Options, Progress
    from pykvm.bench.result import Ratio, Result, Row

OUT_FOREVER = bytes.fromhex(
    "e6 10"  # out 0x10, al
    "eb fc"  # jmp back to it
)

ROUNDS, QUICK_ROUNDS = 7, 3
RUNS, QUICK_RUNS = 12, 6
"""How often a machine is run in a round."""

EXITS, QUICK_EXITS = 4000, 1000
"""How many exits each processor takes in a run, in the mean."""

MOST = 16
TIMEOUT = 60.0


class Handler(NamedTuple):
    """Who answers the guest.

    Attributes:
        name: in kinds.
        words: for people.
        is_python: whether it is a device in Python, behind the machine's lock and the GIL.
    """

    name: str
    words: str
    is_python: bool


HANDLERS = (Handler("c", "C", False), Handler("python", "Python", True))


class Nothing(Device):
    """Takes what is written."""

    name = "bench"

    def write(self, offset: int, size: int, value: int) -> None:
        """Drop it."""


def plan() -> dict[str, tuple[Handler, int]]:
    """What is measured on this host: who answers how many processors, by kind."""
    sizes = processors(len(psutil.Process().cpu_affinity()))
    return {kind_of(handler, size): (handler, size) for handler in HANDLERS for size in sizes}


def kinds() -> list[tuple[str, str]]:
    """Names and titles of what is measured."""
    return [(kind, title_of(*what)) for kind, what in plan().items()]


def title_of(handler: Handler, size: int) -> str:
    """A kind's title."""
    return f"{_of(size)}, answered by {handler.words}"


def run(options: Options, progress: Progress) -> Result:
    """Measure with 1, 2, 4, ... processors, up to as many as the process may use, 16 at the most.

    `Options.cpu` is ignored: the kernel places the threads.

    Raises:
        BenchError: there is no such kind.
        KvmUnavailable: there is no usable /dev/kvm.
    """
    planned = plan()
    wanted = chosen(options.only, planned)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    runs = QUICK_RUNS if options.quick else RUNS
    exits = QUICK_EXITS if options.quick else EXITS
    started = now()
    found: dict[str, list[list[float]]] = {}
    skipped: dict[str, str] = {}
    with ExitStack() as stack:
        system = stack.enter_context(System())
        facts = host.describe(None, system)
        machines: dict[str, Machine] = {}
        for kind, (handler, size) in planned.items():
            if kind in wanted:
                try:
                    machines[kind] = make(stack, system, handler, size)
                    take(machines[kind], exits)
                except (PykvmError, OSError) as error:
                    skipped[kind] = " ".join(str(error).split())
                    machines.pop(kind, None)
        for done in range(rounds):
            progress(done * runs, rounds * runs, f"round {done + 1} of {rounds}")
            for kind in machines:
                found.setdefault(kind, []).append([])
            for _ in range(runs):
                for kind, machine in machines.items():
                    found[kind][-1].append(take(machine, exits * len(machine.cpus)))
        progress(rounds * runs, rounds * runs, "")
    rows: list[Row] = []
    for kind, (handler, size) in planned.items():
        title = title_of(handler, size)
        if kind in skipped:
            rows.append(Skipped(kind, title, skipped[kind]))
        elif kind in found:
            what = (
                f"an OUT on a machine with {_of(size)}, answered by {handler.words}: the time "
                "that all took, by the exits of all"
            )
            rows.append(measure_of(kind, title, what, found[kind]))
    return result_of(options, started, facts, rows, _ratios(found))


def processors(allowed: int) -> list[int]:
    """How many to measure with: the powers of two up to `allowed` or MOST, and that itself."""
    most = min(allowed, MOST)
    return [*(1 << power for power in range(most.bit_length()) if 1 << power < most), most]


def kind_of(handler: Handler, size: int) -> str:
    """A kind's name."""
    return f"scale-{handler.name}-{size}"


def _of(size: int) -> str:
    return "1 processor" if size == 1 else f"{size} processors"


def make(stack: ExitStack, system: System, handler: Handler, size: int) -> Machine:
    """A machine, all of whose processors are about to run OUT_FOREVER."""
    machine = stack.enter_context(Machine("64K", smp=size, system=system))
    if handler.is_python:
        machine.ports.attach(BENCH_PORT, 1, Nothing())
    else:
        machine.routes.ports.drop_writes(BENCH_PORT, 1)
    state = machine.load(OUT_FOREVER)
    for cpu in machine.cpus[1:]:
        cpu.load(state)
        cpu.vcpu.set_mp_state(MpState.RUNNABLE)
    return machine


def take(machine: Machine, exits: int) -> float:
    """Take so many exits, of all processors together; returns ns for each.

    Raises:
        BenchError: the guest stops for something else.
    """
    start = time.perf_counter_ns()
    stop = machine.run(timeout=TIMEOUT, max_exits=exits)
    end = time.perf_counter_ns()
    if stop.reason is not StopReason.BUDGET:
        raise BenchError(f"the guest ended by {stop.reason.value}")
    return (end - start) / exits


def _ratios(found: dict[str, list[list[float]]]) -> list[Ratio]:
    """Each number of processors against one."""
    ratios = []
    for kind, (handler, size) in plan().items():
        one, many = found.get(kind_of(handler, 1)), found.get(kind)
        if size > 1 and one and many:
            pairs = pairs_of(many, one)
            ratios.append(ratio_of(f"{_of(size)}, {handler.words}", _of(1), pairs))
    return ratios
