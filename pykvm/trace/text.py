"""Events as a table for people, line by line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.kvm.decode import exit_name
from pykvm.trace import words
from pykvm.trace.form import Timed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pykvm.trace.event import Event

_LINE = "{:>12} {:>3} {:<8} {:<28} {:<12} {:>13} {:>9} {:<10} {:<10} {}\n"
HEAD = _LINE.format(
    "time/us",
    "cpu",
    "exit",
    "what",
    "device",
    "guest+KVM/ns",
    "user/ns",
    "by",
    "address",
    "instruction",
)


class TextFormat(Timed):
    """A table, a line an exit."""

    def begin(self) -> str:
        """The table's head."""
        return HEAD

    def events(self, events: Iterable[Event]) -> str:
        """Lines."""
        return "".join(map(self._line, events))

    def end(self) -> str:
        """What is below the table: whose word the times are."""
        return f"(TSC at {self._clock.khz / 1000:.3f} MHz by {self._clock.source})\n"

    def _line(self, event: Event) -> str:
        record, place = event.record, event.place
        ns = self._clock.ns
        outside = "" if event.outside is None else ns(event.outside)
        where = "" if place is None else f"{place.instruction.address:08x}"
        text = "" if place is None else place.instruction.text
        if place is not None and place.symbol is not None:
            text = f"{text:<24} <{place.symbol}>"
        exit, what, by = exit_name(record.reason), words.access(record), words.handler(record)
        if event.changes is not None:
            exit, by = "step", ""
            what = words.registers(event.changes, record.code_width)
        return (
            _LINE.format(
                f"{self._time(record.left) / 1000:.1f}",
                record.vcpu,
                exit,
                what,
                self._device(record) or "",
                ns(event.inside),
                outside,
                by,
                where,
                text,
            ).rstrip(" \n")
            + "\n"
        )
