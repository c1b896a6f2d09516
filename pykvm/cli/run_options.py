"""The options of `pykvm run`."""

from __future__ import annotations

from pykvm.cli.guest_options import add_guest_arguments
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from pykvm.gdb.address import Address

SERIAL_KINDS = ("stdio", "null", "pty")
ARCHITECTURE_NAMES = {"i8086": "i8086", "i386": "i386", "x86-64": "i386:x86-64"}
"""Descriptions of processors, as they are typed and as debuggers call them."""


def add_arguments(to: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    add_guest_arguments(to)
    to.add_argument(
        "--reboot",
        choices=("exit", "restart"),
        default="exit",
        metavar="WHAT",
        help="when the guest asks for a reset, or a triple fault resets it: exit (default; a "
        "triple fault is a crash) or restart, with the image read anew",
    )
    to.add_argument(
        "--serial",
        type=serial,
        default="stdio",
        metavar="WHERE",
        help="stdio (default), null, file:PATH or pty: the guest's first serial port",
    )
    to.add_argument(
        "--debugcon",
        type=debugcon,
        default="null",
        metavar="WHERE",
        help="null (default), stdio (standard error) or file:PATH: the debug consoles at ports "
        "0xe9 and 0x402, where SeaBIOS tells what it does",
    )
    core = to.add_mutually_exclusive_group()
    core.add_argument(
        "--core",
        metavar="FILE",
        help="at the end, however it comes, write RAM and registers as an ELF core for gdb",
    )
    core.add_argument(
        "--core-on-crash",
        metavar="FILE",
        help="the same if the guest crashes; into a directory as core.IMAGE.PID",
    )
    to.add_argument(
        "--gdb",
        type=_gdb,
        metavar="WHERE",
        help="[HOST:]PORT (HOST is localhost by default, PORT 0 any that is free) or unix:PATH: "
        "let gdb or lldb debug the guest from there",
    )
    to.add_argument(
        "--wait",
        action="store_true",
        help="with --gdb: stop at the first instruction until a debugger says how to go on",
    )
    to.add_argument(
        "--gdb-arch",
        choices=("auto", *ARCHITECTURE_NAMES),
        default="auto",
        metavar="ARCH",
        help="with --gdb: auto (default; by the processor's mode when the debugger connects), "
        "i8086, i386 or x86-64: what it is told to debug, which for a kernel of 64 bits that "
        "begins in 32 must be x86-64",
    )
    to.add_argument(
        "--stats", action="store_true", help="tell exits and times on standard error at the end"
    )
    to.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object, with the guest's output in it, instead of the output",
    )


def serial(text: str) -> str:
    """Where a serial port may lead: stdio, null, pty or file:PATH."""
    if text in SERIAL_KINDS or (text.startswith("file:") and text != "file:"):
        return text
    from argparse import ArgumentTypeError

    raise ArgumentTypeError(f"{text!r} is not stdio, null, pty or file:PATH")


def _gdb(text: str) -> Address:
    from argparse import ArgumentTypeError

    from pykvm.gdb.address import parse_address

    try:
        return parse_address(text)
    except ValueError as error:
        raise ArgumentTypeError(str(error)) from None


def debugcon(text: str) -> str:
    """Where a debug console may lead: stdio, null or file:PATH."""
    if text in ("stdio", "null") or (text.startswith("file:") and text != "file:"):
        return text
    from argparse import ArgumentTypeError

    raise ArgumentTypeError(f"{text!r} is not stdio, null or file:PATH")
