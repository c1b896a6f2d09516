"""The command `pykvm`: one file a subcommand, imported when it is the one that was typed."""

from __future__ import annotations

import gc
import sys

COMMANDS = {
    "run": "run a guest image",
    "trace": "run a guest image and show each exit, and what it took",
    "explain": "tell what KVM does, step by step, on a run",
    "bench": "measure what exits, boots and consoles cost",
    "doctor": "tell what this host's KVM can do",
    "lab": "learn how a hypervisor works: a course of labs, each with a checker",
}


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status.

    Whatever a user can do wrong ends in one line on standard error, never in a traceback.

    Args:
        argv: the words after the program's name; by default this process's own, and then it is
            a process for one command.
    """
    if argv is not None:
        return _run(argv)
    gc.disable()
    try:
        return _run(sys.argv[1:])
    finally:
        start_up_is_over()


def start_up_is_over() -> None:
    """Look for garbage again, but not among what there is already.

    Imports make a lot that could become garbage and does not.  Looking through it, at once and
    when the interpreter ends, would be felt in a short command.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _run(words: list[str]) -> int:
    try:
        from pykvm.cli import failure

        try:
            return _dispatch(words)
        except failure.EXPECTED as error:
            return failure.report(error)
    except KeyboardInterrupt:  # between the lines above
        return 130


def _dispatch(words: list[str]) -> int:
    import importlib

    from pykvm.cli.parser import make_parser

    if not words or words[0] not in COMMANDS:
        _top_level(words)
        return 0
    command = importlib.import_module(f"pykvm.cli.{words[0]}")
    parser = make_parser(f"pykvm {words[0]}", command.__doc__ or "")
    command.add_arguments(parser)
    status: int = command.main(parser.parse_args(words[1:]))
    return status


def _top_level(words: list[str]) -> None:
    """What is typed without a command: help, the version, or a mistake."""
    from pykvm.cli.parser import make_parser
    from pykvm.cli.streams import say

    listing = "\n".join(f"  {name:<10} {what}" for name, what in COMMANDS.items())
    parser = make_parser(
        "pykvm",
        "A mini-hypervisor on /dev/kvm.",
        f"commands:\n{listing}\n\n`pykvm COMMAND --help` tells more of each.",
    )
    parser.add_argument("--version", action="store_true", help="print the version and exit")
    parser.add_argument("command", nargs="?", metavar="COMMAND", help="one of those below")
    args = parser.parse_args(words[:1])
    if args.version:
        say(f"pykvm {_version()}\n")
    elif args.command is not None:
        parser.error(f"{args.command!r} is not a command: {', '.join(COMMANDS)}")
    else:
        parser.print_help()


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("pykvm-vmm")
    except PackageNotFoundError:
        return "(not installed)"
