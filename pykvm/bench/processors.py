"""Which of the host's processors a benchmark runs on."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil

from pykvm.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

TOPOLOGY = Path("/sys/devices/system/cpu")


class Places(NamedTuple):
    """Where threads go.

    Attributes:
        first: the processor that measures.
        second: another one, on another core if there is one; None if there is no other.
    """

    first: int
    second: int | None


@contextmanager
def pinned(cpu: int | None) -> Iterator[Places]:
    """Hold this thread, and those that it starts, to one processor.

    Args:
        cpu: which; None for the last that the process may use, since the first ones have most of
            the host's interrupts.

    Raises:
        BenchError: the process may not use it.
    """
    process = psutil.Process()
    allowed: list[int] = process.cpu_affinity()
    places = choose(allowed, cpu)
    process.cpu_affinity([places.first])
    try:
        yield places
    finally:
        process.cpu_affinity(allowed)


def choose(allowed: Sequence[int], cpu: int | None, topology: Path = TOPOLOGY) -> Places:
    """The processors to use, of those `allowed`.

    Raises:
        BenchError: `cpu` is none of them.
    """
    if cpu is not None and cpu not in allowed:
        listed = ", ".join(map(str, allowed))
        raise BenchError(f"processor {cpu} is not one that this process may use: {listed}")
    first = allowed[-1] if cpu is None else cpu
    others = [other for other in allowed if other != first]
    siblings = _siblings(first, topology)
    others.sort(key=lambda other: (other in siblings, -other))
    return Places(first, others[0] if others else None)


def _siblings(cpu: int, topology: Path) -> set[int]:
    """The processors that share a core with `cpu`; none where the host does not tell."""
    path = topology / f"cpu{cpu}" / "topology" / "thread_siblings_list"
    found: set[int] = set()
    try:
        for part in path.read_text(encoding="ascii").split(","):
            low, _, high = part.strip().partition("-")
            found.update(range(int(low), int(high or low) + 1))
    except (OSError, ValueError):
        return set()
    return found
