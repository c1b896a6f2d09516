"""What `pykvm bench` makes of a result besides its table: files, and a comparison."""

from __future__ import annotations

from argparse import ArgumentTypeError
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from pykvm.cli.output_file import OutputFile
from pykvm.errors import BenchError

if TYPE_CHECKING:
    import argparse

    from pykvm.bench.comparison import Comparison
    from pykvm.bench.result import Result

DEFAULT_THRESHOLD = 5.0
STATUS_SLOWER = 1


def add_output_arguments(to: argparse.ArgumentParser) -> None:
    """Declare the options."""
    to.add_argument(
        "--json", metavar="FILE", help="write all figures to FILE, for --compare and for programs"
    )
    to.add_argument(
        "--html",
        metavar="FILE",
        help="write a report to FILE, one page for a browser, with pictures and how to read them",
    )
    to.add_argument(
        "--png",
        metavar="FILE",
        help="write histograms and cumulative curves to FILE; needs matplotlib (the extra `plot`)",
    )
    to.add_argument(
        "--compare",
        metavar="OLD.json",
        help="compare with what an earlier --json wrote; the exit status is 1 if anything is "
        "slower by more than the threshold, and that is 99 %% sure; five rounds are needed",
    )
    to.add_argument(
        "--threshold",
        type=percent,
        metavar="PERCENT",
        help=f"how much slower is too much for --compare (default {DEFAULT_THRESHOLD:g})",
    )


def percent(text: str) -> float:
    """A percentage above 0; the sign may stand behind it."""
    try:
        value = float(text.removesuffix("%"))
    except ValueError:
        value = 0.0
    if not 0 < value <= 1000:
        raise ArgumentTypeError(f"{text!r} is not a number of percent (0 < PERCENT <= 1000)")
    return value


class Outputs:
    """What was asked for: whatever can be wrong with it is said before anything is measured.

    A context manager.

    Args:
        args: the command line.

    Raises:
        BenchError: the old result cannot be read, or there is no matplotlib for a picture, or a
            threshold without anything to compare with.
        SinkError: a file cannot be written.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        if args.threshold is not None and args.compare is None:
            raise BenchError("--threshold is for --compare OLD.json")
        self._threshold = (args.threshold or DEFAULT_THRESHOLD) / 100
        self._old: Result | None = None
        if args.compare is not None:
            from pykvm.bench.reading import read_result

            try:
                self._old = read_result(args.compare)
            except BenchError as error:
                raise BenchError(f"--compare: {error}") from None
        if args.png is not None:
            from pykvm.bench.plot import require_matplotlib

            require_matplotlib()
        with ExitStack() as undo:
            self._files = {
                option: undo.enter_context(OutputFile(f"--{option}", path))
                for option in ("json", "html", "png")
                if (path := getattr(args, option)) is not None
            }
            self._undo = undo.pop_all()

    def save(self, result: Result) -> None:
        """Write the JSON: first of all, so that nothing else can lose what was measured.

        Raises:
            SinkError: the file cannot be written.
        """
        if "json" in self._files:
            import json

            from pykvm.bench.result import to_json

            self._files["json"].write(json.dumps(to_json(result)).encode() + b"\n")

    def deliver(self, result: Result) -> int:
        """Write the reports, and print the comparison; returns the exit status.

        Raises:
            BenchError: the results have nothing in common, or there is nothing to draw.
            SinkError: a file cannot be written.
        """
        comparison = self._compare(result)
        if "html" in self._files:
            from pykvm.bench.page import as_html

            self._files["html"].write(as_html(result, comparison).encode())
        if "png" in self._files:
            from pykvm.bench.plot import as_png

            self._files["png"].write(as_png(result))
        return STATUS_SLOWER if comparison is not None and comparison.slower else 0

    def _compare(self, result: Result) -> Comparison | None:
        if self._old is None:
            return None
        from pykvm.bench.comparison import as_text, compare
        from pykvm.cli.streams import say

        comparison = compare(self._old, result, self._threshold)
        say(f"\n{as_text(comparison)}")
        return comparison

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()
