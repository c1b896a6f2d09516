"""Run a guest image.

IMAGE is a file (Linux bzImage, Multiboot, PVH or plain ELF kernel, boot sector
or flat binary) or the name of a bundled guest, such as hello.  What the guest
sends to its first serial port is printed, and what is typed goes there.  At a
terminal, Ctrl-A x leaves and Ctrl-A h helps.

A boot sector is the first disk of a machine with a BIOS; the guest cannot
write it, while it can write each --drive.  With a BIOS, what is typed or piped
in goes to its keyboard.  A terminal shows its screen, once there is something
on it; from then on serial port and debug console are not shown there.  Where
standard output is no terminal (or TERM is dumb), what the BIOS prints goes
there as plain text, with the serial port's output.

exit status:
  0          the guest halted, switched the machine off, or asked for a reset
             (--reboot exit)
  (V<<1)|1   the guest wrote V to the debug-exit port 0xf4
  2          the command line is wrong
  124        --timeout passed
  125        pykvm could not start, or lost the guest's output, or the BIOS
             found nothing to boot from
  126        the guest crashed
  130        Ctrl-C, or Ctrl-A x
  143        SIGTERM or SIGHUP, or a debugger's kill
A debug-exit status can collide with the others: --json tells them apart.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext, suppress

from pykvm.cli import failure, run_options, start_up_is_over
from pykvm.cpu.stop import EXIT_CRASH, Stop, StopReason
from pykvm.errors import GuestCrash, PykvmError
from pykvm.named import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from pykvm.cli.chassis import Chassis
    from pykvm.cli.core import CoreOption
    from pykvm.cli.serial import SerialLine
    from pykvm.cli.signals import OrderlySignals
    from pykvm.devices.sinks import BufferSink
    from pykvm.gdb.address import Listener
    from pykvm.machine import Machine
    from pykvm.stats import Stats

add_arguments = run_options.add_arguments


class Outcome(NamedTuple):
    """How a run ended: one of `stop`, `crash` and `error` is there.

    Attributes:
        stop: it was stopped.
        crash: the guest crashed.
        error: the host failed it: its output's disk is full, a restart found no image, ...
        seconds: how long it ran.
        stats: its exits and times, if they were asked for.
        output: what the guest sent, if it was kept.
        restarts: how often the guest was started anew.
        image: the image's path, if it began with one.
        core: the core file that was written.
    """

    stop: Stop | None
    crash: GuestCrash | None
    error: PykvmError | OSError | MemoryError | None
    seconds: float
    stats: Stats | None
    output: BufferSink | None
    restarts: int = 0
    image: str | None = None
    core: str | None = None

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
    from pykvm.cli.start import require_something

    require_something(args)
    if args.gdb is None and (args.wait or args.gdb_arch != "auto"):
        from pykvm.cli.parser import make_parser

        option = "--wait" if args.wait else "--gdb-arch"
        make_parser("pykvm run", "").error(f"{option} needs --gdb")
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
    from pykvm.cli.chassis import Chassis
    from pykvm.cli.serial import SerialLine
    from pykvm.cli.start import check, find_image, make_machine

    check(args)
    image = None if args.image is None else find_image(args)
    core = _core_option(args, image)
    files = [(option.name, option.content()) for option in args.fw_cfg]
    counted = args.stats or args.json
    with (
        _listen(args) as listener,
        SerialLine(args.serial, capture=args.json, debugcon=args.debugcon) as line,
        Chassis(
            lambda: make_machine(
                args,
                image,
                files,
                line,
                stats=counted,
            ),
            counted=counted,
        ) as chassis,
    ):
        outcome = run_guest(chassis, line, signals, args, listener)
        return outcome._replace(
            stats=chassis.stats(),
            output=line.buffer,
            restarts=chassis.restarts,
            image=image,
            core=None if core is None else core.write(chassis.machine, outcome),
        )


def _core_option(args: argparse.Namespace, image: str | None) -> CoreOption | None:
    """What is wanted of core files; None if nothing is."""
    if args.core is None and args.core_on_crash is None:
        return None
    from pykvm.cli.core import CoreOption

    return CoreOption(args, image)


def _listen(args: argparse.Namespace) -> AbstractContextManager[Listener | None]:
    """Where debuggers may connect; None if none shall."""
    if args.gdb is None:
        return nullcontext()
    from pykvm.gdb.address import Listener

    return Listener(args.gdb)


def run_guest(
    chassis: Chassis,
    line: SerialLine,
    signals: OrderlySignals,
    args: argparse.Namespace,
    listener: Listener | None = None,
) -> Outcome:
    """Run the guest with its serial line; afterwards the terminal is as it was."""
    from pykvm.cli.signals import StopNow

    stop = crash = lost = None
    signals.guard(chassis, line, args.timeout)
    try:
        line.start(chassis)
        start_up_is_over()
        start = time.monotonic()
        try:
            with _runner(chassis, args, listener) as run:
                stop = _run_to_the_end(chassis, start, args, run)
        except StopNow as now:
            stop = now.stop
        except GuestCrash as error:
            crash = error
        except (PykvmError, OSError, MemoryError) as error:
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


@contextmanager
def _runner(
    chassis: Chassis, args: argparse.Namespace, listener: Listener | None
) -> Iterator[Callable[[Machine, float | None], Stop]]:
    """What runs machines: alone, or with a debugger that may come."""
    if listener is None:
        yield lambda machine, timeout: machine.run(timeout)
        return
    from pykvm.cli.run_options import ARCHITECTURE_NAMES
    from pykvm.cli.streams import write_error
    from pykvm.gdb.server import GdbServer

    write_error(f"gdb: target remote {listener.target}\n")
    with GdbServer(
        listener.socket,
        wait=args.wait,
        architecture=ARCHITECTURE_NAMES.get(args.gdb_arch),
        stopping=lambda: chassis.stopping,
        say=lambda words: write_error(f"{words}\n"),
    ) as server:
        chassis.on_stop = server.wake
        try:
            yield server.run
        finally:
            chassis.on_stop = None


def _is_triple_fault(crash: GuestCrash) -> bool:
    from pykvm.cpu.causes import is_triple_fault

    return is_triple_fault(crash.exit)


def _run_to_the_end(
    chassis: Chassis,
    start: float,
    args: argparse.Namespace,
    run: Callable[[Machine, float | None], Stop],
) -> Stop:
    """Run the guest, and with `--reboot restart` each that follows it.

    Args:
        chassis: where it is.
        start: when it started (`time.monotonic`).
        args: the command line.
        run: runs a machine.
    """
    timeout: float | None = args.timeout
    while True:
        assert chassis.machine is not None
        try:
            stop = run(chassis.machine, timeout)
            if args.reboot == "exit" or stop.reason is not StopReason.RESET:
                return stop
        except GuestCrash as error:
            if args.reboot == "exit" or not _is_triple_fault(error):
                raise
        if args.timeout is not None:
            timeout = start + args.timeout - time.monotonic()
            if timeout <= 0:
                return Stop(StopReason.TIMEOUT)
        chassis.restart()
