"""A run that is watched: its ioctls, its exits and KVM's counts, and the story of them."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from pykvm._shim import lib
from pykvm.cpu.snapshot import read_linear
from pykvm.cpu.stop import Stop, StopReason
from pykvm.errors import GuestCrash, PykvmError
from pykvm.kvm.journal import Journal
from pykvm.kvm.recorder import INTR, Recorder, merge
from pykvm.kvm.tsc import TscClock
from pykvm.sizes import size_words
from pykvm.trace import story as tell
from pykvm.trace.matching import find_instructions
from pykvm.trace.story_words import duration, plural
from pykvm.trace.turns import tell_turns
from pykvm.trace.words import device_finder

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pykvm.cli.chassis import Chassis
    from pykvm.cli.serial import SerialLine
    from pykvm.cli.signals import OrderlySignals
    from pykvm.kvm.journal import Call
    from pykvm.kvm.recorder import Record
    from pykvm.machine import Machine

RING = 4096
"""Records before they are moved to a list, which is not counted as the run's time."""

TURNAROUNDS = 16
OUTPUT_SHOWN = 2000


def observe(args: argparse.Namespace, signals: OrderlySignals) -> tuple[tell.Story, int]:
    """Run the guest and tell its story; returns that and the exit status.

    Raises:
        PykvmError: it could not be run.
    """
    from pykvm.cli.chassis import Chassis
    from pykvm.cli.serial import SerialLine
    from pykvm.cli.start import check, find_image, make_machine, require_kvm

    check(args)
    require_kvm(args, "pykvm explain")
    image = None if args.image is None else find_image(args)
    files = [(option.name, option.content()) for option in args.fw_cfg]
    journal = Journal()
    with SerialLine("stdio", capture=True) as line:

        def make() -> Machine:
            with journal:
                return make_machine(
                    args,
                    image,
                    files,
                    line,
                    stats=False,
                )

        with Chassis(make) as chassis:
            machine = chassis.machine
            assert machine is not None
            watch = Watch(machine, journal, args.max_exits)
            signals.guard(chassis, line, args.timeout)
            try:
                _connect_input(line, chassis)
                end, status = watch.run(args.timeout)
            finally:
                line.close()
                signals.release()
            started = image or (args.drive[0].path if args.drive else args.bios)
            return watch.story(os.path.basename(started), end, line, full=args.full), status


def _connect_input(line: SerialLine, chassis: Chassis) -> None:
    """What is piped in goes to the guest; a terminal stays as it is."""
    if line.buffer is not None:
        line.teletype.to = line.buffer
    with suppress(OSError, ValueError, AttributeError):
        if not os.isatty(sys.stdin.fileno()):
            line.start(chassis)


class Watch:
    """Watches one run of a machine.

    Args:
        machine: it, with its image loaded.
        journal: what noted how it was made.
        most: how many exits are taken.
    """

    def __init__(self, machine: Machine, journal: Journal, most: int) -> None:
        self._machine = machine
        self._journal = journal
        self._setup = tuple(journal.calls)
        self._most = most
        self._clock = TscClock(machine.cpus[0].vcpu)
        self._recorded: list[list[Record]] = []
        for cpu in machine.cpus:
            records: list[Record] = []
            cpu.loop.record(Recorder(RING, segments=True, on_records=records.extend))
            self._recorded.append(records)
        self._counts: Counter[str] = Counter()
        self._records: list[Record] = []
        self._turnaround: int | None = None
        self._began = self._ended = _both_clocks()

    def run(self, timeout: float) -> tuple[tuple[str, ...], int]:
        """Run the guest to its end; returns how it ended, in sentences, and the exit status."""
        from pykvm.cli.signals import StopNow

        before = self._count()
        self._began = _both_clocks()
        status = 0
        try:
            with self._journal:
                stop = self._machine.run(timeout, self._most)
            end = self._end_words(stop, timeout)
            if stop.reason in (StopReason.INTERRUPTED, StopReason.TERMINATED):
                status = stop.status
        except StopNow as now:
            end, status = self._end_words(now.stop, timeout), now.stop.status
        except GuestCrash as crash:
            end = (f"The guest crashed: {crash.cause}.", *_crash_words(crash))
        self._ended = _both_clocks()
        self._counts = self._count()
        self._counts.subtract(before)
        self._flush()
        self._records = merge(*self._recorded)
        self._measure_turnaround()
        return end, status

    def _count(self) -> Counter[str]:
        """KVM's own counts of all processors; empty where it offers none."""
        from pykvm.kvm.binary_stats import BinaryStats

        counts: Counter[str] = Counter()
        if not BinaryStats.is_offered(self._machine.vm):
            return counts
        for cpu in self._machine.cpus:
            with BinaryStats(cpu.vcpu) as stats:
                counts.update({name: found.value for name, found in stats.read().items()})
        return counts

    def _measure_turnaround(self) -> None:
        """How long a KVM_RUN takes that is not to enter the guest: all of it is the kernel's."""
        loop, records = self._machine.cpus[0].loop, self._recorded[0]
        seen = len(records)
        with suppress(PykvmError):
            for _ in range(TURNAROUNDS):
                loop.kick()
                loop.enter()
        self._flush()
        times = [r.left - r.entered for r in records[seen:] if r.reason == INTR]
        if times:
            self._turnaround = self._clock.ns(min(times))

    def _flush(self) -> None:
        for cpu in self._machine.cpus:
            if cpu.loop.recorder is not None:
                cpu.loop.recorder.flush()

    def story(
        self, title: str, end: tuple[str, ...], line: SerialLine, *, full: bool
    ) -> tell.Story:
        """The story of what was seen."""
        calls = self._journal.calls[len(self._setup) :]
        records = self._records
        turns = tell_turns(
            records,
            find_instructions(records, self._read, tell.entries(self._setup)),
            calls,
            ns=self._clock.ns,
            tick_of=self._tick_of,
            device=device_finder(self._machine.ports, self._machine.mmio),
        )
        totals = tell.add_up(records, turns)
        return tell.Story(
            printable(title),
            self._facts(),
            tell.tell_setup(self._setup),
            tell.fold(turns, full=full),
            tell.to_draw(turns),
            totals,
            tell.tell_hidden(self._counts, totals),
            end,
            _output_words(line),
            len(self._machine.cpus),
        )

    def _facts(self) -> tuple[str, ...]:
        machine = self._machine
        chips = "in the kernel" if machine.irqchip is not None else "nowhere"
        facts = [
            f"{size_words(machine.memory.size)} of RAM",
            plural(len(machine.cpus), "processor"),
            f"interrupt controllers {chips}",
            f"times of KVM_RUN by the time-stamp counter at {self._clock.khz / 1000:.0f} MHz, of "
            "other calls with their way from Python and back",
        ]
        if self._turnaround is not None:
            facts.append(
                f"a KVM_RUN that turns back before it enters the guest takes "
                f"{duration(self._turnaround)} here, so about that much of each is the kernel's at "
                "least"
            )
        if self._journal.dropped:
            facts.append(f"{self._journal.dropped} calls while it ran are not told")
        return tuple(facts)

    def _end_words(self, stop: Stop, timeout: float) -> tuple[str, ...]:
        match stop.reason:
            case StopReason.HALTED if self._machine.irqchip is not None and not stop.detail:
                return (
                    "The guest halted for good, with nothing that could wake it. With a local APIC "
                    "in the kernel HLT does not come out of KVM_RUN: pykvm's timer interrupted it, "
                    "and pykvm looked (KVM_GET_MP_STATE).",
                )
            case StopReason.HALTED:
                return ("The guest halted, which is the end.",)
            case StopReason.DEBUG_EXIT:
                return (
                    f"The guest wrote {stop.value:#x} to the debug-exit port, which ends the run; "
                    f"`pykvm run` would end with status {stop.status}.",
                )
            case StopReason.POWER_OFF:
                return ("The guest switched the machine off, through ACPI.",)
            case StopReason.RESET:
                return (f"The guest asked for a reset through {stop.detail}.",)
            case StopReason.TIMEOUT:
                return (f"The guest was still running after {timeout:g} s (--timeout).",)
            case StopReason.BUDGET:
                return (f"The guest had not ended after {self._most} exits (--max-exits).",)
            case StopReason.NOT_BOOTED:
                return ("The BIOS found nothing to boot from.",)
            case _:
                return (f"The run was stopped by {stop.detail or 'pykvm'}.",)

    def _tick_of(self, call: Call) -> int:
        """When a call began, by the clock that exits are recorded with."""
        (first, first_ns), (last, last_ns) = self._began, self._ended
        return first + (call.start - first_ns) * (last - first) // max(last_ns - first_ns, 1)

    def _read(self, linear: int, length: int) -> bytes:
        """Code at a linear address, by the page tables as they are at the end."""
        return read_linear(self._machine.cpus[0].vcpu, self._machine.memory, linear, length)


def _both_clocks() -> tuple[int, int]:
    """The TSC and CLOCK_MONOTONIC, as they are now."""
    return lib.shim_tsc(), time.monotonic_ns()


def _crash_words(crash: GuestCrash) -> Sequence[str]:
    from pykvm.debug.crash import next_instruction

    at = None if crash.cpu is None else next_instruction(crash.cpu)
    return () if at is None else (f"RIP is at {at.address:#x}: {at.text}.",)


def _output_words(line: SerialLine) -> str | None:
    data = b"" if line.buffer is None else line.buffer.data
    if not data:
        return None
    words = printable(data[:OUTPUT_SHOWN].decode("utf-8", "backslashreplace"))
    if len(data) > OUTPUT_SHOWN:
        words += f"\n... ({len(data) - OUTPUT_SHOWN} bytes more)"
    return words


def printable(text: str) -> str:
    """`text` with everything that a terminal might obey, but for line ends, as an escape."""
    return "".join(
        c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode()
        for c in text.replace("\r\n", "\n")
    )
