"""Command lines: their help, their mistakes, and the kinds of values they have."""

from __future__ import annotations

import argparse
import os
import sys

from pykvm.cli.streams import say, write_error
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import NoReturn

    from pykvm.boot.module_file import ModuleFile

# argparse would look on the disk for a translation of each of its few words
setattr(argparse, "_", str)  # noqa: B010 - type checkers do not know the name

EXIT_USAGE = 2
HELP_WIDTH = 98
"""Lines longer than this are hard to read, however wide the terminal is."""


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Help as wide as the terminal; argparse's own way there costs an import of `shutil`."""

    def __init__(self, prog: str) -> None:
        try:
            columns = os.get_terminal_size().columns
        except (OSError, ValueError, AttributeError):
            columns = 80
        super().__init__(prog, max_help_position=26, width=min(columns - 2, HELP_WIDTH))


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line."""

    def print_help(self, file: object = None) -> None:
        """Print it on standard output, whose failures count."""
        say(self.format_help())

    def error(self, message: str) -> NoReturn:
        """Say what was wrong and how to learn more; end with the usage status."""
        write_error(f"{self.prog}: {message} (see {self.prog} --help)\n")
        sys.exit(EXIT_USAGE)


def make_parser(prog: str, description: str, epilog: str = "") -> Parser:
    """A parser without surprises: no abbreviated options, texts as they are written."""
    return Parser(
        prog=prog,
        description=description.strip(),
        epilog=epilog,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )


def size(text: str) -> int:
    """A number of bytes: "64K", "16M", ... (see `pykvm.sizes.parse_size`)."""
    from pykvm.errors import GuestMemoryError
    from pykvm.sizes import parse_size

    try:
        return parse_size(text)
    except GuestMemoryError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    except ValueError:  # more digits than Python converts
        raise argparse.ArgumentTypeError(f"a memory size of {len(text)} digits") from None


def address(text: str) -> int:
    """A guest-physical address, in any of Python's notations."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 64:
        raise argparse.ArgumentTypeError(f"{text!r} is not an address: write it like 0x7c00")
    return value


def module(text: str) -> ModuleFile:
    """A file and the string that goes with it: FILE[,CMDLINE]."""
    from pykvm.boot.module_file import parse_module

    return parse_module(text)


def count(text: str) -> int:
    """A number of things, 1 or more."""
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def seconds(text: str) -> float:
    """A time above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds (0 < SECONDS < 1e9)")
    return value
