"""Learn how a hypervisor works: a course of labs, each with a checker.

`pykvm lab list` shows the course.  `pykvm lab start 1` lays lab 1 out in the
folder lab01: read its README.md, write what it asks for, and have it checked
with `pykvm lab check` as often as you like.

exit status:
  0    check, grade: all is right
  1    check, grade: something is not
  125  check: this host cannot run the lab, or the lab is not there
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pykvm.cli import lab_output, parser
from pykvm.cli.failure import EXIT_FAILURE
from pykvm.cli.streams import say
from pykvm.errors import LabError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from pykvm.labs.catalogue import Lab

EXIT_WRONG = 1


def add_arguments(to: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    actions = to.add_subparsers(dest="action", metavar="ACTION", required=True)

    def add(
        name: str, what: str, run: Callable[[argparse.Namespace], int]
    ) -> argparse.ArgumentParser:
        action = actions.add_parser(
            name,
            help=what,
            description=f"{what[0].upper()}{what[1:]}.",
            formatter_class=parser.HelpFormatter,
            allow_abbrev=False,
        )
        action.set_defaults(run=run)
        return action

    listing = add("list", "show the labs of the course", _list)
    listing.add_argument("--json", action="store_true", help="print one JSON object")

    start = add("start", "lay a lab out in a folder of your own", _start)
    start.add_argument("number", type=_number, metavar="N", help="the lab's number")
    start.add_argument("dir", type=Path, nargs="?", metavar="DIR", help="default: labNN")

    check = add("check", "see whether a solution is right, and what is not", _check)
    _add_folder(check)
    check.add_argument("--json", action="store_true", help="print one JSON object")
    _add_judging(check)

    hint = add("hint", "show the next hint", _hint)
    _add_folder(hint)
    hint.add_argument("--again", action="store_true", help="show those that were shown before")

    asm = add("asm", "assemble a lab's guests, for `pykvm run` and `pykvm trace`", _asm)
    asm.add_argument("file", type=Path, nargs="*", metavar="FILE", help="default: all of the lab's")

    grade = add("grade", "check many submissions at once", _grade)
    grade.add_argument("dir", type=Path, nargs="+", metavar="DIR", help="a student's folder")
    grade.add_argument("--csv", metavar="FILE", help="write a table; - for standard output")
    grade.add_argument("--json", metavar="FILE", help="write all verdicts; - for standard output")
    grade.add_argument(
        "--jobs", type=parser.count, metavar="N", help="how many at a time (default: processors)"
    )
    _add_judging(grade)


def _add_folder(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "dir",
        type=Path,
        nargs="?",
        default=Path(),
        metavar="DIR",
        help="the lab's folder (default: this one)",
    )


def _add_judging(to: argparse.ArgumentParser) -> None:
    to.add_argument(
        "--lab", type=_number, metavar="N", help="which lab it is (default: as the folder says)"
    )
    to.add_argument(
        "--seed", type=_number, metavar="N", help="try the random guests of that verdict again"
    )
    to.add_argument(
        "--timeout", type=parser.seconds, metavar="SECONDS", help="the longest a check may take"
    )


def main(args: argparse.Namespace) -> int:
    """Do what was asked; returns the exit status."""
    run: Callable[[argparse.Namespace], int] = args.run
    return run(args)


def _list(args: argparse.Namespace) -> int:
    from pykvm.labs.catalogue import all_labs

    labs = all_labs().values()
    say(lab_output.as_json_list(labs) if args.json else lab_output.as_list(labs))
    return 0


def _start(args: argparse.Namespace) -> int:
    from pykvm.labs.catalogue import find_lab
    from pykvm.labs.folder import start
    from pykvm.labs.judge import why_not

    lab = find_lab(args.number)
    folder = Path(f"lab{lab.id}") if args.dir is None else args.dir
    names = start(lab, folder)
    say(lab_output.started(lab, folder, names, why_not(lab)))
    return 0


def _check(args: argparse.Namespace) -> int:
    from pykvm.labs.checking import check

    folder, lab = _find(args)
    live = None if args.json else lab_output.Live(lab)
    verdict = check(
        folder,
        lab,
        seed=args.seed,
        seconds=args.timeout,
        on_step=None if live is None else live.show,
    )
    if live is None:
        import json

        say(f"{json.dumps(verdict.to_json())}\n")
    else:
        live.end(verdict)
    if verdict.cannot:
        return EXIT_FAILURE
    return 0 if verdict.passed else EXIT_WRONG


def _hint(args: argparse.Namespace) -> int:
    from pykvm.labs.folder import find_folder, lab_of, load_progress, save_progress
    from pykvm.labs.hints import hints_of

    folder = find_folder(args.dir)
    hints = hints_of(lab_of(folder))
    progress = load_progress(folder)
    shown = min(max(progress.hints, 0), len(hints))
    if args.again:
        say(lab_output.hints_again(hints[:shown], len(hints)))
        return 0
    say(lab_output.hint(hints, shown))
    if shown < len(hints):
        save_progress(folder, progress._replace(hints=shown + 1))
    return 0


def _asm(args: argparse.Namespace) -> int:
    from pykvm.labs.folder import find_folder, lab_of
    from pykvm.labs.toolchain import SUFFIXES, assemble

    files: list[Path] = args.file
    if not files:
        folder = find_folder(Path())
        files = [folder / name for name in lab_of(folder).guests]
        if not files:
            raise LabError("this lab has no guests to assemble: name a FILE")
    for file in files:
        if not file.is_file():
            raise LabError(f"{file}: there is no such file")
        mode = lab_of(find_folder(file.parent)).guests.get(file.name, "real")
        image = file.with_suffix(SUFFIXES[mode])
        code = assemble(file, mode)
        image.write_bytes(code)
        say(f"{image}: {len(code)} bytes, entered in {mode} mode: `pykvm run {image}`\n")
    return 0


def _grade(args: argparse.Namespace) -> int:
    from pykvm.labs.grading import as_csv, as_json, grade

    with lab_output.Progress(len(args.dir)) as progress:
        grades = grade(
            args.dir,
            number=args.lab,
            seed=args.seed,
            seconds=args.timeout,
            jobs=args.jobs,
            on_grade=progress.show,
        )
    for file, text in ((args.csv, as_csv), (args.json, as_json)):
        if file == "-":
            say(text(grades))
        elif file is not None:
            Path(file).write_text(text(grades), encoding="utf-8")
    if "-" not in (args.csv, args.json):
        say(lab_output.as_grades(grades))
    return 0 if all(grade.passed for grade in grades) else EXIT_WRONG


def _find(args: argparse.Namespace) -> tuple[Path, Lab]:
    """The folder that is meant, and which lab it is of."""
    from pykvm.labs.catalogue import find_lab
    from pykvm.labs.folder import find_folder, lab_of

    if args.lab is None:
        folder = find_folder(args.dir)
        return folder, lab_of(folder)
    if not args.dir.is_dir():
        raise LabError(f"{args.dir}: there is no such folder")
    return args.dir, find_lab(args.lab)


def _number(text: str) -> int:
    """A number from 0 on."""
    from argparse import ArgumentTypeError

    if not text.isascii() or not text.isdigit() or len(text) > 10:
        raise ArgumentTypeError(f"{text!r} is not a number")
    return int(text)
