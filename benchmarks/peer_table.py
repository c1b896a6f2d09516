"""Figures of two things that were measured in turn: as lines, and as a table in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pairs import median_interval

BEGIN = "<!-- begin: written by `make bench-peers` -->"
END = "<!-- end: written by `make bench-peers` -->"
HEADER = (
    "| figure | against | the two, medians | difference (95 %) | ratio (95 %) | pairs | goal |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)


class Figure(NamedTuple):
    """Two things, compared.

    Attributes:
        name: what is measured.
        against: what it is compared with.
        pairs: what the two took, measured turn by turn, in `unit`.
        unit: "ns" or "ms".
        goal: the greatest ratio that is good enough; None for no goal.
        most_more: the greatest difference in `unit` that is good enough; None for no such goal.
    """

    name: str
    against: str
    pairs: Sequence[tuple[float, float]]
    unit: str
    goal: float | None = None
    most_more: float | None = None

    @property
    def medians(self) -> tuple[float, float]:
        """What each of the two takes."""
        return statistics.median(a for a, _ in self.pairs), statistics.median(
            b for _, b in self.pairs
        )

    @property
    def ratio(self) -> tuple[float, float, float]:
        """The median of the pairs' ratios, and where it lies with 95 % confidence."""
        return with_interval([a / b for a, b in self.pairs])

    @property
    def difference(self) -> tuple[float, float, float]:
        """The same of how much more the first takes."""
        return with_interval([a - b for a, b in self.pairs])

    @property
    def verdict(self) -> str:
        """Its goals, and whether they are met."""
        goals = []
        for value, goal, words in (
            (self.ratio[0], self.goal, f"<= {self.goal}"),
            (self.difference[0], self.most_more, f"<= + {self.most_more} {self.unit}"),
        ):
            if goal is not None:
                goals.append(f"{words}: {'met' if value <= goal else '**missed**'}")
        return ", ".join(goals)

    @property
    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        ours, theirs = self.medians
        more, least_more, most_more = self.difference
        ratio, low, high = self.ratio
        digits = 0 if self.unit == "ns" else 1
        return (
            self.name,
            self.against,
            f"{ours:.{digits}f} {self.unit}, {theirs:.{digits}f} {self.unit}",
            f"{more:+.{digits}f} ({least_more:+.{digits}f} to {most_more:+.{digits}f})",
            f"{ratio:.3f} ({low:.3f} to {high:.3f})",
            str(len(self.pairs)),
            self.verdict,
        )

    @property
    def line(self) -> str:
        """For the terminal."""
        name, against, medians, difference, ratio, pairs, verdict = self.cells
        goal = f"; goal {verdict.replace('*', '')}" if verdict else ""
        return f"{name} / {against}: {ratio}, {pairs} pairs{goal}\n    {medians}; {difference} more"


def with_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """The median, and where it lies with 95 % confidence."""
    return (statistics.median(values), *median_interval(values))


def markdown(command: str, facts: str, left_out: Sequence[str], figures: Sequence[Figure]) -> str:
    """The whole part of the page: how it was made, on what, and the table."""
    rows = ["| " + " | ".join(figure.cells) + " |" for figure in figures]
    notes = [f"{note}." for note in left_out]
    return "\n".join([f"`{command}` on {facts}:", *notes, "", *HEADER, *rows])


def replace_part(page: Path, text: str) -> None:
    """Put `text` where the page has what was written before.

    Raises:
        ValueError: the page does not have the two marks once each, in order.
    """
    words = page.read_text(encoding="utf-8")
    before, begin, rest = words.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise ValueError(f"{page}: it needs one line {BEGIN!r} and, after it, one {END!r}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
