"""Kinds that touch memory which no guest has touched: the host provides it, page by page."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pykvm._shim import ffi
from pykvm.bench.histogram import Histogram
from pykvm.bench.kinds import Bench, Kind, Measure
from pykvm.bench.kinds_kernel import BY_GUEST
from pykvm.bench.rig import Rig, Sample, Unable
from pykvm.layout import BENCH_FRESH, MIB

SLOT = 100
"""Of memory; the machine's own come first."""

HUGE = 2 * MIB
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PAGES = {12: 4096, 21: 16}
"""How many pages are touched at once, by the logarithm of their size: 16 and 32 MiB."""


def _touch(logarithm: int) -> Callable[[ExitStack, Bench], Measure]:
    pages = PAGES[logarithm]
    size = pages << logarithm
    is_huge = 1 << logarithm == HUGE

    def set_up(stack: ExitStack, bench: Bench) -> Measure:
        if is_huge and not _offers_huge():
            raise Unable(f"{HUGE_PAGES} says that there are no huge pages")
        memory = mmap.mmap(-1, size + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        stack.callback(memory.close)
        window = ffi.from_buffer(memory)
        stack.callback(ffi.release, window)
        address = int(ffi.cast("uintptr_t", window))
        start = -address % HUGE
        advice = mmap.MADV_HUGEPAGE if is_huge else mmap.MADV_NOHUGEPAGE
        memory.madvise(advice, 0, size + HUGE)
        rig = Rig(stack, "touch.bin64", system=bench.system)
        rig.machine.vm.set_memory_slot(SLOT, BENCH_FRESH, size, address + start)
        rig.operand(BENCH_FRESH | logarithm)

        def measure(count: int) -> Sample:
            total, exits, rounds = Histogram(), 0.0, 0
            while total.count < count:
                memory.madvise(mmap.MADV_DONTNEED, start, size)
                sample = rig.turns(min(pages, count - total.count), warm_up=0)
                total.merge(sample.total)
                exits += sample.exits or 0.0
                rounds += 1
            return Sample(total, exits=exits / rounds or None)

        return measure

    return set_up


def _offers_huge() -> bool:
    """Whether the host gives huge pages to memory that asks for them."""
    try:
        return "[never]" not in HUGE_PAGES.read_text(encoding="ascii")
    except OSError:
        return False


KINDS = (
    Kind(
        "page-fault-4k",
        "first touch of a 4 KiB page",
        f"a write to memory that the host has not provided yet, 4 KiB pages; {BY_GUEST}",
        _touch(12),
        by_guest=True,
        instructions=0,
        needs=("long_mode",),
    ),
    Kind(
        "page-fault-2m",
        "first touch of a 2 MiB page",
        "a write to memory that the host has not provided yet, and is asked to provide in huge "
        f"pages; {BY_GUEST}",
        _touch(21),
        by_guest=True,
        instructions=0,
        needs=("long_mode",),
        most=64,
    ),
)
