"""Hints: one at a time, each saying a little more than the one before."""

from __future__ import annotations

from pykvm.labs.catalogue import Lab

FILE = "hints.md"
_HEADING = "## "


def hints_of(lab: Lab) -> tuple[str, ...]:
    """The hints of a lab, each with its heading as first line: the sections of its `hints.md`."""
    text = (lab.path / FILE).read_text(encoding="utf-8")
    sections = f"\n{text}".split(f"\n{_HEADING}")[1:]
    return tuple(section.strip() for section in sections)
