"""Solutions and typical mistakes, laid out as students' folders."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from pykvm.labs.catalogue import Lab, all_labs
from pykvm.labs.folder import start

HERE = Path(__file__).parent
LABS = tuple(all_labs().values())


class Mistake(NamedTuple):
    """A wrong solution: one entry of `wrong/labNN.toml`.

    Attributes:
        lab: which lab it is of.
        name: what students would call it.
        step: the name of the first step that must fail.
        why: a regular expression that is found in that step's words.
        change: (file, old, new): what is written otherwise than in the solution.
        files: whole files that take the place of the solution's.
        emulated: `step` and `why` where guests are emulated, if it shows otherwise there.
    """

    lab: Lab
    name: str
    step: str
    why: str
    change: list[dict[str, str]]
    files: dict[str, str]
    emulated: dict[str, str]

    def shows(self, *, emulated: bool) -> tuple[str, str]:
        """The step that must fail first, and a regular expression for its words."""
        told = self.emulated if emulated and self.emulated else self._asdict()
        return told["step"], told["why"]


def solution_of(lab: Lab) -> Path:
    """The folder of a lab's solution: what a student has written."""
    return HERE / "solutions" / f"lab{lab.id}"


def mistakes_of(lab: Lab) -> list[Mistake]:
    """The wrong solutions of a lab."""
    path = HERE / "wrong" / f"lab{lab.id}.toml"
    entries: dict[str, dict[str, Any]] = tomllib.loads(path.read_text(encoding="utf-8"))
    return [
        Mistake(
            lab,
            name,
            entry["step"],
            entry["why"],
            entry.get("change", []),
            entry.get("files", {}),
            entry.get("emulated", {}),
        )
        for name, entry in entries.items()
    ]


def lay_out(lab: Lab, folder: Path) -> Path:
    """A student's folder with the solution in it."""
    start(lab, folder)
    for source in solution_of(lab).iterdir():
        if source.is_file():
            shutil.copyfile(source, folder / source.name)
    return folder


def spoiled(mistake: Mistake, folder: Path) -> Path:
    """A student's folder with a wrong solution in it."""
    lay_out(mistake.lab, folder)
    for change in mistake.change:
        path = folder / change["file"]
        text = path.read_text(encoding="utf-8")
        old, new = change["old"].strip("\n"), change["new"].strip("\n")
        assert text.count(old) == 1, f"{mistake.name}: {old!r} is not once in {path.name}"
        path.write_text(text.replace(old, new), encoding="utf-8")
    for name, text in mistake.files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder
