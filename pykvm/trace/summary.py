"""What the exits of a run cost together: by reason, by what was accessed, by instruction."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from pykvm.kvm.decode import reason_name
from pykvm.trace import words
from pykvm.trace.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykvm.trace.event import Event
    from pykvm.trace.form import Subject

MOST_GROUPS = 4096
"""Groups of a kind that are told apart; the guest could make more than there is memory for."""

SHOWN = 30
ELSEWHERE = "(all others)"
NOT_FOUND = "(not found)"

_LINE = "{:>9} {:>6} {:>9} {:>9} {:>9} {:>9}  {}\n"
_HEAD = "{:>9} {:>6} {:>19} {:>19}\n".format("", "", "guest+KVM/ns", "userspace/ns") + _LINE.format(
    "count", "share", "p50", "p99", "p50", "p99", "{}"
)
_COUNT_LINE = "{:>9}  {}\n"


class Row(NamedTuple):
    """One group of exits; times in ns, and all that is of time None where exits have none.

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
    share: float | None = None
    inside_p50: int | None = None
    inside_p99: int | None = None
    outside_p50: int | None = None
    outside_p99: int | None = None

    @property
    def known(self) -> dict[str, object]:
        """What is not None, by name."""
        return {name: value for name, value in self._asdict().items() if value is not None}


class _Group:
    __slots__ = ("count", "inside", "outside")

    def __init__(self) -> None:
        self.count = 0
        self.inside = Histogram()
        self.outside = Histogram()

    @property
    def total(self) -> int:
        return self.inside.total + self.outside.total

    @property
    def rank(self) -> tuple[int, int]:
        """How much it matters: by time if there are times, else by how many exits."""
        return self.total, self.count


class Summary:
    """Takes events and tells, at the end, what they cost together.

    Args:
        subject: what they are of.
        as_json: an object a line, instead of tables.
    """

    def __init__(self, subject: Subject, *, as_json: bool = False) -> None:
        self._what, self._clock = subject
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
            return "".join(f"{json.dumps(row.known)}\n" for row in self.rows())
        rows = self.rows()
        tables = "".join(self._table(k, [r for r in rows if r.kind == k]) for k in self._groups)
        clock, what = self._clock, f"{self._all.count} {self._what}"
        if clock is None:
            return f"{what}, without times\n{tables}"
        return (
            f"{what}: "
            f"{clock.ns(self._all.inside.total) / 1e6:.3f} ms in guest and KVM, "
            f"{clock.ns(self._all.outside.total) / 1e6:.3f} ms in userspace\n"
            f"{tables}"
            f"(TSC at {clock.khz / 1000:.3f} MHz by {clock.source})\n"
        )

    def rows(self) -> list[Row]:
        """All groups, of each kind the most expensive first."""
        rows = []
        for kind, groups in self._groups.items():
            ordered = sorted(groups.items(), key=lambda item: item[1].rank, reverse=True)
            rows += [self._row(kind, name, group) for name, group in ordered]
        return rows

    def _table(self, kind: str, rows: list[Row]) -> str:
        """The rows of a kind; empty if there are none."""
        if not rows:
            return ""
        line, head = _line, _HEAD.format(f"by {kind}")
        if self._clock is None:
            line, head = _count_line, _COUNT_LINE.format("count", f"by {kind}")
        text = "\n" + head + "".join(map(line, rows[:SHOWN]))
        if len(rows) > SHOWN:
            rest = rows[SHOWN:]
            share = "" if self._clock is None else f"{sum(r.share or 0 for r in rest):.1%}".rjust(7)
            text += f"{sum(row.count for row in rest):>9}{share}  {len(rest)} more\n"
        return text

    def _group(self, kind: str, name: str) -> _Group:
        groups = self._groups[kind]
        if name not in groups:
            if len(groups) >= MOST_GROUPS:
                name = ELSEWHERE
            groups.setdefault(name, _Group())
        return groups[name]

    def _row(self, kind: str, name: str, group: _Group) -> Row:
        if self._clock is None:
            return Row(kind, name, group.count)
        ns = self._clock.ns
        inside, outside = group.inside, group.outside
        return Row(
            kind=kind,
            name=name,
            count=group.count,
            share=group.total / self._all.total if self._all.total else 0.0,
            inside_p50=ns(inside.percentile(50)),
            inside_p99=ns(inside.percentile(99)),
            outside_p50=ns(outside.percentile(50)),
            outside_p99=ns(outside.percentile(99)),
        )


def _count(event: Event, group: _Group) -> None:
    group.count += 1
    if event.times is None:
        return
    group.inside.add(event.times.inside)
    if event.times.outside is not None:
        group.outside.add(event.times.outside)


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


def _count_line(row: Row) -> str:
    return _COUNT_LINE.format(row.count, row.name)
