"""The command: `python -m tests.svm [OPTIONS] -- COMMAND...`"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import psutil

from tests.svm.failure import Failure
from tests.svm.machine import Limits, run
from tests.svm.parts import find_parts

LEAST_MEMORY, MOST_CPUS = 512, 64
OWN_VARIABLES = ("PWD", "OLDPWD", "SHLVL", "_")
"""What a shell says of itself: not to be handed on."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Failure(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m tests.svm",
        usage="%(prog)s [OPTIONS] -- COMMAND...",
        description="Run COMMAND in this folder on an emulated machine that has SVM and kvm_amd.",
        epilog="The exit status is that of COMMAND; 124: out of time; 125: the machine failed."
        " Standard input is empty there, and what COMMAND writes to files is gone with the machine."
        " The first run fetches a kernel (and QEMU, if none is installed) from Debian's archive.",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=600,
        metavar="S",
        help="seconds, boot included; 0: none (600)",
    )
    parser.add_argument("--memory", type=int, default=2048, metavar="MIB", help="its memory (2048)")
    parser.add_argument("--cpus", type=int, default=1, metavar="N", help="its processors (1)")
    parser.add_argument("--verbose", action="store_true", help="show the kernel's messages")
    parser.add_argument("command", nargs="+", metavar="COMMAND", help=argparse.SUPPRESS)
    return parser


def main(words: Sequence[str]) -> int:
    """Run a command line; returns the exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        options = _parser().parse_args(words)
        limits = Limits(options.timeout, options.memory, options.cpus)
        _check(limits)
        return run(find_parts(), _for_shell(options.command), limits, verbose=options.verbose)
    except Failure as failure:
        print(f"svm: {failure}", file=sys.stderr)
        return failure.status
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains, too
        print("svm: nobody reads what the command writes", file=sys.stderr)
        return Failure.status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _end(number: int, _: object) -> NoReturn:
    """Leave by way of whatever cleans up."""
    raise SystemExit(128 + number)


def _check(limits: Limits) -> None:
    """Refuse what no machine can be made of."""
    if limits.memory < LEAST_MEMORY:
        raise Failure(f"--memory {limits.memory}: Linux and Python there need {LEAST_MEMORY} MiB")
    free = psutil.virtual_memory().available >> 20
    if limits.memory > free:
        raise Failure(f"--memory {limits.memory}: only {free} MiB are free on this machine")
    if not 1 <= limits.cpus <= MOST_CPUS:
        raise Failure(f"--cpus {limits.cpus}: from 1 to {MOST_CPUS}")
    if not limits.seconds >= 0:
        raise Failure(f"--timeout {limits.seconds:g}: seconds, or 0 for none")


def _for_shell(command: Sequence[str]) -> str:
    """A shell's command line that runs `command` in this folder, in this environment."""
    variables = {k: v for k, v in os.environ.items() if k not in OWN_VARIABLES} | {"PYKVM_SVM": "1"}
    # conftest.py looks for PYKVM_SVM
    environment = [f"{name}={value}" for name, value in variables.items()]
    return (
        f"cd {shlex.quote(os.getcwd())} && exec {shlex.join(['env', '-i', *environment, *command])}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
