"""What the exit recorder costs, on against off.

    python benchmarks/recorder_ratio.py [PAIRS]

Three looks, since an exit takes far longer than recording it.  An `out` in the C loop, with the
recorder and without; "off / off" is that comparison without a difference: how well this host can
tell.  KVM_RUN that returns at once, with the registers shared that the recorder wants: what the
kernel does for it at each exit.  And, by the recorder's own times, what the C loop does between two
KVM_RUNs, recording included.
"""

from __future__ import annotations

import statistics
import sys
import time
from functools import partial
from itertools import pairwise

import psutil
from loop_ratio import OUT_FOREVER, PORT
from pairs import compare, host_line, verdict

from pykvm import Machine, StopReason
from pykvm._shim import lib
from pykvm.kvm import SyncFlag
from pykvm.kvm.recorder import INTR, Recorder
from pykvm.kvm.tsc import TscClock

EXITS = 1000
"""So few that most runs end before another process gets the processor."""

PAIRS = 400
RIP = SyncFlag.REGS
GOAL = 1.05
ENTRIES = 1 << 12
"""256 KiB of records, half of a second-level cache; the trace's ring is twice that."""


def run(machine: Machine, recorder: Recorder | None) -> float:
    """Take EXITS exits; returns the seconds that took."""
    machine.cpus[0].loop.record(recorder)
    start = time.monotonic_ns()
    stop = machine.run(max_exits=EXITS)
    end = time.monotonic_ns()
    assert stop.reason is StopReason.BUDGET
    return (end - start) / 1e9


def return_at_once(machine: Machine, shared: SyncFlag) -> float:
    """Do KVM_RUN EXITS times without entering the guest; returns the seconds that took."""
    vcpu = machine.cpus[0].vcpu
    page = vcpu.page
    page.run.kvm_valid_regs = int(shared)
    page.immediate_exit = True
    ioctl, fd, request = lib.shim_ioctl_value, vcpu.fd, lib.KVM_RUN
    start = time.monotonic_ns()
    for _ in range(EXITS):
        ioctl(fd, request, 0)
    end = time.monotonic_ns()
    page.immediate_exit = False
    page.run.kvm_valid_regs = 0
    return (end - start) / 1e9


def least(machine: Machine, rounds: int, *shared: SyncFlag) -> list[float]:
    """For each set of registers the shortest of its turns, in ns: what disturbs, only adds."""
    turns = [[return_at_once(machine, flags) for flags in shared] for _ in range(rounds)]
    return [ns(min(turn[i] for turn in turns)) for i in range(len(shared))]


def between_runs(machine: Machine) -> float:
    """The median time from one KVM_RUN to the next, in ns, where C answers."""
    recorder = Recorder(ENTRIES, segments=True)
    clock = TscClock(machine.cpus[0].vcpu)
    run(machine, recorder)
    gaps = [b.entered - a.left for a, b in pairwise(recorder.take()) if a.reason != INTR]
    return statistics.median(gaps) * 1e6 / clock.khz


def main() -> None:
    """Measure and print."""
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS
    psutil.Process().cpu_affinity([psutil.Process().cpu_affinity()[0]])
    print(host_line())
    with Machine("64K") as machine:
        machine.load(OUT_FOREVER)
        machine.routes.ports.drop_writes(PORT, 1)
        off = partial(run, machine, None)
        for name, recorder in (
            ("off", None),
            ("on", Recorder(ENTRIES)),
            ("on, with segments", Recorder(ENTRIES, segments=True)),
        ):
            result = compare(partial(run, machine, recorder), off, pairs)
            print(f"an exit: {ns(result.subject):.0f} ns {name}, {ns(result.reference):.0f} ns off")
            print(verdict(f"recorder {name} / off", result, GOAL))
        run(machine, None)
        bare, *sharing = least(machine, pairs, SyncFlag(0), RIP, RIP | SyncFlag.SREGS)
        for name, least_ns in zip(("RIP", "RIP and segments"), sharing, strict=True):
            print(
                f"KVM_RUN that returns at once, sharing {name}: {least_ns:.0f} ns, "
                f"{least_ns - bare:.0f} ns more than without (the least of {pairs} rounds)"
            )
        print(f"from one KVM_RUN to the next, recording: {between_runs(machine):.0f} ns (median)")


def ns(seconds: float) -> float:
    """What one of EXITS takes of that."""
    return seconds / EXITS * 1e9


if __name__ == "__main__":
    main()
