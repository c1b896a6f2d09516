"""Measure what this host's KVM costs, and what pykvm adds to it.

suites:
  exits    leaving the guest, for each kind of reason, with pykvm's loops beside
           a bare one in C
  boot     a machine from nothing to its guest's first instruction, and away;
           cold, and from a pool
  console  a byte on its way through the serial port, by who takes it
  density  memory and time for up to 500 machines alive in one process
  scale    exits of a machine with more and more processors

Each figure is measured anew in several rounds; a kind whose rounds do not agree
is called noisy, without them.  docs/benchmarks.md tells how to read them.

exit status:
  0    measured, though perhaps not every kind
  1    --compare: something is slower by more than the threshold, for sure
  125  it could not; the last line says why
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pykvm.cli.bench_output import Outputs, add_output_arguments
from pykvm.cli.parser import count
from pykvm.cli.streams import say

if TYPE_CHECKING:
    import argparse

    from pykvm.bench.options import Progress

SUITES = ("exits", "boot", "console", "density", "scale")
"""Each one is a module `pykvm.bench.SUITE` with `run(options, progress)`."""


def add_arguments(to: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    to.add_argument("suite", metavar="SUITE", choices=SUITES, help=f"one of: {', '.join(SUITES)}")
    to.add_argument("--quick", action="store_true", help="rather soon than exactly: some seconds")
    to.add_argument(
        "--only",
        metavar="KINDS",
        type=kinds,
        default=(),
        help="measure these only, separated by commas",
    )
    to.add_argument("--list", action="store_true", help="list the kinds, and measure nothing")
    to.add_argument(
        "--rounds", metavar="N", type=count, help="measure each kind N times anew (at least 2)"
    )
    to.add_argument(
        "--cpu",
        metavar="N",
        type=processor,
        help="the host's processor to measure on (default: the last one); density and scale use "
        "all",
    )
    add_output_arguments(to)


def main(args: argparse.Namespace) -> int:
    """Measure and tell; returns the exit status."""
    import importlib

    from pykvm.bench.options import Options

    if args.list:
        say(listing(args.suite))
        return 0
    options = Options(
        quick=args.quick,
        rounds=args.rounds,
        only=args.only,
        cpu=args.cpu,
        command=" ".join(["pykvm", "bench", *sys.argv[2:]]),
    )
    suite = importlib.import_module(f"pykvm.bench.{args.suite}")
    with Outputs(args) as outputs:
        with ExitStack() as stack:
            result = suite.run(options, progress_bar(stack))
        outputs.save(result)
        from pykvm.cli.bench_tables import as_tables

        say(as_tables(result))
        return outputs.deliver(result)


def listing(suite: str) -> str:
    """The kinds that `--only` takes, and what is between the two stamps of each of `exits`."""
    if suite != "exits":
        import importlib

        kinds = importlib.import_module(f"pykvm.bench.{suite}").kinds()
        return "".join(f"{name:<22} {title}\n" for name, title in kinds)
    from textwrap import fill

    from pykvm.bench.exits import SCALE
    from pykvm.bench.kinds import all_kinds

    known = [(kind.name, kind.what) for kind in all_kinds()]
    known.append((SCALE, "an OUT under pykvm's loops against a bare one in C, pair by pair"))
    indent = " " * 23
    return "".join(
        fill(f"{name:<22} {what}", 79, subsequent_indent=indent) + "\n" for name, what in known
    )


def progress_bar(stack: ExitStack) -> Progress:
    """A bar on standard error while the stack is open; only where that is a terminal."""
    if sys.stderr is None or not sys.stderr.isatty():
        return lambda done, of, words: None
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bar = stack.enter_context(
        Progress(
            BarColumn(),
            TextColumn("{task.completed}/{task.total} {task.description}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
    )
    task = bar.add_task("", total=None)
    return lambda done, of, words: bar.update(task, completed=done, total=of, description=words)


def kinds(text: str) -> tuple[str, ...]:
    """Names, separated by commas."""
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def processor(text: str) -> int:
    """The number of one of the host's processors."""
    from argparse import ArgumentTypeError

    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ArgumentTypeError(f"{text!r} is not the number of a processor")
    return int(text)
