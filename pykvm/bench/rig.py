"""The rig: a machine that runs one of the benchmarks' guests, as long as is asked for."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from pykvm.bench.histogram import Histogram
from pykvm.bus import Device
from pykvm.cpu.stop import Stop, StopReason
from pykvm.errors import ImageError, PykvmError
from pykvm.kvm.binary_stats import BinaryStats
from pykvm.kvm.meter import Meter
from pykvm.layout import BENCH_DONE, BENCH_RESULTS, BENCH_RESULTS_REAL
from pykvm.machine import Machine
from pykvm.manifest import guests_folder
from pykvm.memory import Gpa
from pykvm.x86 import Mode

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from pykvm.kvm.meter import Counts
    from pykvm.kvm.system import System

COUNT, OPERAND = 4, 8
"""Where a guest's parameters are: offsets in its image (guests/lib/bench.inc)."""

WARM_UP = 8
"""The first turns of each round fill caches and wake what sleeps: they do not count."""

MOST_TURNS = {Mode.REAL: 0x1C00, Mode.LONG: 1 << 18}
"""There is room for the ticks of so many."""

MEMORY = 4 << 20
TIMEOUT = 10.0
"""Seconds that the guest may take for a round, of which a fraction of one was expected: on a host
that has a lot else to do it may be kept waiting."""


class Unable(PykvmError):
    """The host cannot do what was to be measured; the words say what happened."""


class Sample(NamedTuple):
    """What a round gave, in ticks, nothing subtracted.

    Attributes:
        total, inside, outside: as in `pykvm.bench.result.Round`; the last two None where
            userspace has no part.
        elements: each number in them stands for so many of what is measured.
        exits: how often the guest was left for each of them, by KVM's count; None: it was not
            asked, or does not tell.
    """

    total: Histogram
    inside: Histogram | None = None
    outside: Histogram | None = None
    elements: float = 1.0
    exits: float | None = None


class Done(Device):
    """The port that a guest writes to when its turns are done."""

    name = "bench"

    def __init__(self, on_write: Callable[[], None]) -> None:
        self._on_write = on_write

    def write(self, offset: int, size: int, value: int) -> None:
        """Say so."""
        self._on_write()


@cache
def guest_image(name: str) -> bytes:
    """One of the benchmarks' guests, e.g. "cpuid.bin64".

    Raises:
        ImageError: it is not there.
    """
    folder = guests_folder()
    if folder is None:
        raise ImageError("the benchmarks' guests are not installed")
    try:
        return (folder / "bench" / name).read_bytes()
    except OSError as error:
        raise ImageError(
            f"{folder / 'bench' / name}: {error.strerror}: run `make guests`"
        ) from None


class Rig:
    """A machine with one guest, which `turns` or `exits` run.

    Args:
        stack: closes it.
        image: the guest's name in guests/bench, or its code.
        mode: how it is entered.
        irqchip, smp, system: as for `Machine`.
    """

    def __init__(
        self,
        stack: ExitStack,
        image: str | bytes,
        *,
        system: System,
        mode: Mode = Mode.LONG,
        irqchip: str = "kernel",
        smp: int = 1,
    ) -> None:
        self.stack = stack
        self.mode = mode
        self.machine = stack.enter_context(
            Machine(MEMORY, irqchip=irqchip, smp=smp, accel="kvm", system=system)
        )
        code = guest_image(image) if isinstance(image, str) else image
        self.load_address = self.machine.load(code, mode=mode).rip
        self.machine.ports.attach(BENCH_DONE, 1, Done(self.machine.stop))
        self.vcpu = self.machine.cpus[0].vcpu
        self.loop = self.machine.cpus[0].loop
        self.meter = Meter()
        self._stats: BinaryStats | None = None
        if BinaryStats.is_offered(self.machine.vm):
            with suppress(PykvmError):
                self._stats = stack.enter_context(BinaryStats(self.vcpu))

    def parameter(self, offset: int, value: int, size: int = 4) -> None:
        """Tell the guest something, before it runs or between rounds."""
        self.machine.memory.write(Gpa(self.load_address + offset), value.to_bytes(size, "little"))

    def operand(self, value: int) -> None:
        """Tell a guest in long mode what to work on."""
        self.parameter(OPERAND, value, 8)

    def turns(self, count: int, warm_up: int = WARM_UP) -> Sample:
        """Have the guest measure `count` turns by its own stamps.

        Raises:
            Unable: it does not come to their end.
            GuestCrash: it crashes.
        """
        turns = min(count + warm_up, MOST_TURNS[self.mode])
        self.parameter(COUNT, turns)
        before = self._exits()
        self.run()
        after = self._exits()
        at = BENCH_RESULTS if self.mode is Mode.LONG else BENCH_RESULTS_REAL
        ticks = self.machine.memory.read(Gpa(at), 4 * turns)
        values = memoryview(ticks).cast("I").tolist()[warm_up:]
        each = None if before is None or after is None else (after - before - 1) / turns
        return Sample(Histogram.of(values), exits=each)

    def exits(self, count: int, elements: Callable[[], int] | None = None) -> Sample:
        """Have the C loop measure `count` exits.

        Args:
            count: how many.
            elements: tells how many elements the guest has transferred so far, where one exit may
                have many.

        Raises:
            Unable: the guest stops for something else.
            GuestCrash: it crashes.
        """
        self.run(max_exits=WARM_UP)
        before = 0 if elements is None else elements()
        self.meter.reset()
        self.loop.measure(self.meter)
        try:
            # the last one is not known before the guest is entered again
            self.run(max_exits=count + 1)
        finally:
            self.loop.measure(None)
        each = 1.0 if elements is None else max((elements() - before) / (count + 1), 1.0)
        return metered(self.meter, each)

    def run(self, max_exits: int | None = None) -> None:
        """Run the guest until it is done, or has left `max_exits` times.

        Raises:
            Unable: it does not come to that.
        """
        stop = self.machine.run(timeout=TIMEOUT, max_exits=max_exits)
        wanted = StopReason.STOPPED if max_exits is None else StopReason.BUDGET
        if stop.reason is not wanted:
            raise Unable(_why(stop))

    def _exits(self) -> int | None:
        if self._stats is None:
            return None
        exits = self._stats.read().get("exits")
        return None if exits is None else exits.value


def metered(meter: Meter, elements: float = 1.0) -> Sample:
    """What a meter has counted."""
    total, inside, outside = map(_histogram, (meter.total, meter.inside, meter.outside))
    sample = Sample(total, inside, outside, elements)
    if not sample.total.count:
        raise Unable("every exit was interrupted by a signal")
    return sample


def _histogram(counts: Counts) -> Histogram:
    return Histogram.from_counts(counts.minimum, counts.maximum, counts.buckets)


def _why(stop: Stop) -> str:
    if stop.reason is StopReason.TIMEOUT:
        return f"hangs (stopped after {TIMEOUT:g} s)"
    return f"the guest ended: {stop.reason.value}"
