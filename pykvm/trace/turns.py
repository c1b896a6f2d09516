"""From records of exits to the turns of the story."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.kvm.decode import exit_name
from pykvm.kvm.recorder import INTR
from pykvm.trace import lessons, story_words
from pykvm.trace.event import time_outside
from pykvm.trace.story import Line, Turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pykvm.debug.disasm import Instruction
    from pykvm.kvm.journal import Call
    from pykvm.kvm.recorder import Record
    from pykvm.trace.form import Devices
    from pykvm.trace.lessons import Lesson

CALLS_TOLD = 4
"""How many ioctls are told between two entries."""


def tell_turns(
    records: Sequence[Record],
    instructions: Sequence[Instruction | None],
    calls: Sequence[Call],
    *,
    ns: Callable[[int], int],
    tick_of: Callable[[Call], int],
    device: Devices,
) -> tuple[Turn, ...]:
    """A turn for each record.

    Args:
        records: the exits, in order.
        instructions: what made each; None where that is not known.
        calls: ioctls while it ran, in order.
        ns: from ticks to a duration in ns.
        tick_of: when a call began, in ticks.
        device: tells which device an access is for.
    """
    entries = _next_entries(records)
    between = _calls_between(records, calls, tick_of)
    teller = _Teller(device)
    turns = []
    for i, record in enumerate(records):
        entry, outside = entries[i], None
        if entry is not None:
            outside = ns(time_outside(record, entry))
        lines = teller.lines(record, instructions[i], between[i], is_last=entry is None)
        turns.append(
            Turn(
                i + 1,
                record.vcpu,
                record.handled != 0,
                story_words.action_word(record, instructions[i]),
                max(ns(record.left - record.entered), 0),
                outside,
                tuple(lines),
                (record.reason, record.is_write, record.address, record.handled, record.rip),
                story_words.kind_words(record, device),
            )
        )
    return tuple(turns)


def _next_entries(records: Sequence[Record]) -> list[Record | None]:
    """For each record the next one of the same processor."""
    following: dict[int, Record] = {}
    found: list[Record | None] = []
    for record in reversed(records):
        found.append(following.get(record.vcpu))
        following[record.vcpu] = record
    return found[::-1]


def _calls_between(
    records: Sequence[Record], calls: Sequence[Call], tick_of: Callable[[Call], int]
) -> list[list[Call]]:
    """The calls after each exit and before the next one."""
    between: list[list[Call]] = [[] for _ in records]
    at = 0
    for call in calls:
        tick = tick_of(call)
        while at + 1 < len(records) and records[at + 1].left <= tick:
            at += 1
        if records and records[at].left <= tick:
            between[at].append(call)
    return between


class _Teller:
    """Tells turns in order, and teaches each thing when it first comes."""

    def __init__(self, device: Devices) -> None:
        self._device = device
        self._known: set[object] = set()

    def lines(
        self,
        record: Record,
        instruction: Instruction | None,
        calls: Sequence[Call],
        *,
        is_last: bool,
    ) -> Iterator[Line]:
        """What happens in one turn."""
        yield from self._once("enter", Line("user", "ioctl(vcpu, KVM_RUN)", lessons.ENTER))
        if record.reason != INTR:
            words = story_words.instruction_words(record, instruction)
            lesson = None if instruction is None else self._teach("guest", lessons.GUEST)
            yield Line("guest", words, lesson)
        reason = exit_name(record.reason)
        lesson = lessons.exit_lesson(reason, is_write=record.is_write)
        yield Line(
            "kernel",
            story_words.exit_words(record, self._device),
            self._teach(("exit", reason, record.is_write), lesson),
        )
        if record.count:
            lesson = lessons.handler_lesson(record.handled)
            words = story_words.handler_words(record, self._device)
            yield Line("user", words, self._teach(("handled", record.handled), lesson))
        yield from self._calls(calls)
        if record.count and not is_last:
            words = "ioctl(vcpu, KVM_RUN), once more"
            yield from self._once("again", Line("user", words, lessons.AGAIN))

    def _calls(self, calls: Sequence[Call]) -> Iterator[Line]:
        for call in calls[:CALLS_TOLD]:
            words = f"{story_words.call_text(call)}: {story_words.duration(call.ns)}"
            detail = story_words.call_words(call)
            if detail:
                words += f", {detail}"
            lesson = lessons.call_lesson(call.name, running=True)
            yield Line("user", words, self._teach(call.name, lesson))
        rest = calls[CALLS_TOLD:]
        if rest:
            names = ", ".join(dict.fromkeys(call.name for call in rest))
            yield Line("user", f"and {story_words.plural(len(rest), 'ioctl')} more: {names}")

    def _teach(self, key: object, lesson: Lesson) -> Lesson | None:
        if key in self._known:
            return None
        self._known.add(key)
        return lesson

    def _once(self, key: object, line: Line) -> Iterator[Line]:
        if key not in self._known:
            self._known.add(key)
            yield line
