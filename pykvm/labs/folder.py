"""A student's folder: laid out by `start`, known again by the file `.pykvm-lab` in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

from pykvm.errors import LabError
from pykvm.labs.catalogue import Lab, find_lab

MARKER = ".pykvm-lab"
TEXTS = ("*.md", "*.svg")
"""What a student gets besides the starter."""
NOT_FOR_STUDENTS = ("hints.md",)
LONGEST_MARKER = 4096


class Progress(NamedTuple):
    """What the marker file says.

    Attributes:
        lab: the lab's number.
        hints: how many hints were shown.
    """

    lab: int
    hints: int = 0


def start(lab: Lab, folder: Path) -> tuple[str, ...]:
    """Lay a lab out for a student: text, pictures, starter.

    Args:
        lab: which.
        folder: where; it is made, and must not exist yet, or be empty.

    Returns:
        the names of the files, sorted.

    Raises:
        LabError: there is something already; nothing is overwritten.
        OSError: the files cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise LabError(f"{folder}: exists and is no folder: name another one")
    if folder.is_dir() and any(folder.iterdir()):
        raise LabError(f"{folder}: is not empty, and nothing is overwritten: name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    sources = [path for pattern in TEXTS for path in lab.path.glob(pattern)]
    sources += [path for path in lab.starter.iterdir() if path.is_file()]
    names = []
    for source in sources:
        if source.name not in NOT_FOR_STUDENTS:
            shutil.copyfile(source, folder / source.name)
            names.append(source.name)
    save_progress(folder, Progress(lab.number))
    return tuple(sorted(names))


def find_folder(path: Path) -> Path:
    """The student's folder that `path` is, or lies in.

    Raises:
        LabError: there is none.
    """
    if not path.exists():
        raise LabError(f"{path}: there is no such folder: `pykvm lab start N` makes one")
    for folder in (path, *path.resolve().parents):
        if (folder / MARKER).is_file():
            return folder
    raise LabError(
        f"{path}: is not the folder of a lab (it has no {MARKER}): `pykvm lab start N` makes one, "
        "--lab N says which lab it is"
    )


def load_progress(folder: Path) -> Progress:
    """What the marker of a student's folder says.

    Raises:
        LabError: it is damaged.
    """
    path = folder / MARKER
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(LONGEST_MARKER))
        return Progress(int(found["lab"]), int(found.get("hints", 0)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise LabError(f"{path}: is damaged: --lab N says which lab it is") from None


def save_progress(folder: Path, progress: Progress) -> None:
    """Write the marker of a student's folder."""
    (folder / MARKER).write_text(f"{json.dumps(progress._asdict())}\n", encoding="utf-8")


def lab_of(folder: Path) -> Lab:
    """Which lab a student's folder is of.

    Raises:
        LabError: its marker is damaged, or names a lab that there is not.
    """
    return find_lab(load_progress(folder).lab)
