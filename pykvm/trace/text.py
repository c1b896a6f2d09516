"""Events as a table for people, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pykvm.kvm.decode import exit_name
from pykvm.trace import words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykvm.trace.event import Event
    from pykvm.trace.form import Devices, Subject


class Layout(NamedTuple):
    """Which columns there are, and how wide.

    Attributes:
        columns: a name and a width of each, below 0 for what stands at the left; behind them is
            the instruction.
        heads: what is above columns with another head than their name.
    """

    columns: tuple[tuple[str, int], ...]
    heads: dict[str, str]

    @property
    def width(self) -> int:
        """Where the instruction begins."""
        return sum(abs(width) + 1 for _, width in self.columns)

    def without(self, names: frozenset[str]) -> Layout:
        """The same without some columns."""
        return self._replace(columns=tuple(c for c in self.columns if c[0] not in names))

    def line(self, cells: dict[str, str], *, width: int | None) -> str:
        """A line; cut to `width` columns, and each cell to its own, unless that is None."""
        shown = []
        for name, room in self.columns:
            cell = cells[name] if width is None else cells[name][: abs(room)]
            shown.append(f"{cell:<{-room}}" if room < 0 else f"{cell:>{room}}")
        text = " ".join([*shown, cells["instruction"]])
        return text[:width].rstrip() + "\n"

    @property
    def head(self) -> dict[str, str]:
        """The cells of the first line."""
        names = [*(name for name, _ in self.columns), "instruction"]
        return {name: self.heads.get(name, name) for name in names}


FULL = Layout(
    (
        ("time/us", 12),
        ("cpu", 3),
        ("exit", -8),
        ("what", -28),
        ("device", -12),
        ("guest+KVM/ns", 13),
        ("user/ns", 9),
        ("by", -10),
        ("address", -10),
    ),
    {},
)
MIDDLE = FULL.without(frozenset(["device"]))
NARROW = Layout(
    (
        ("time/us", 9),
        ("cpu", 3),
        ("what", -20),
        ("guest+KVM/ns", 9),
        ("user/ns", 7),
        ("address", -8),
    ),
    {"guest+KVM/ns": "KVM/ns"},
)

TIMES = frozenset(["time/us", "guest+KVM/ns", "user/ns"])
"""The columns that tell of times."""

INSTRUCTION = 18
"""How much room for the instruction a layout must leave to be chosen."""


class TextFormat:
    """A table, a line an exit.

    Args:
        subject: what it is of; without a clock there are no columns for times, and a line above the
            table says so.
        device: tells which device an access is for.
        width: how many columns there are; columns are left out and lines cut off to fit.  None
            for as many as it takes.
    """

    def __init__(self, subject: Subject, device: Devices, width: int | None = None) -> None:
        self._what, self._clock = subject
        self._device = device
        self._width = width
        hidden = TIMES if self._clock is None else frozenset[str]()
        full, middle, narrow = (one.without(hidden) for one in (FULL, MIDDLE, NARROW))
        self._layout = full
        if width is not None:
            fitting = (one for one in (full, middle) if one.width + INSTRUCTION <= width)
            self._layout = next(fitting, narrow)
        self._is_narrow = self._layout == narrow

    def begin(self) -> str:
        """The table's head."""
        head = self._layout.line(self._layout.head, width=self._width)
        return head if self._clock is not None else f"({self._what}, without times)\n{head}"

    def events(self, events: Iterable[Event]) -> str:
        """Lines."""
        return "".join(self._layout.line(self._cells(e), width=self._width) for e in events)

    def end(self) -> str:
        """What is below the table: whose word the times are."""
        if self._clock is None:
            return ""
        return f"(TSC at {self._clock.khz / 1000:.3f} MHz by {self._clock.source})\n"

    def _cells(self, event: Event) -> dict[str, str]:
        record, place = event.record, event.place
        text = "" if place is None else place.instruction.text
        if place is not None and place.symbol is not None:
            text = f"{text:<24} <{place.symbol}>"
        exit, what, by = exit_name(record.reason), words.access(record), words.handler(record)
        if event.changes is not None:
            exit, by = "step", ""
            what = words.registers(event.changes, record.code_width)
        return self._times(event) | {
            "cpu": str(record.vcpu),
            "exit": exit,
            "what": what if what or not self._is_narrow else exit,
            "device": self._device(record) or "",
            "by": by,
            "address": "" if place is None else f"{place.instruction.address:08x}",
            "instruction": text,
        }

    def _times(self, event: Event) -> dict[str, str]:
        times, clock = event.times, self._clock
        if times is None or clock is None:
            return {}
        return {
            "time/us": f"{clock.time(times.left) / 1000:.1f}",
            "guest+KVM/ns": str(clock.ns(times.inside)),
            "user/ns": "" if times.outside is None else str(clock.ns(times.outside)),
        }
