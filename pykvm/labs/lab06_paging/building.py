"""Having a student's `build` make tables, and looking at them."""

from __future__ import annotations

from typing import Any

from pykvm.labs.lab06_paging.physical import KIB, MIB, Blob, canonical
from pykvm.labs.steps import Wrong
from pykvm.labs.student import Student
from pykvm.labs.work import Work

TABLES = "tables.py"
SMALL, LARGE = 4 * KIB, 2 * MIB
RW, US, XD = 1 << 1, 1 << 2, 1 << 63
AT = 0x10_0000

Page = tuple[int, int, int, int]
"""A `Mapping` as a plain value: gva, gpa, size, flags."""


def make(student: Student, pages: list[Page], at: int) -> tuple[str, Any]:
    """What the student's `build` gives, or the ValueError that it raises."""
    mapping = student.get(TABLES, "Mapping")
    try:
        made = student.get(TABLES, "build")([mapping(*page) for page in pages], at)
    except ValueError as error:
        return "refused", str(error)
    return "made", bytes(made) if isinstance(made, (bytes, bytearray)) else made


def told(page: Page) -> str:
    gva, gpa, size, flags = page
    names = "|".join(n for n, bit in (("RW", RW), ("US", US), ("XD", XD)) if flags & bit) or "0"
    return f"Mapping({gva:#x}, {gpa:#x}, {size:#x}, {names})"


def built(work: Work, pages: list[Page], at: int = AT) -> Blob:
    """The student's tables, of pages that are in order."""
    how, made = work.scenario(make, pages, at)
    few = ", ".join(map(told, pages[:2])) + (", ..." if len(pages) > 2 else "")
    if how == "refused":
        raise Wrong(f"build([{few}]) raised ValueError({made}): there is nothing wrong with these")
    if not isinstance(made, bytes) or not made or len(made) % SMALL:
        raise Wrong(
            f"build([{few}]) returned {made!r:.60}: it should be whole tables of 4096 bytes"
        )
    return Blob(at, made)


def some_page(work: Work, size: int, flags: int = RW) -> Page:
    gva = canonical(work.random.getrandbits(48) & -size)
    return gva, work.random.randrange(1 << 34) & -size, size, flags


def expect_mapped(blob: Blob, page: Page, offset: int) -> None:
    gva, gpa, size, _ = page
    found = blob.walk(gva + offset)
    if found.gpa != gpa + offset or found.page_size != size:
        raise Wrong(f"after build of {told(page)} the walk of {gva + offset:#x} goes so: {found}")


def tables_needed(pages: list[Page]) -> int:
    """One PML4, and one table for each piece of the addresses in which there is a page."""
    needed = {("PML4", 0)}
    for gva, _, size, _ in pages:
        needed |= {("PDPT", gva >> 39), ("PD", gva >> 30)}
        if size == SMALL:
            needed.add(("PT", gva >> 21))
    return len(needed)
