"""`pykvm bench console`: what a byte costs on its way through COM1, by who takes it.

The guest sends bytes to the UART as fast as it can, without asking whether there is room, and halts
on a machine without interrupt controllers, which ends the run.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pykvm.bench import host
from pykvm.bench.processors import pinned
from pykvm.bench.result import Skipped
from pykvm.bench.samples import chosen, measure_of, no_ratio, now, pairs_of, ratio_of, result_of
from pykvm.cpu.stop import StopReason
from pykvm.errors import BenchError, PykvmError
from pykvm.kvm import probes
from pykvm.kvm.coalesced import CoalescedZone
from pykvm.kvm.system import System
from pykvm.layout import COM1
from pykvm.machine import Machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.bench.options import Options, Progress
    from pykvm.bench.result import Ratio, Result, Row

OUT = bytes.fromhex(
    "ee"  # out dx, al
    "49"  # dec cx
    "75 fc"  # jnz back to the first
    "f4"  # hlt
)
OUTSB = bytes.fromhex(
    "f3 6e"  # rep outsb
    "f4"  # hlt
)
TEXT = 0x2000
"""Where REP OUTSB reads, in its segment, which has room for MOST bytes behind it."""

BYTES, QUICK_BYTES = 4096, 1024
MOST = 0x8000
ROUNDS, QUICK_ROUNDS = 7, 3
RUNS, QUICK_RUNS = 12, 6
"""How often so many bytes are sent in a round, each way."""

TIMEOUT = 30.0
COALESCED_GOAL = 0.2
"""A fifth of the time is five times as many bytes."""


class CountingSink:
    """Counts what reaches it."""

    def __init__(self) -> None:
        self.count = 0

    def write(self, data: bytes) -> None:
        """Count it."""
        self.count += len(data)


class Strategy(NamedTuple):
    """A way from the guest to the sink.

    Attributes:
        kind, title, what: as in `Measure`.
        needs: the probes that must pass.
        code: the guest's.
        prepare: makes a machine take this way; the stack undoes it.
    """

    kind: str
    title: str
    what: str
    needs: tuple[str, ...]
    code: bytes
    prepare: Callable[[ExitStack, Machine], object]


def _each_to_python(stack: ExitStack, machine: Machine) -> None:
    machine.routes.ports.post_writes(COM1, 1, False)


def _as_it_is(stack: ExitStack, machine: Machine) -> None:
    """Posting is what a machine does by itself."""


def _coalesce(stack: ExitStack, machine: Machine) -> None:
    stack.enter_context(CoalescedZone(machine.vm, COM1, 1, pio=True))


STRATEGIES = (
    Strategy(
        "console-exit",
        "one exit a byte, Python",
        "OUT of a byte to the UART, which Python handles at once",
        ("real_mode",),
        OUT,
        _each_to_python,
    ),
    Strategy(
        "console-posted",
        "posted by C",
        "OUT of a byte to the UART, which the C loop logs and Python handles later, as every "
        "machine with one processor does",
        ("real_mode",),
        OUT,
        _as_it_is,
    ),
    Strategy(
        "console-coalesced",
        "coalesced by the kernel",
        "OUT of a byte to the UART, which the kernel keeps in its ring (KVM API 4.116)",
        ("real_mode", "coalesced_pio"),
        OUT,
        _coalesce,
    ),
    Strategy(
        "console-outsb",
        "REP OUTSB",
        "a byte of a REP OUTSB to the UART, which Python handles at once, as many as KVM hands "
        "over together",
        ("real_mode", "rep_outs"),
        OUTSB,
        _each_to_python,
    ),
)
FIRST = STRATEGIES[0]


class Line:
    """A machine that sends its bytes one way.

    Args:
        stack: closes it.
        system: whose machine it is.
        strategy: which way.
    """

    def __init__(self, stack: ExitStack, system: System, strategy: Strategy) -> None:
        self._sink = CountingSink()
        self._code = strategy.code
        self._machine = stack.enter_context(
            Machine("64K", serial=self._sink, irqchip="none", system=system)
        )
        strategy.prepare(stack, self._machine)

    def send(self, count: int) -> float:
        """Have the guest send so many bytes; returns ns for each.

        Args:
            count: 1 to MOST.

        Raises:
            BenchError: not all arrive.
        """
        machine = self._machine
        machine.load(self._code)
        vcpu = machine.cpus[0].vcpu
        vcpu.set_regs(replace(vcpu.get_regs(), rcx=count, rdx=COM1, rsi=TEXT))
        before = self._sink.count
        start = time.perf_counter_ns()
        stop = machine.run(timeout=TIMEOUT)
        end = time.perf_counter_ns()
        if stop.reason is not StopReason.HALTED:
            raise BenchError(f"the guest ended by {stop.reason.value}")
        if self._sink.count - before != count:
            raise BenchError(f"{self._sink.count - before} of {count} bytes arrived")
        return (end - start) / count


def kinds() -> list[tuple[str, str]]:
    """Names and titles of what is measured."""
    return [(strategy.kind, strategy.title) for strategy in STRATEGIES]


def run(options: Options, progress: Progress) -> Result:
    """Measure.

    Raises:
        BenchError: there is no such kind, or processor.
        KvmUnavailable: there is no usable /dev/kvm.
    """
    wanted = chosen(options.only, [strategy.kind for strategy in STRATEGIES])
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    runs = QUICK_RUNS if options.quick else RUNS
    count = QUICK_BYTES if options.quick else BYTES
    started = now()
    skipped: dict[str, str] = {}
    lines: dict[str, Line] = {}
    found: dict[str, list[list[float]]] = {}
    with ExitStack() as stack:
        places = stack.enter_context(pinned(options.cpu))
        system = stack.enter_context(System())
        facts = host.describe(places.first, system)
        for strategy in STRATEGIES:
            if strategy.kind in wanted:
                try:
                    lines[strategy.kind] = _open(stack, system, strategy, count)
                except (PykvmError, OSError) as error:
                    skipped[strategy.kind] = " ".join(str(error).split())
        for done in range(rounds):
            progress(done * runs, rounds * runs, f"round {done + 1} of {rounds}")
            for kind in lines:
                found.setdefault(kind, []).append([])
            for _ in range(runs):
                # in turn, so that all see the same host
                for kind, line in lines.items():
                    found[kind][-1].append(line.send(count))
        progress(rounds * runs, rounds * runs, "")
    rows: list[Row] = []
    for strategy in STRATEGIES:
        if strategy.kind in skipped:
            rows.append(Skipped(strategy.kind, strategy.title, skipped[strategy.kind]))
        elif strategy.kind in found:
            rows.append(
                measure_of(strategy.kind, strategy.title, strategy.what, found[strategy.kind])
            )
    return result_of(options, started, facts, rows, _scale(found, skipped))


def _open(stack: ExitStack, system: System, strategy: Strategy, count: int) -> Line:
    """A line that has been tried."""
    for name in strategy.needs:
        probe = probes.result(system, name)
        if not probe.ok:
            raise BenchError(f"{name}: {probe.words}")
    line = Line(stack, system, strategy)
    line.send(count)
    return line


def _scale(found: dict[str, list[list[float]]], skipped: dict[str, str]) -> list[Ratio]:
    """Each way against one exit a byte."""
    ratios = []
    for strategy in STRATEGIES[1:]:
        goal = COALESCED_GOAL if strategy.kind == "console-coalesced" else None
        why = skipped.get(strategy.kind) or skipped.get(FIRST.kind)
        if why:
            ratios.append(no_ratio(strategy.title, FIRST.title, why, goal))
        elif strategy.kind in found and FIRST.kind in found:
            pairs = pairs_of(found[strategy.kind], found[FIRST.kind])
            ratios.append(ratio_of(strategy.title, FIRST.title, pairs, goal))
    return ratios
