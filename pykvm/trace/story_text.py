"""A story as plain text, for terminals and pipes."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pykvm.trace import lessons
from pykvm.trace.story import Fold, Turn
from pykvm.trace.story_words import duration, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykvm.trace.lessons import Lesson
    from pykvm.trace.story import Line, Step, Story

NARROWEST = 60
"""Columns below which lines are let run over."""

INDENT = 4
MODE_WIDTH = 8

BOLD, FAINT, PLAIN = "\x1b[1m", "\x1b[2m", "\x1b[0m"


def as_text(story: Story, *, width: int = 80, styled: bool = False) -> str:
    """The story, ending with a newline.

    Args:
        story: it.
        width: columns.
        styled: make headings bold and lessons faint, by ECMA-48's sequences.
    """
    return "".join(f"{line}\n" for line in _Writer(max(width, NARROWEST), styled).lines(story))


class _Writer:
    def __init__(self, width: int, styled: bool) -> None:
        self._width = width
        self._styled = styled

    def lines(self, story: Story) -> Iterator[str]:
        yield from self._heading(f"{story.title}, step by step", "=")
        yield from self._wrapped("; ".join(story.facts) + ".")
        yield ""
        yield from self._wrapped("A processor with virtualization works in one of three modes:")
        for mode, what in lessons.MODES.items():
            yield f"{' ' * INDENT}{mode:<{MODE_WIDTH}}{what}"
        yield from self._wrapped(lessons.ONE_LANE)
        yield ""
        total = sum(step.ns for step in story.setup)
        calls = sum(step.times for step in story.setup)
        yield from self._heading(
            f"1. Making the machine: {plural(calls, 'call')}, {duration(total)}"
        )
        for number, step in enumerate(story.setup, 1):
            yield from self._step(number, step)
        yield ""
        yield from self._wrapped(lessons.LOADING)
        yield ""
        yield from self._heading(f"2. Running the guest: {run_words(story)}")
        for part in story.run:
            yield from self._turn(part, story) if isinstance(part, Turn) else self._fold(part)
            yield ""
        yield from self._heading("3. What was not seen")
        yield from self._wrapped(" ".join(story.hidden))
        yield from self._lesson(lessons.HIDDEN, 0)
        yield ""
        yield from self._heading("4. The end")
        yield from self._wrapped(" ".join(story.end))
        if story.output is not None:
            yield ""
            yield "The guest printed:"
            yield from (f"    {line}" for line in story.output.splitlines())

    def _heading(self, words: str, rule: str = "-") -> Iterator[str]:
        lines = textwrap.wrap(words, self._width, break_on_hyphens=False)
        yield from (self._style(BOLD, line) for line in lines)
        yield rule * max(map(len, lines), default=0)
        yield ""

    def _step(self, number: int, step: Step) -> Iterator[str]:
        call = step.call if step.times == 1 else f"{step.call}, {step.times} times"
        yield from self._spread(f"{number:>2}  {call}", duration(step.ns))
        if step.words:
            yield from self._wrapped(f"-> {step.words}", INDENT, INDENT + 3)
        yield from self._lesson(step.lesson, INDENT)

    def _turn(self, turn: Turn, story: Story) -> Iterator[str]:
        yield from self._spread(turn_words(turn, story), times_words(turn), BOLD)
        for line in turn.lines:
            yield from self._line(line)

    def _line(self, line: Line) -> Iterator[str]:
        first = f"{' ' * INDENT}{line.mode:<{MODE_WIDTH}}"
        yield from textwrap.wrap(
            line.words,
            self._width,
            initial_indent=first,
            subsequent_indent=" " * (INDENT + MODE_WIDTH + 2),
            drop_whitespace=True,
            replace_whitespace=False,
            break_on_hyphens=False,
        )
        yield from self._lesson(line.lesson, INDENT + MODE_WIDTH)

    def _fold(self, fold: Fold) -> Iterator[str]:
        times = f"{duration(fold.inside_ns)}, then {duration(fold.outside_ns)}"
        yield from self._spread(fold_words(fold), times, BOLD)
        for kind, count in fold.kinds:
            yield from self._wrapped(f"{count:>6}  {kind}", INDENT, INDENT + MODE_WIDTH)

    def _lesson(self, lesson: Lesson | None, indent: int) -> Iterator[str]:
        if lesson is not None:
            section = f" (KVM API {lesson.section})" if lesson.section else ""
            for line in self._wrapped(lesson.why + section, indent, indent):
                yield self._style(FAINT, line)

    def _spread(self, left: str, right: str, style: str = "") -> Iterator[str]:
        """Two texts at both margins, on two lines where they do not fit on one."""
        if len(left) + 2 + len(right) > self._width:
            yield from (self._style(style, line) for line in self._wrapped(left, 0, INDENT))
            left = ""
        gap = self._width - len(left) - len(right)
        yield f"{self._style(style, left)}{' ' * gap}{right}"

    def _wrapped(self, words: str, first: int = 0, then: int = 0) -> Iterator[str]:
        yield from textwrap.wrap(
            words,
            self._width,
            initial_indent=" " * first,
            subsequent_indent=" " * then,
            break_on_hyphens=False,
        )

    def _style(self, style: str, words: str) -> str:
        return f"{style}{words}{PLAIN}" if self._styled and style and words.strip() else words


def run_words(story: Story) -> str:
    """The run in numbers, in words."""
    totals = story.totals
    return (
        f"{plural(totals.exits, 'exit')}, {duration(totals.inside_ns)} in kernel + guest, "
        f"{duration(totals.outside_ns)} in user"
    )


def turn_words(turn: Turn, story: Story) -> str:
    """Which turn it is, and whose where there is a choice."""
    whose = f", processor {turn.processor}" if story.processors > 1 else ""
    return f"turn {turn.number}{whose}"


def times_words(turn: Turn) -> str:
    """How long it took, as far as that can be told apart."""
    words = f"kernel + guest {duration(turn.inside_ns)}"
    return words if turn.outside_ns is None else f"{words}, then user {duration(turn.outside_ns)}"


def fold_words(fold: Fold) -> str:
    """Which turns are left out."""
    return f"turns {fold.first} to {fold.last}: {fold.turns} more like those before"
