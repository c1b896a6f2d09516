"""What a checker is made of: steps, and how one says that a solution is wrong.

@step("prints what the guest says", look="README.md, section 2")
def prints(work: Work) -> None:
    expect(work.call("console.py", "run", code), b"A", "the output")

@step("answers reads", after=prints)
def reads(work: Work) -> None: ...
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pykvm.labs.work import Work

SHOWN = 300
"""How much of a value a message shows."""


class Wrong(Exception):
    """The solution does not do what the step asks for.

    Args:
        why: one or two sentences for the student: what was tried, what came, what was expected.
        look: where to look; by default what the step says.
    """

    def __init__(self, why: str, look: str = "") -> None:
        super().__init__(why)
        self.why = why
        self.look = look


class Step(NamedTuple):
    """One thing that is checked.

    Attributes:
        name: the function's name.
        title: what a right solution does, in the present tense.
        look: where to look if it does not.
        after: the names of the steps without which this one makes no sense.
        needs: the probes that must pass for it to be tried.
        function: raises `Wrong` if the solution does not do it.
    """

    name: str
    title: str
    look: str
    after: tuple[str, ...]
    needs: tuple[str, ...]
    function: Callable[[Work], None]


def step(
    title: str,
    *,
    look: str = "README.md",
    after: Step | tuple[Step, ...] = (),
    needs: tuple[str, ...] = (),
) -> Callable[[Callable[[Work], None]], Step]:
    """Make the function below it a step.

    Args:
        title: what a right solution does, in the present tense.
        look: where to look if it does not: a section of the lab's README.md, the SDM, ...
        after: the step, or steps, that must have passed before this one is tried.
        needs: probes, "kvm" (/dev/kvm) or "machine" (that, or the emulator); where one fails, the
            step says so and counts neither way.
    """
    before = (after,) if isinstance(after, Step) else after

    def register(function: Callable[[Work], None]) -> Step:
        names = tuple(other.name for other in before)
        return Step(function.__name__, title, look, names, needs, function)

    return register


def steps_of(checker: ModuleType) -> tuple[Step, ...]:
    """The steps of a checker, in the order in which they are written."""
    return tuple(value for value in vars(checker).values() if isinstance(value, Step))


def expect(actual: object, expected: object, what: str, look: str = "") -> None:
    """`Wrong` unless both are equal.

    Args:
        actual, expected: what came and what should have.
        what: names it: "the output", "AX after the guest's HLT".
        look: as for `Wrong`.
    """
    if type(actual) is not type(expected) or actual != expected:
        raise Wrong(f"{what}: expected {shown(expected)}, got {shown(actual)}", look)


def shown(value: object) -> str:
    """A value as Python writes it, not too long; integers above 9 in hexadecimal, too."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 9:
        return f"{value:#x} ({value})"
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}... ({len(text)} characters)"
