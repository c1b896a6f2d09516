"""The options of `pykvm trace`."""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from pykvm.bus import PORT_SPACE
from pykvm.cli import parser
from pykvm.cli.guest_options import add_guest_arguments
from pykvm.cli.run_options import debugcon, serial

if TYPE_CHECKING:
    import argparse

FORMATS = ("text", "jsonl", "perfetto")


def add_arguments(to: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_guest_arguments(to)
    # a trace is of one machine
    to.set_defaults(reboot="exit")
    to.add_argument(
        "--format",
        choices=FORMATS,
        default="text",
        help="text (default; a table), jsonl (a JSON object a line) or perfetto (a timeline for "
        "ui.perfetto.dev or chrome://tracing)",
    )
    to.add_argument(
        "--summary",
        action="store_true",
        help="counts and percentiles at the end, by exit, access and instruction, instead of each "
        "exit",
    )
    to.add_argument(
        "--step",
        action="store_true",
        help="trace every instruction, with the registers that it changes; very slow",
    )
    to.add_argument(
        "--only",
        type=_kinds,
        metavar="KINDS",
        help="these exits, with commas: io, mmio, hlt, msr, step, intr (pykvm's own ticks and "
        "signals, else left out), other",
    )
    to.add_argument(
        "--port",
        type=_ports,
        action="append",
        default=[],
        metavar="PORTS",
        help="of I/O exits those to PORT or FIRST-LAST, and nothing else without --only; may be "
        "repeated",
    )
    to.add_argument(
        "--limit",
        type=parser.count,
        metavar="N",
        help="stop the guest when N exits or steps were shown, or summed up",
    )
    to.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="where the trace goes; by default standard output, and the guest's own output nowhere",
    )
    to.add_argument(
        "--serial",
        type=serial,
        metavar="WHERE",
        help="stdio (default with --output), null (default without), file:PATH or pty: the guest's "
        "first serial port",
    )
    to.add_argument(
        "--debugcon",
        type=debugcon,
        default="null",
        metavar="WHERE",
        help="null (default), stdio (standard error) or file:PATH: the debug consoles",
    )


def _kinds(text: str) -> frozenset[str]:
    from pykvm.trace.selection import KINDS, OTHER

    kinds = text.split(",")
    for kind in kinds:
        if kind not in (*KINDS, OTHER):
            known = ", ".join((*KINDS, OTHER))
            raise ArgumentTypeError(f"{kind!r} is no kind of exit: {known}")
    return frozenset(kinds)


def _ports(text: str) -> range:
    """PORT or FIRST-LAST, in any of Python's notations."""
    first, dash, last = text.partition("-")
    try:
        start = int(first, 0)
        end = int(last, 0) if dash else start
    except ValueError:
        start = end = -1
    if not 0 <= start <= end < PORT_SPACE:
        raise ArgumentTypeError(f"{text!r} is not a port (0x3f8) or a range of ports (0x3f8-0x3ff)")
    return range(start, end + 1)
