"""The story of a run: from the journal of ioctls and the records of exits to what is told.

Pure: what is printed, and drawn, is decided here; `story_text` and `story_html` only lay it out.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from pykvm.kvm.recorder import INTR
from pykvm.trace import lessons, story_words
from pykvm.trace.lessons import Lesson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pykvm.kvm.journal import Call
    from pykvm.kvm.recorder import Record

ALIKE = 2
"""How many exits of one instruction are told in full."""

AKIN = 6
"""How many exits of one kind, whatever the instruction, are told in full."""

TOLD = 60
"""How many exits are told in full at all, unless all are asked for."""

DRAWN = 8
"""How many turns the picture shows at the most."""


class Step(NamedTuple):
    """One call that set the machine up, or several of one name in a row.

    Attributes:
        call: the call as it is written in C, without its plumbing.
        words: its arguments and result in words; empty where there is nothing to add.
        lesson: what is taught; None where it was before.
        ns: how long it took, all of them together.
        times: how many.
    """

    call: str
    words: str
    lesson: Lesson | None
    ns: int
    times: int


class Line(NamedTuple):
    """One thing within a turn.

    Attributes:
        mode: who acts: "user", "kernel" or "guest".
        words: what happens.
        lesson: what is taught; None where it was before.
    """

    mode: str
    words: str
    lesson: Lesson | None = None


class Turn(NamedTuple):
    """One turn of the loop: into the guest, out of it, and what was done about it.

    Attributes:
        number: counted from 1, over all processors.
        processor: whose.
        by_c: whether C answered.
        action: what it was about, in a word: the instruction's mnemonic, or "signal".
        inside_ns: time in KVM_RUN: kernel and guest.
        outside_ns: time in userspace until the next KVM_RUN; None at the end.
        lines: what happened.
        alike: what makes two turns the same to a reader.
        kind: the same in words, for several of them.
    """

    number: int
    processor: int
    by_c: bool
    action: str
    inside_ns: int
    outside_ns: int | None
    lines: tuple[Line, ...]
    alike: tuple[int, ...]
    kind: str


class Fold(NamedTuple):
    """Turns that are like others.

    Attributes:
        first, last: their numbers.
        kinds: how many there are of each kind, in words, most first.
        inside_ns, outside_ns: all times together.
    """

    first: int
    last: int
    kinds: tuple[tuple[str, int], ...]
    inside_ns: int
    outside_ns: int

    @property
    def turns(self) -> int:
        """How many there are."""
        return sum(count for _, count in self.kinds)


class Totals(NamedTuple):
    """The run in numbers.

    Attributes:
        exits: how often KVM_RUN returned for the guest's sake.
        interruptions: how often for a signal's.
        by_c: how many exits C answered.
        inside_ns, outside_ns: time in KVM_RUN, and between two of them.
    """

    exits: int
    interruptions: int
    by_c: int
    inside_ns: int
    outside_ns: int


class Story(NamedTuple):
    """What is told.

    Attributes:
        title: the guest's name.
        facts: what it ran on, each a phrase.
        setup: how the machine was made.
        run: the turns, and folds of those that are like others.
        drawn: the turns in the picture.
        totals: the run in numbers.
        hidden: what KVM counted and nobody saw, in sentences.
        end: how it ended, in sentences.
        output: what the guest sent, as text; None if nothing.
        processors: how many the machine has.
    """

    title: str
    facts: tuple[str, ...]
    setup: tuple[Step, ...]
    run: tuple[Turn | Fold, ...]
    drawn: tuple[Turn, ...]
    totals: Totals
    hidden: tuple[str, ...]
    end: tuple[str, ...]
    output: str | None
    processors: int = 1


def tell_setup(calls: Sequence[Call]) -> tuple[Step, ...]:
    """The calls that made the machine, those of one name in a row as one."""
    groups: list[list[Call]] = []
    for call in calls:
        if groups and groups[-1][0].name == call.name:
            groups[-1].append(call)
        else:
            groups.append([call])
    known: set[str] = set()
    steps = []
    for group in groups:
        name = group[0].name
        lesson = None if name in known else lessons.call_lesson(name)
        known.add(name)
        words = dict.fromkeys(story_words.call_words(call) for call in group)
        steps.append(
            Step(
                story_words.call_text(group[0]),
                "; ".join(filter(None, words)),
                lesson,
                sum(call.ns for call in group),
                len(group),
            )
        )
    return tuple(steps)


def fold(turns: Sequence[Turn], *, full: bool = False) -> tuple[Turn | Fold, ...]:
    """Leave turns out that are like others before them, but say that they were there.

    Kept are the first two of an instruction, the first six of a kind, one signal, and the last of
    all.

    Args:
        turns: all of them.
        full: keep all.
    """
    if full:
        return tuple(turns)
    same: Counter[tuple[int, ...]] = Counter()
    akin: Counter[tuple[int, ...]] = Counter()
    kept: list[Turn | Fold] = []
    hidden: list[Turn] = []
    told = 0
    for turn in turns:
        loose = turn.alike[:-1]
        alike = 1 if turn.alike[0] == INTR else ALIKE
        is_new = same[turn.alike] < alike and akin[loose] < AKIN and told < TOLD
        if not is_new and turn is not turns[-1]:
            hidden.append(turn)
            continue
        kept += _folded(hidden)
        hidden = []
        kept.append(turn)
        told += 1
        same[turn.alike] += 1
        akin[loose] += 1
    return tuple(kept)


def _folded(hidden: Sequence[Turn]) -> Sequence[Turn | Fold]:
    if len(hidden) < 2:
        return hidden
    kinds = Counter(turn.kind for turn in hidden)
    return [
        Fold(
            hidden[0].number,
            hidden[-1].number,
            tuple(kinds.most_common()),
            sum(turn.inside_ns for turn in hidden),
            sum(turn.outside_ns or 0 for turn in hidden),
        )
    ]


def to_draw(turns: Sequence[Turn]) -> tuple[Turn, ...]:
    """The first few turns in a row, of one processor, of which none takes 3/4 of the time."""
    own = [turn for turn in turns if turn.processor == turns[0].processor]
    for start in range(len(own)):
        window = own[start : start + DRAWN]
        lengths = [length_of(turn) for turn in window]
        if len(window) > 1 and 4 * max(lengths) <= 3 * sum(lengths):
            return tuple(window)
    return tuple(own[:DRAWN])


def length_of(turn: Turn) -> int:
    """How long a turn took, in ns."""
    return turn.inside_ns + (turn.outside_ns or 0)


def add_up(records: Sequence[Record], turns: Sequence[Turn]) -> Totals:
    """The run in numbers."""
    interruptions = sum(record.reason == INTR for record in records)
    return Totals(
        len(records) - interruptions,
        interruptions,
        sum(record.handled != 0 for record in records),
        sum(turn.inside_ns for turn in turns),
        sum(turn.outside_ns or 0 for turn in turns),
    )


def tell_hidden(counts: Mapping[str, int], totals: Totals) -> tuple[str, ...]:
    """What KVM's own counts say of exits that it handled itself.

    Args:
        counts: KVM's statistics of the processors, added up, by name; empty if it has none.
        totals: the run in numbers.
    """
    return story_words.hidden_words(counts, totals.exits, totals.interruptions)


def entries(setup: Sequence[Call]) -> list[int]:
    """The linear addresses at which processors were set to begin, as far as calls tell them."""
    base, found = 0, []
    for call in setup:
        if call.name == "KVM_SET_SREGS":
            is_wide = bool(call.fields["efer"]) and bool(call.fields["cs.l"])
            base = 0 if is_wide else int(call.fields["cs.base"])
        elif call.name == "KVM_SET_REGS":
            found.append(base + int(call.fields["rip"]))
    return found
