"""What the exits of a run cost together: by reason, by what was accessed, by instruction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from pykvm.kvm.decode import reason_name
from pykvm.trace import words
from pykvm.trace.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykvm.kvm.tsc import TscClock
    from pykvm.trace.event import Event

MOST_GROUPS = 4096
"""Groups of a kind that are told apart; the guest could make more than there is memory for."""

SHOWN = 30
ELSEWHERE = "(all others)"
NOT_FOUND = "(not found)"

_LINE = "{:>9} {:>6} {:>9} {:>9} {:>9} {:>9}  {}\n"
_HEAD = "{:>9} {:>6} {:>19} {:>19}\n".format("", "", "guest+KVM/ns", "userspace/ns") + _LINE.format(
    "count", "share", "p50", "p99", "p50", "p99", "{}"
)


class Row(NamedTuple):
    """One group of exits; times in ns.

    Attributes:
        kind: "exit", "access" or "instruction": what it was grouped by.
        name: the group.
        count: how many exits.
        share: their part of all time, in guest, kernel and userspace, 0 to 1.
        inside_p50, inside_p99, outside_p50, outside_p99: percentiles, to less than 1 %.
    """

    kind: str
    name: str
    # a tuple's method of that name gives way
    count: int  # type: ignore[assignment]
    share: float
    inside_p50: int
    inside_p99: int
    outside_p50: int
    outside_p99: int


class _Group:
    __slots__ = ("inside", "outside")

    def __init__(self) -> None:
        self.inside = Histogram()
        self.outside = Histogram()

    @property
    def total(self) -> int:
        return self.inside.total + self.outside.total


class Summary:
    """Takes events and tells, at the end, what they cost together.

    Args:
        clock: how fast the TSC ticks.
        as_json: an object a line, instead of tables.
    """

    def __init__(self, clock: TscClock, *, as_json: bool = False) -> None:
        self._clock = clock
        self._as_json = as_json
        self._all = _Group()
        self._groups: dict[str, dict[str, _Group]] = {"exit": {}, "access": {}, "instruction": {}}

    def begin(self) -> str:
        """Nothing."""
        return ""

    def events(self, events: Iterable[Event]) -> str:
        """Count them; nothing to write yet."""
        for event in events:
            _count(event, self._all)
            record = event.record
            _count(event, self._group("exit", reason_name(record.reason)))
            if record.size:
                _count(event, self._group("access", words.target(record)))
            _count(event, self._group("instruction", _where(event)))
        return ""

    def end(self) -> str:
        """The tables."""
        if self._as_json:
            return "".join(f"{json.dumps(row._asdict())}\n" for row in self.rows())
        ns = self._clock.ns
        text = (
            f"{self._all.inside.count} returns of KVM_RUN: "
            f"{ns(self._all.inside.total) / 1e6:.3f} ms in guest and KVM, "
            f"{ns(self._all.outside.total) / 1e6:.3f} ms in userspace\n"
        )
        rows = self.rows()
        for kind in self._groups:
            mine = [row for row in rows if row.kind == kind]
            if mine:
                text += f"\n{_HEAD.format(f'by {kind}')}"
                text += "".join(map(_line, mine[:SHOWN]))
            if len(mine) > SHOWN:
                rest = mine[SHOWN:]
                share = sum(row.share for row in rest)
                count = sum(row.count for row in rest)
                text += f"{count:>9} {share:>6.1%}  {len(rest)} more\n"
        return f"{text}(TSC at {self._clock.khz / 1000:.3f} MHz by {self._clock.source})\n"

    def rows(self) -> list[Row]:
        """All groups, of each kind the most expensive first."""
        rows = []
        for kind, groups in self._groups.items():
            ordered = sorted(groups.items(), key=lambda item: item[1].total, reverse=True)
            rows += [self._row(kind, name, group) for name, group in ordered]
        return rows

    def _group(self, kind: str, name: str) -> _Group:
        groups = self._groups[kind]
        if name not in groups:
            if len(groups) >= MOST_GROUPS:
                name = ELSEWHERE
            groups.setdefault(name, _Group())
        return groups[name]

    def _row(self, kind: str, name: str, group: _Group) -> Row:
        ns = self._clock.ns
        inside, outside = group.inside, group.outside
        return Row(
            kind=kind,
            name=name,
            count=inside.count,
            share=group.total / self._all.total if self._all.total else 0.0,
            inside_p50=ns(inside.percentile(50)),
            inside_p99=ns(inside.percentile(99)),
            outside_p50=ns(outside.percentile(50)),
            outside_p99=ns(outside.percentile(99)),
        )


def _count(event: Event, group: _Group) -> None:
    group.inside.add(event.inside)
    if event.outside is not None:
        group.outside.add(event.outside)


def _where(event: Event) -> str:
    if event.place is None:
        return NOT_FOUND
    return f"{words.location(event.place)}  {event.place.instruction.text}"


def _line(row: Row) -> str:
    return _LINE.format(
        row.count,
        f"{row.share:.1%}",
        row.inside_p50,
        row.inside_p99,
        row.outside_p50,
        row.outside_p99,
        row.name,
    )
