"""Which labs there are, and what `lab.toml` says of each."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pykvm.errors import LabError

HERE = Path(__file__).parent
_FOLDER = re.compile(r"lab([0-9]{2})_([a-z0-9_]+)")
_MODES = ("real", "protected", "long")


class Lab(NamedTuple):
    """One lab.

    Attributes:
        number: its place in the course, from 0 on.
        path: its folder.
        title: one line.
        idea: the one thing that it teaches, one sentence.
        minutes: how long it takes, as text ("30 to 45").
        files: what the student writes, by name.
        guests: the assembly sources among them, and the mode that each image is entered in.
        needs: the probes that must pass where there is a /dev/kvm.
        instead: what to do where the probe of that name fails.
        kvm: whether nothing of it can be checked without /dev/kvm.
        seconds: how long a whole check may take.
    """

    number: int
    path: Path
    title: str
    idea: str
    minutes: str
    files: tuple[str, ...]
    guests: dict[str, str]
    needs: tuple[str, ...]
    instead: dict[str, str]
    kvm: bool
    seconds: float

    @property
    def id(self) -> str:
        """Two digits."""
        return f"{self.number:02}"

    @property
    def starter(self) -> Path:
        """The folder of what the student begins with."""
        return self.path / "starter"

    @property
    def module(self) -> str:
        """The module that holds its steps."""
        return f"pykvm.labs.{self.path.name}.checker"

    @property
    def has_assembly(self) -> bool:
        """Whether the student writes assembly."""
        return bool(self.guests)


@cache
def all_labs() -> dict[int, Lab]:
    """Every lab by its number, in order.

    Raises:
        LabError: a `lab.toml` is damaged.
    """
    folders = sorted(path for path in HERE.iterdir() if _FOLDER.fullmatch(path.name))
    labs = [_load(path) for path in folders if (path / "lab.toml").is_file()]
    return {lab.number: lab for lab in labs}


def find_lab(number: int) -> Lab:
    """The lab of that number.

    Raises:
        LabError: there is none.
    """
    labs = all_labs()
    if number not in labs:
        there = ", ".join(map(str, labs))
        raise LabError(f"there is no lab {number}: there are {there} (see `pykvm lab list`)")
    return labs[number]


def _load(path: Path) -> Lab:
    match = _FOLDER.fullmatch(path.name)
    assert match is not None
    source = path / "lab.toml"
    try:
        entry: dict[str, Any] = tomllib.loads(source.read_text(encoding="utf-8"))
        lab = Lab(
            number=int(match[1]),
            path=path,
            title=entry.pop("title"),
            idea=entry.pop("idea"),
            minutes=entry.pop("minutes"),
            files=tuple(entry.pop("files")),
            guests=entry.pop("guests", {}),
            needs=tuple(entry.pop("needs", ())),
            instead=entry.pop("instead", {}),
            kvm=entry.pop("kvm", True),
            seconds=float(entry.pop("seconds", 120)),
        )
    except (OSError, ValueError) as error:
        raise LabError(f"{source}: {error}") from error
    except KeyError as error:
        raise LabError(f"{source}: the key {error.args[0]} is missing") from error
    wrong = [mode for mode in lab.guests.values() if mode not in _MODES]
    if entry or wrong:
        raise LabError(f"{source}: does not know {[*entry, *wrong][0]}")
    return lab
