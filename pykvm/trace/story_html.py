"""A story as a page for a browser: one file, no script, light or dark as its reader has it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from pykvm.trace import lessons
from pykvm.trace.story import Turn, length_of
from pykvm.trace.story_picture import picture
from pykvm.trace.story_style import STYLE
from pykvm.trace.story_text import fold_words, run_words, times_words, turn_words
from pykvm.trace.story_words import duration, plural

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykvm.trace.lessons import Lesson
    from pykvm.trace.story import Fold, Line, Step, Story

SEEN = 1.0
"""Percent of the longest time below which a bar would be a dot."""


def as_html(story: Story) -> str:
    """The page.  All that comes from the guest, or names a file, is escaped."""
    title = escape(story.title)
    return "\n".join(
        (
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}: what KVM did</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            "<main>",
            f"<h1>{title}, step by step</h1>",
            *_introduction(story),
            *_setup(story),
            *_run(story),
            *_rest(story),
            "</main>",
            "</body>",
            "</html>",
            "",
        )
    )


def _introduction(story: Story) -> Iterator[str]:
    yield "<p>A processor with virtualization works in one of three modes:</p>"
    yield '<dl class="modes">'
    for mode, what in lessons.MODES.items():
        yield f'<div class="{mode}"><dt>{mode}</dt><dd>{escape(what)}</dd></div>'
    yield "</dl>"
    yield f"<p>{escape(lessons.ONE_LANE)}</p>"
    yield f'<p class="facts">{escape("; ".join(story.facts))}.</p>'


def _setup(story: Story) -> Iterator[str]:
    total = sum(step.ns for step in story.setup)
    calls = sum(step.times for step in story.setup)
    yield f"<h2>1. Making the machine: {plural(calls, 'call')}, {duration(total)}</h2>"
    longest = max((step.ns for step in story.setup), default=0)
    yield '<ol class="setup">'
    for step in story.setup:
        yield from _step(step, longest)
    yield "</ol>"
    yield f"<p>{escape(lessons.LOADING)}</p>"


def _step(step: Step, longest: int) -> Iterator[str]:
    times = "" if step.times == 1 else f" {step.times} times"
    share = 100 * step.ns / longest if longest else 0
    yield f'<li><div class="call"><span><code>{escape(step.call)}</code>{times}</span>'
    yield f'<span class="time">{duration(step.ns)}</span></div>'
    if share >= SEEN:
        yield f'<div class="bar" style="width: {share:.2f}%"></div>'
    if step.words:
        yield f"<div>{escape(step.words)}</div>"
    yield from _lesson(step.lesson)
    yield "</li>"


def _run(story: Story) -> Iterator[str]:
    yield f"<h2>2. Running the guest: {run_words(story)}</h2>"
    if story.drawn:
        yield from _figure(story)
    for part in story.run:
        yield from _turn(part, story) if isinstance(part, Turn) else _fold(part)


def _figure(story: Story) -> Iterator[str]:
    first, last = story.drawn[0], story.drawn[-1]
    which = f"Turn {first.number}" if first is last else f"Turns {first.number} to {last.number}"
    whose = f" (those of processor {first.processor})" if story.processors > 1 else ""
    total = sum(length_of(turn) for turn in story.drawn)
    yield '<figure><div class="scroll">'
    yield picture(story.drawn)
    yield "</div><figcaption>"
    yield (
        f"{which}{whose}, {duration(total)}, drawn to scale. The tall blocks are calls of KVM_RUN: "
        "they span two lanes, since how the kernel and the guest share them is not known. Between "
        "them pykvm answers, dark where Python does and light where the C loop does; that is often "
        "so short that a thin line must mark it."
    )
    yield "</figcaption></figure>"


def _turn(turn: Turn, story: Story) -> Iterator[str]:
    yield '<section class="turn">'
    yield f"<h3>{turn_words(turn, story)} <span>{times_words(turn)}</span></h3>"
    for line in turn.lines:
        yield from _line(line)
    yield "</section>"


def _line(line: Line) -> Iterator[str]:
    words = escape(line.words)
    if line.mode == "guest" or line.words.startswith("ioctl("):
        words = f"<code>{words}</code>"
    yield f'<div class="line {line.mode}"><b>{line.mode}</b> {words}'
    yield from _lesson(line.lesson)
    yield "</div>"


def _fold(fold: Fold) -> Iterator[str]:
    times = f"kernel + guest {duration(fold.inside_ns)}, user {duration(fold.outside_ns)}"
    yield '<section class="fold">'
    yield f"<h3>{fold_words(fold)} <span>{times}</span></h3>"
    yield "<ul>"
    for kind, count in fold.kinds:
        yield f"<li>{count} &#215; {escape(kind)}</li>"
    yield "</ul></section>"


def _rest(story: Story) -> Iterator[str]:
    yield "<h2>3. What was not seen</h2>"
    yield f"<p>{escape(' '.join(story.hidden))}</p>"
    yield from _lesson(lessons.HIDDEN)
    yield "<h2>4. The end</h2>"
    yield f"<p>{escape(' '.join(story.end))}</p>"
    if story.output is not None:
        yield "<p>The guest printed:</p>"
        yield f"<pre>{escape(story.output)}</pre>"


def _lesson(lesson: Lesson | None) -> Iterator[str]:
    if lesson is not None:
        section = f" <cite>KVM API {lesson.section}</cite>" if lesson.section else ""
        yield f'<p class="lesson">{escape(lesson.why)}{section}</p>'
