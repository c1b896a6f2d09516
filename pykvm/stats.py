"""What a machine's run cost: exits and times."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from pykvm.bus import UNCLAIMED_KEPT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykvm.cpu.protocol import Cpu


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """Accesses to one address, or MSR, that no device claimed."""

    bus: str
    address: int
    is_write: bool
    count: int


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts and times since the machine was made.

    Attributes:
        exits: by reason, named as in the KVM API document ("KVM_EXIT_IO"); all of them, those
            that C answered included.
        ports: I/O exits by port; empty unless the machine was made with `stats`.
        inside_ns: time in KVM_RUN, guest and kernel together; 0 unless made with `stats`.
            With several processors it is the sum of theirs, as is `outside_ns`.
        outside_ns: time of `Machine.run` outside of it, C and Python together.
        unclaimed: accesses that no device claimed, by address.
        unclaimed_elsewhere: how many more there were, at addresses too many to list.
    """

    exits: dict[str, int]
    ports: dict[int, int]
    inside_ns: int
    outside_ns: int
    unclaimed: tuple[Unclaimed, ...]
    unclaimed_elsewhere: int

    @property
    def total_exits(self) -> int:
        """All exits."""
        return sum(self.exits.values())


class Space(Protocol):
    """Where a guest may ask for what is not there: a bus, or the MSRs."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def unclaimed(self) -> Counter[tuple[bool, int]]:
        """How often nobody answered, by (is_write, address)."""

    @property
    def unclaimed_elsewhere(self) -> int:
        """How often nobody answered at further addresses."""


def collect(cpus: Iterable[Cpu], spaces: Iterable[Space], run_ns: int) -> Stats:
    """Add up what the processors and buses have counted in `run_ns` ns of running."""
    spaces = list(spaces)
    exits: Counter[str] = Counter()
    by_port: Counter[int] = Counter()
    inside = total = 0
    for cpu in cpus:
        total += run_ns
        counts = cpu.counts
        exits.update(counts.exits)
        by_port.update(counts.ports)
        inside += counts.inside_ns
    unclaimed = tuple(
        Unclaimed(space.name, address, is_write, count)
        for space in spaces
        for (is_write, address), count in sorted(space.unclaimed.items())
    )
    return Stats(
        exits=dict(exits.most_common()),
        ports=dict(by_port.most_common()),
        inside_ns=inside,
        outside_ns=total - inside if inside else 0,
        unclaimed=unclaimed,
        unclaimed_elsewhere=sum(space.unclaimed_elsewhere for space in spaces),
    )


def add(first: Stats, second: Stats) -> Stats:
    """The stats of two machines together; of their unclaimed accesses, the first 4096 of a space
    are listed."""
    exits, ports = Counter(first.exits), Counter(first.ports)
    exits.update(second.exits)
    ports.update(second.ports)
    kept: Counter[str] = Counter()
    counts: dict[tuple[str, bool, int], int] = {}
    elsewhere = first.unclaimed_elsewhere + second.unclaimed_elsewhere
    for u in (*first.unclaimed, *second.unclaimed):
        key = (u.bus, u.is_write, u.address)
        if key in counts:
            counts[key] += u.count
        elif kept[u.bus] < UNCLAIMED_KEPT:
            kept[u.bus] += 1
            counts[key] = u.count
        else:
            elsewhere += u.count
    return Stats(
        exits=dict(exits.most_common()),
        ports=dict(ports.most_common()),
        inside_ns=first.inside_ns + second.inside_ns,
        outside_ns=first.outside_ns + second.outside_ns,
        unclaimed=tuple(
            Unclaimed(bus, address, is_write, count)
            for (bus, is_write, address), count in counts.items()
        ),
        unclaimed_elsewhere=elsewhere,
    )
