"""`pykvm bench density`: what machines ask of the host that are alive side by side in one process.

Each round is a process of its own, since memory that was used once is not given back: it makes so
many machines of 1 MiB, has each run to its end, and looks at itself before and after.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from pykvm.errors import BenchError, PykvmError

if TYPE_CHECKING:
    from pykvm.bench.options import Options, Progress
    from pykvm.bench.result import Measure, Result, Row, Skipped

GREET = bytes.fromhex(
    "b0 21"  # mov al, '!'
    "ba f8 03"  # mov dx, 0x3f8
    "ee"  # out dx, al
    "e6 f4"  # out 0xf4, al
)

COUNTS, QUICK_COUNTS = (1, 10, 100, 500), (1, 10, 100)
ROUNDS, QUICK_ROUNDS = 5, 3
MEMORY = "1M"
SPARE = 64
"""Descriptors that are not the machines'."""

RUN_TIMEOUT = 10.0
CHILD_TIMEOUT = 600.0


class Alive(NamedTuple):
    """What so many machines took.

    Attributes:
        pss, rss: KiB of each in the mean: with its part of shared pages, and with all of them.
        ns: to make each, load it and run its guest.
        descriptors: how many each keeps open, in the mean.
    """

    pss: float
    rss: float
    ns: list[float]
    descriptors: float


FIGURES = {
    "time": ("made and run", "ns", "to make a machine, load its guest and run it to its end"),
    "pss": (
        "memory (PSS)",
        "KiB",
        "memory of this process that a machine adds, pages that are shared with other processes "
        "in part (proportional set size), in the mean",
    ),
    "rss": (
        "memory (RSS)",
        "KiB",
        "memory of this process that a machine adds (resident set size)",
    ),
}
"""Titles, units and what is measured, by the part of the kind behind the number."""


def kinds() -> list[tuple[str, str]]:
    """Names and titles of what is measured."""
    return [
        (kind_of(count, name), f"{machines(count)}: {title}")
        for count in COUNTS
        for name, (title, _, _) in FIGURES.items()
    ]


def run(options: Options, progress: Progress) -> Result:
    """Measure with 1, 10, 100 and 500 machines.

    `Options.cpu` is ignored: the kernel places the processes.

    Raises:
        BenchError: there is no such kind.
        KvmUnavailable: there is no usable /dev/kvm.
    """
    from pykvm.bench import host
    from pykvm.bench.samples import chosen, now, result_of
    from pykvm.kvm.system import System

    counts: tuple[int, ...] = QUICK_COUNTS if options.quick else COUNTS
    wanted = chosen(options.only, [kind for kind, _ in kinds()])
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    started = now()
    with System() as system:
        facts = host.describe(None, system)
    rows: list[Row] = []
    if options.only:
        counts = COUNTS  # named, it is wanted with --quick, too
    counts = tuple(n for n in counts if any(kind_of(n, name) in wanted for name in FIGURES))
    for done, count in enumerate(counts):
        try:
            found = []
            for turn in range(rounds):
                progress(done * rounds + turn, len(counts) * rounds, machines(count))
                found.append(in_a_process(count))
        except BenchError as error:
            rows += [skipped(count, name, str(error)) for name in FIGURES]
        else:
            rows += [row_of(count, name, found) for name in FIGURES]
    progress(len(counts) * rounds, len(counts) * rounds, "")
    return result_of(options, started, facts, [row for row in rows if row.kind in wanted], [])


def kind_of(count: int, name: str) -> str:
    """A kind's name."""
    return f"density-{count}-{name}"


def machines(count: int) -> str:
    """So many machines, in words."""
    return "1 machine" if count == 1 else f"{count} machines"


def row_of(count: int, name: str, found: list[Alive]) -> Measure:
    """One figure of so many machines, over all rounds."""
    from pykvm.bench.samples import measure_of

    title, unit, what = FIGURES[name]
    rounds = [{"time": alive.ns, "pss": [alive.pss], "rss": [alive.rss]}[name] for alive in found]
    descriptors = max(alive.descriptors for alive in found)
    return measure_of(
        kind_of(count, name),
        f"{machines(count)}: {title}",
        f"{what}, with {machines(count)} of {MEMORY}B alive in one process; each keeps "
        f"{descriptors:.1f} descriptors open",
        [[max(value, 0.0) for value in values] for values in rounds],
        unit,
    )


def skipped(count: int, name: str, why: str) -> Skipped:
    """Why there is none."""
    from pykvm.bench.result import Skipped

    return Skipped(kind_of(count, name), f"{machines(count)}: {FIGURES[name][0]}", why)


def in_a_process(count: int) -> Alive:
    """Measure so many machines in a process of their own.

    Raises:
        BenchError: it cannot be done; the message says what to do.
    """
    command = [sys.executable, "-m", "pykvm.bench.density", str(count)]
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=CHILD_TIMEOUT, check=False
        )
        answer = json.loads(child.stdout)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{machines(count)} were not made in {CHILD_TIMEOUT:g} s") from None
    except (OSError, ValueError):
        raise BenchError(f"the process for {machines(count)} ended without an answer") from None
    if "error" in answer:
        raise BenchError(answer["error"])
    return Alive(**answer)


def measure(count: int) -> Alive:
    """Make so many machines in this process, and close them again.

    Raises:
        BenchError: this process may not have so many descriptors.
        PykvmError: the host cannot have so many machines.
    """
    import psutil

    process = psutil.Process()
    with ExitStack() as stack:
        # what the first one imports and allocates for all of them is none of theirs
        before = process.num_fds()
        start_one(stack)
        each = process.num_fds() - before
        allow_descriptors(before + each * (count + 1) + SPARE, count)
        first = process.memory_full_info()
        open_before = process.num_fds()
        times: list[float] = []
        for _ in range(count):
            start = time.perf_counter_ns()
            start_one(stack)
            times.append(time.perf_counter_ns() - start)
        then = process.memory_full_info()
        return Alive(
            (then.pss - first.pss) / count / 1024,
            (then.rss - first.rss) / count / 1024,
            times,
            (process.num_fds() - open_before) / count,
        )


def start_one(stack: ExitStack) -> None:
    """Make a machine, which the stack closes, and run its guest to its end."""
    from pykvm.cpu.stop import StopReason
    from pykvm.machine import Machine

    machine = stack.enter_context(Machine(MEMORY))
    machine.load(GREET, bios=False)
    stop = machine.run(timeout=RUN_TIMEOUT)
    if stop.reason is not StopReason.DEBUG_EXIT:
        raise BenchError(f"the guest ended by {stop.reason.value}: see `pykvm doctor`")


def allow_descriptors(wanted: int, count: int) -> None:
    """See that this process may open so many descriptors; up to the hard limit it says so itself.

    Raises:
        BenchError: it may not.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or wanted <= soft:
        return
    if hard != resource.RLIM_INFINITY and wanted > hard:
        raise BenchError(
            f"{machines(count)} need {wanted} descriptors, and this process may open {hard}: "
            f"raise the limit (`ulimit -Hn {wanted}` as root, or LimitNOFILE= of the service)"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> None:
    """Measure as many machines as the command line says, and print what was found as JSON."""
    try:
        answer: dict[str, object] = measure(int(sys.argv[1]))._asdict()
    except (PykvmError, OSError, MemoryError) as error:
        answer = {"error": " ".join(str(error).split()) or type(error).__name__}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
