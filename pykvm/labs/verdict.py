"""What came of a check, as values that go to JSON."""

from __future__ import annotations

from typing import Any, NamedTuple

PASSED = "passed"
FAILED = "failed"
NOT_TRIED = "not tried"
"""A step that builds on one which did not pass."""
CANNOT = "cannot"
"""This host's KVM cannot do what the step needs: it counts neither way."""


class Outcome(NamedTuple):
    """What came of one step.

    Attributes:
        name: the step's name, for programs.
        title: what a right solution does.
        outcome: `PASSED`, `FAILED`, `NOT_TRIED` or `CANNOT`.
        why: if it did not pass: what was wrong, or why it was not tried.
        look: if it failed: where to look.
        printed: if it failed: the end of what the student's code printed meanwhile.
        seconds: how long it took.
    """

    name: str
    title: str
    outcome: str
    why: str = ""
    look: str = ""
    printed: str = ""
    seconds: float = 0.0


class Verdict(NamedTuple):
    """What came of a check.

    Attributes:
        lab: the lab's number.
        folder: the student's, as it was given.
        steps: what came of each.
        seed: of the random guests: `pykvm lab check --seed` tries the same ones again.
        cannot: why nothing could be checked; empty if it was.
        instead: what can be done then.
        seconds: how long it took.
    """

    lab: int
    folder: str
    steps: tuple[Outcome, ...]
    seed: int
    cannot: str = ""
    instead: str = ""
    seconds: float = 0.0

    @property
    def steps_passed(self) -> int:
        """How many steps passed."""
        return sum(step.outcome == PASSED for step in self.steps)

    @property
    def passed(self) -> bool:
        """Whether the solution is right, as far as this host can tell."""
        wrong = any(step.outcome in (FAILED, NOT_TRIED) for step in self.steps)
        return not self.cannot and not wrong and self.steps_passed > 0

    @property
    def complete(self) -> bool:
        """Whether this host could try every step."""
        return not self.cannot and all(step.outcome != CANNOT for step in self.steps)

    @property
    def first_failure(self) -> Outcome | None:
        """The first step that failed."""
        return next((step for step in self.steps if step.outcome == FAILED), None)

    def to_json(self) -> dict[str, Any]:
        """The object of `pykvm lab check --json`."""
        return {
            "schema": 1,
            "lab": self.lab,
            "folder": self.folder,
            "passed": self.passed,
            "complete": self.complete,
            "steps_passed": self.steps_passed,
            "steps": [step._asdict() for step in self.steps],
            "seed": self.seed,
            "cannot": self.cannot,
            "instead": self.instead,
            "seconds": round(self.seconds, 3),
        }
