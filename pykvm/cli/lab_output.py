"""What `pykvm lab` says."""

from __future__ import annotations

import sys
from textwrap import fill
from typing import TYPE_CHECKING, Any

from pykvm.cli.streams import say
from pykvm.labs.verdict import CANNOT, FAILED, NOT_TRIED, PASSED, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from pykvm.labs.catalogue import Lab
    from pykvm.labs.grading import Grade

WIDTH = 98
_MARKS = {PASSED: "ok", FAILED: "WRONG", NOT_TRIED: "-", CANNOT: "skip"}
_PRINTED_LINES = 8


def as_list(labs: Iterable[Lab]) -> str:
    """The course, a line and an idea each."""
    lines = []
    for lab in labs:
        lines += [f"{lab.number:>3}  {lab.title}  ({lab.minutes} minutes)", f"     {lab.idea}"]
    return "\n".join([*lines, "", "`pykvm lab start N` begins lab N.", ""])


def as_json_list(labs: Iterable[Lab]) -> str:
    """The same for programs."""
    import json

    members = ("number", "title", "idea", "minutes", "files", "needs")
    found = [{name: getattr(lab, name) for name in members} for lab in labs]
    return f"{json.dumps({'schema': 1, 'labs': found})}\n"


def started(lab: Lab, folder: Path, names: Sequence[str], obstacle: tuple[str, str] | None) -> str:
    """What a student does next."""
    lines = [
        f"Lab {lab.number}: {lab.title} ({lab.minutes} minutes)",
        f"  in {folder}: {', '.join(names)}",
        f"  read {folder / 'README.md'}, write {', '.join(lab.files)}, then: "
        f"pykvm lab check {folder}",
    ]
    if obstacle is not None:
        lines.append(f"  but it cannot be checked here: {obstacle[0]}")
        if obstacle[1]:
            lines.append(f"  instead: {obstacle[1]}")
    return "\n".join([*lines, ""])


class Live:
    """Shows a check as it goes on.

    Args:
        lab: which lab it is of.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        say(f"Lab {lab.number}: {lab.title}\n\n")

    def show(self, step: Outcome) -> None:
        """Show what came of one step."""
        say(as_step(step))

    def end(self, verdict: Verdict) -> None:
        """Say what came of it all."""
        say(as_end(self._lab, verdict))


def as_step(step: Outcome) -> str:
    """One line for a step that passed; for others also what to know."""
    lines = [f"  {_MARKS[step.outcome]:<5} {step.title}"]
    if step.outcome == FAILED:
        lines += [_wrap("why", step.why), _wrap("look", step.look)]
        printed = step.printed.rstrip().splitlines()[-_PRINTED_LINES:]
        if printed:
            lines.append("        your code printed, at the end:")
            lines += [f"          | {_plain(line[: WIDTH - 12])}" for line in printed]
    elif step.outcome == CANNOT:
        lines.append(_wrap("why", step.why))
        if step.look:
            lines.append(_wrap("instead", step.look))
    elif step.outcome == NOT_TRIED:
        lines[0] += f" ({step.why})"
    return "\n".join([*lines, ""])


def as_end(lab: Lab, verdict: Verdict) -> str:
    """The last lines of a check."""
    if verdict.cannot:
        lines = [_wrap("cannot be checked", verdict.cannot)]
        return "\n".join(
            [*lines, *([_wrap("instead", verdict.instead)] * bool(verdict.instead)), ""]
        )
    steps = len(verdict.steps)
    if verdict.passed:
        words = f"All {steps} steps pass: lab {lab.number} is done."
        if not verdict.complete:
            words = (
                f"{verdict.steps_passed} of {steps} steps pass, the others cannot be tried on this "
                f"host: lab {lab.number} is done here."
            )
        return f"\n{words}\n"
    return (
        f"\n{verdict.steps_passed} of {steps} steps pass. `pykvm lab hint {verdict.folder}` gives "
        f"a hint; --seed {verdict.seed} tries the same guests again.\n"
    )


def hint(hints: Sequence[str], shown: int) -> str:
    """The hint behind the first `shown`."""
    if shown >= len(hints):
        return f"There are no more than these {len(hints)} hints: --again shows them.\n"
    return f"Hint {shown + 1} of {len(hints)}: {hints[shown]}\n"


def hints_again(hints: Sequence[str], total: int) -> str:
    """Those that were shown before."""
    if not hints:
        return f"None of the {total} hints was shown yet.\n"
    return "\n".join(f"Hint {i} of {total}: {text}\n" for i, text in enumerate(hints, 1))


def as_grades(grades: Sequence[Grade]) -> str:
    """A line a submission, and their number."""
    width = max(len(grade.submission) for grade in grades)
    lines = [f"{grade.submission:<{width}}  {as_grade(grade)}" for grade in grades]
    right = sum(grade.passed for grade in grades)
    return "\n".join([*lines, f"{right} of {len(grades)} submissions pass", ""])


def as_grade(grade: Grade) -> str:
    """What came of one submission, one line."""
    verdict = grade.verdict
    if verdict is None or verdict.cannot:
        return f"not judged: {_plain(grade.error)}"
    count = f"lab {verdict.lab}: {verdict.steps_passed}/{len(verdict.steps)}"
    failure = verdict.first_failure
    return count if failure is None else f"{count}, first wrong: {failure.title}"


class Progress:
    """A progress bar on standard error, where that is a terminal.

    Args:
        total: how many submissions there are.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if sys.stderr is not None and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(stderr=True), transient=True)
            self._bar.start()
            self._task = self._bar.add_task("checking", total=self._total)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, grade: Grade) -> None:
        """One more is done."""
        if self._bar is not None:
            from rich.markup import escape

            name = escape(_plain(grade.submission))
            self._bar.update(self._task, advance=1, description=name)


def _wrap(label: str, text: str) -> str:
    return fill(
        _plain(text),
        WIDTH,
        initial_indent=f"        {label}: ",
        subsequent_indent="          ",
        break_on_hyphens=False,
    )


def _plain(text: str) -> str:
    """A student's text without what a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in text)
