"""Tell what KVM does, step by step, on a run of a guest.

Makes the machine and runs the guest as `pykvm run` does, notes each ioctl and
each exit with its time, and tells the story: how /dev/kvm is opened, the
machine made, the guest entered; what made the guest leave, who answered, and
how it goes on.  What repeats itself is told once.

The guest's output is kept and shown at the end.  What is piped in goes to its
serial port, or with a BIOS to its keyboard; a terminal's keys do not.

exit status:
  0    the story was told, however the guest ended
  2    the command line is wrong
  125  pykvm could not start, or could not write the story
  130  Ctrl-C, after the story so far
  143  SIGTERM or SIGHUP, likewise
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pykvm.cli.guest_options import add_guest_arguments
from pykvm.cli.output_file import OutputFile
from pykvm.cli.parser import HELP_WIDTH, count

if TYPE_CHECKING:
    import argparse

    from pykvm.trace.story import Story

DEFAULT_TIMEOUT = 10.0
DEFAULT_EXITS = 10_000
MOST_EXITS = 1_000_000


def add_arguments(to: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_guest_arguments(to)
    to.add_argument(
        "--html",
        metavar="FILE",
        help="write the story to FILE as a page for a browser, with a picture of the first turns, "
        "instead of printing it",
    )
    to.add_argument(
        "--full", action="store_true", help="tell each exit, also those that are like others"
    )
    to.add_argument(
        "--max-exits",
        type=_exits,
        default=DEFAULT_EXITS,
        metavar="N",
        help=f"stop the guest after N exits (default {DEFAULT_EXITS}, at most {MOST_EXITS})",
    )
    to.set_defaults(timeout=DEFAULT_TIMEOUT)


def main(args: argparse.Namespace) -> int:
    """Run the guest and tell; returns the exit status."""
    from pykvm.cli.observation import observe
    from pykvm.cli.signals import OrderlySignals
    from pykvm.cli.start import require_something

    require_something(args, "pykvm explain")
    with OrderlySignals() as signals, ExitStack() as undo:
        # that the page cannot be written is better known before the guest has run
        page = None if args.html is None else undo.enter_context(OutputFile("--html", args.html))
        story, status = observe(args, signals)
        if page is None:
            _print(story)
        else:
            from pykvm.trace.story_html import as_html

            page.write(as_html(story).encode())
    return status


def _print(story: Story) -> None:
    """Print the story, as wide as the terminal, in what its encoding has."""
    from pykvm.cli.streams import columns, say
    from pykvm.trace.story_text import as_text

    room = columns()
    width = 80 if room is None else min(room - 1, HELP_WIDTH)
    styled = os.environ.get("TERM", "dumb") != "dumb" and "NO_COLOR" not in os.environ
    styled = styled and room is not None
    text = as_text(story, width=width, styled=styled)
    encoding = getattr(sys.stdout, "encoding", None) or "ascii"
    say(text.encode(encoding, "backslashreplace").decode(encoding))


def _exits(text: str) -> int:
    from argparse import ArgumentTypeError

    exits = count(text)
    if exits > MOST_EXITS:
        raise ArgumentTypeError(f"{text} exits are more than can be kept: at most {MOST_EXITS}")
    return exits
