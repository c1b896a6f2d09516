"""Judging a student's folder: the one door for students, instructors and tests."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pykvm
from pykvm.errors import LabError
from pykvm.labs import child
from pykvm.labs.catalogue import Lab
from pykvm.labs.verdict import FAILED, NOT_TRIED, Outcome, Verdict

SEEDS = 1 << 32

LONGEST_LINE = 1 << 20
"""Bytes; longer than any that the judge writes."""


def check(
    folder: Path,
    lab: Lab,
    *,
    seed: int | None = None,
    seconds: float | None = None,
    until_failure: bool = False,
    on_step: Callable[[Outcome], None] | None = None,
) -> Verdict:
    """Judge what a student has written.

    It runs in a process of its own, which gets each call of the student's code done in another
    one: whatever the code does, a verdict comes.

    Args:
        folder: the student's.
        lab: which lab to judge it as.
        seed: what random guests grow from (0 to 2**32 - 1); by default another one each time.
        seconds: how long it may take in all; by default what the lab says.
        until_failure: try nothing behind the first step that fails.
        on_step: called with each outcome as it comes.

    Raises:
        LabError: the checker itself failed, which is a mistake of the course, or of a student
            who went for it.
    """
    hearing = _Hearing(lab, on_step)
    seed = secrets.randbelow(SEEDS) if seed is None else seed
    limit = lab.seconds if seconds is None else seconds
    begin = time.monotonic()
    words = (str(lab.number), str(folder.resolve()), str(seed), str(int(until_failure)))
    ended = child.run(
        partial(_start_judge, words),
        seconds=limit,
        children=None,
        on_message=hearing.hear,
    )
    if not hearing.done and not hearing.cannot and not ended.trouble:
        said = ended.printed.strip().splitlines() or [f"status {ended.status}"]
        raise LabError(f"the checker of lab {lab.number} failed: {said[-1][:300]}")
    if ended.trouble:
        hearing.give_up(f"the whole check took {ended.trouble}")
    return Verdict(
        lab=lab.number,
        folder=str(folder),
        steps=tuple(hearing.steps),
        seed=seed,
        cannot=hearing.cannot,
        instead=hearing.instead,
        seconds=time.monotonic() - begin,
    )


def _start_judge(words: tuple[str, ...], pipe: int) -> child.Process:
    return subprocess.Popen(
        # a module in the current directory must not stand in for one of Python's (-P)
        (sys.executable, "-P", "-m", "pykvm.labs.judge", str(pipe), *words),
        cwd="/",
        env={**os.environ, "PYTHONPATH": str(Path(pykvm.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=(pipe,),
        start_new_session=True,
    )


class _Hearing:
    """What the judge has said so far."""

    def __init__(self, lab: Lab, on_step: Callable[[Outcome], None] | None) -> None:
        self._lab = lab
        self._on_step = on_step
        self._rest = b""
        self._titles: list[tuple[str, str]] = []
        self.steps: list[Outcome] = []
        self.cannot = self.instead = ""
        self.done = False

    def hear(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        try:
            for line in (*lines, *([self._rest] if len(self._rest) > LONGEST_LINE else [])):
                self._take(json.loads(line))
        except (ValueError, TypeError, KeyError, RecursionError):
            raise LabError(
                f"the checker of lab {self._lab.number} said what it never says: did the student's "
                "code write to its descriptors?"
            ) from None

    def _take(self, line: dict[str, Any]) -> None:
        if "step" in line:
            self._add(Outcome(**line["step"]))
        elif "titles" in line:
            self._titles = [(name, title) for name, title in line["titles"]]
        elif "cannot" in line:
            self.cannot, self.instead = line["cannot"], line["instead"]
        else:
            self.done = True

    def _add(self, outcome: Outcome) -> None:
        self.steps.append(outcome)
        if self._on_step is not None:
            self._on_step(outcome)

    def give_up(self, why: str) -> None:
        """The judge was stopped: the step it was at failed, the others were not tried."""
        for name, title in self._titles[len(self.steps) :]:
            first = all(step.why != why for step in self.steps)
            self._add(Outcome(name, title, FAILED if first else NOT_TRIED, why, "README.md"))
        if not self._titles:
            self.cannot = why
