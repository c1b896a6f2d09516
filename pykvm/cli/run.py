"""Run a guest image.

IMAGE is a file (Linux bzImage, Multiboot, PVH or plain ELF kernel, boot sector
or flat binary) or the name of a bundled guest, such as hello.  What the guest
sends to its first serial port is printed, and what is typed goes there.  At a
terminal, Ctrl-A x leaves and Ctrl-A h helps.

exit status:
  0          the guest halted, or asked for a reset
  (V<<1)|1   the guest wrote V to the debug-exit port 0xf4
  2          the command line is wrong
  124        --timeout passed
  125        pykvm could not start, or lost the guest's output
  126        the guest crashed
  130        Ctrl-C, or Ctrl-A x
  143        SIGTERM or SIGHUP
A debug-exit status can collide with the others: --json tells them apart.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from pykvm.cli import failure, run_options, start_up_is_over
from pykvm.cpu.stop import EXIT_CRASH, Stop, StopReason
from pykvm.devices.sinks import NullSink
from pykvm.errors import GuestCrash, ImageError, PykvmError
from pykvm.layout import DEFAULT_RAM
from pykvm.x86 import Mode

if TYPE_CHECKING:
    import argparse

    from pykvm.boot import Module
    from pykvm.boot.module_file import ModuleFile
    from pykvm.cli.serial import SerialLine
    from pykvm.cli.signals import OrderlySignals
    from pykvm.devices.sinks import BufferSink
    from pykvm.machine import Machine
    from pykvm.stats import Stats

add_arguments = run_options.add_arguments


class Outcome(NamedTuple):
    """How a run ended: one of `stop`, `crash` and `error` is there.

    Attributes:
        stop: it was stopped.
        crash: the guest crashed.
        error: the host failed it: its output's disk is full, ...
        seconds: how long it ran.
        stats: its exits and times, if they were asked for.
        output: what the guest sent, if it was kept.
    """

    stop: Stop | None
    crash: GuestCrash | None
    error: PykvmError | None
    seconds: float
    stats: Stats | None
    output: BufferSink | None

    @property
    def status(self) -> int:
        """The exit status."""
        if self.stop is not None:
            return self.stop.status
        return EXIT_CRASH if self.crash is not None else failure.EXIT_FAILURE

    @property
    def is_plain(self) -> bool:
        """Whether the guest ended itself in one of the usual ways, of which nothing is said."""
        usual = (StopReason.HALTED, StopReason.DEBUG_EXIT, StopReason.POWER_OFF)
        return self.stop is not None and self.stop.reason in usual


def main(args: argparse.Namespace) -> int:
    """Run the guest; returns the exit status."""
    from pykvm.cli.signals import OrderlySignals

    with OrderlySignals() as signals:
        try:
            outcome = _run_image(args, signals)
        except failure.EXPECTED as error:
            if args.json:
                from pykvm.cli.report import print_failure

                print_failure(error)
            raise
        if args.json or args.stats or not outcome.is_plain:
            from pykvm.cli.report import tell

            tell(outcome, stats=args.stats, as_json=args.json)
    return outcome.status


def _run_image(args: argparse.Namespace, signals: OrderlySignals) -> Outcome:
    from pykvm.cli.serial import SerialLine
    from pykvm.machine import Machine

    image = _find_image(args)
    files = [(option.name, option.content()) for option in args.fw_cfg]
    counted = args.stats or args.json
    with (
        SerialLine(args.serial, capture=args.json) as line,
        Machine(
            DEFAULT_RAM if args.memory is None else args.memory,
            serial=line.sink,
            debug=NullSink(),
            strict=args.strict,
            testdev=args.testdev,
            stats=counted,
            irqchip=args.irqchip,
            smp=args.smp or 1,
            cpu=args.cpu,
        ) as machine,
    ):
        for name, content in files:
            machine.board.fw_cfg.add_file(name, content)
        machine.load(
            image,
            mode=None if args.mode == "auto" else Mode(args.mode),
            load_address=args.load_addr,
            entry=args.entry,
            cmdline=args.append or "",
            modules=_read_modules(args, machine.memory.size),
        )
        outcome = _run(machine, line, signals, args.timeout)
        return outcome._replace(
            stats=machine.stats() if counted else None,
            output=line.buffer,
        )


def _find_image(args: argparse.Namespace) -> str:
    """The image's path.  A bare name that is no file is a bundled guest's, with its own setting."""
    import os.path

    image: str = args.image
    if not image:
        raise ImageError("the image's name is empty")
    if os.path.lexists(image) or os.sep in image:
        return image
    from pykvm.manifest import find_guest

    guest = find_guest(image)
    if guest is None:
        from pykvm.cli.suggest import unknown_guest

        raise ImageError(unknown_guest(image))
    if args.mode == "auto" and guest.mode is not None:
        args.mode = guest.mode.value
    if args.memory is None:
        args.memory = guest.memory
    if args.smp is None:
        args.smp = guest.smp
    if args.load_addr is None:
        args.load_addr = guest.load_address
    if args.append is None:
        args.append = guest.cmdline
    if args.initrd is None and args.module is None:
        args.module = guest.modules
    return str(guest.path)


def _read_modules(args: argparse.Namespace, ram: int) -> list[Module]:
    files: list[ModuleFile] = list(args.module or ())
    if args.initrd is not None:
        from pykvm.boot.module_file import ModuleFile

        files.insert(0, ModuleFile(args.initrd, args.initrd))
    return [file.read(ram) for file in files]


def _run(
    machine: Machine, line: SerialLine, signals: OrderlySignals, timeout: float | None
) -> Outcome:
    """Run the guest with its serial line; afterwards the terminal is as it was."""
    from pykvm.cli.signals import StopNow

    stop = crash = lost = None
    signals.guard(machine, line, timeout)
    try:
        line.start(machine)
        start_up_is_over()
        start = time.monotonic()
        try:
            stop = machine.run(timeout)
        except StopNow as now:
            stop = now.stop
        except GuestCrash as error:
            crash = error
        except PykvmError as error:
            lost = error
        outcome = Outcome(stop, crash, lost, time.monotonic() - start, None, None)
        if outcome.is_plain or crash is not None:
            with suppress(StopNow):
                line.drain()
        return outcome
    finally:
        # guarded until here, so that no signal comes between a raw terminal and its restoration
        line.close()
        signals.release()
