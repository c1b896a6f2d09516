"""Run a guest image and show each exit: why KVM left the guest, and its times.

IMAGE and its machine are as for `pykvm run`.  Each line of the table is one
return of KVM_RUN: when, on which processor, the exit's reason, what was
accessed and which device's that is, how long the processor was in guest and
kernel before, how long in userspace after it, who answered there (pykvm's C
loop or Python), and the instruction, where it can be found.  On a terminal
that is too narrow, columns are left out and lines are cut off.

What KVM handles itself is no exit and is not shown: its interrupt controllers,
HLT with --irqchip kernel or split, page faults.  The time of that, and of a
guest that sleeps, is part of guest+KVM.

An emulated guest (--accel emu) is traced, too: what it asks of its devices,
HLT and a triple fault are shown as the exits that KVM would make of them.
What they take is the emulator's affair, so there are no times.

The trace goes to standard output and the guest's output nowhere, or with
--serial file:PATH to a file.  With --output the trace goes to that file, and
the guest has standard input and output as in `pykvm run`.  The guest waits
while the trace is written, which is not counted as userspace's time.  If the
trace cannot be written any more (a full disk), one line says so and the guest
runs on to its end; but where nobody reads standard output any more (as behind
`head`) and the guest has no output of its own, it is stopped, silently.

exit status: that of `pykvm run`, and besides
  0          also when --limit ended the run
  125        also when the trace could not be written to its end, however the
             guest ended
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pykvm.cli import failure, trace_options
from pykvm.cpu.stop import Stop, StopReason
from pykvm.errors import MachineError, ReaderGoneError, SinkError

if TYPE_CHECKING:
    import argparse

    from pykvm.cli.serial import SerialLine
    from pykvm.cli.signals import OrderlySignals
    from pykvm.devices.sinks import Sink
    from pykvm.machine import Machine
    from pykvm.trace.form import Format
    from pykvm.trace.tracer import Tracer

add_arguments = trace_options.add_arguments

_UNREAD = Stop(StopReason.STOPPED, detail="nobody reads the trace")
"""Known by identity: nothing is said of it."""


def main(args: argparse.Namespace) -> int:
    """Run and trace the guest; returns the exit status."""
    from pykvm.cli.signals import OrderlySignals
    from pykvm.cli.start import require_something

    require_something(args, "pykvm trace")
    _check(args)
    with OrderlySignals() as signals:
        return _trace(args, signals)


def _check(args: argparse.Namespace) -> None:
    """Refuse what contradicts itself.

    Raises:
        SystemExit: it does, which was said.
    """
    from pykvm.cli.parser import make_parser

    if args.serial is None:
        args.serial = "null" if args.output is None else "stdio"
    elif args.serial == "stdio" and args.output is None:
        make_parser("pykvm trace", "").error(
            "--serial stdio needs --output: the trace has standard output"
        )
    if args.summary and args.format == "perfetto":
        make_parser("pykvm trace", "").error("a summary has no timeline: --format text or jsonl")


def _trace(args: argparse.Namespace, signals: OrderlySignals) -> int:
    from pykvm.cli.chassis import Chassis
    from pykvm.cli.report import tell
    from pykvm.cli.run import run_guest
    from pykvm.cli.serial import SerialLine
    from pykvm.cli.start import check, find_image, make_machine

    check(args)
    image = None if args.image is None else find_image(args)
    files = [(option.name, option.content()) for option in args.fw_cfg]
    tracers: list[Tracer] = []
    with (
        ExitStack() as undo,
        SerialLine(args.serial, capture=args.output is None, debugcon=args.debugcon) as line,
    ):
        sink = _open_output(args.output, line, undo)

        def make() -> Machine:
            machine = make_machine(
                args,
                image,
                files,
                line,
                stats=False,
            )
            try:
                tracers.append(_make_tracer(args, machine, image, sink))
            except BaseException:
                machine.close()
                raise
            return machine

        with Chassis(make) as chassis:
            outcome = run_guest(chassis, line, signals, args)._replace(image=image)
            (tracer,) = tracers
            tracer.finish()
    if not outcome.is_plain and outcome.stop is not _UNREAD:
        tell(outcome, stats=False, as_json=False)
    if tracer.lost is not None:
        return failure.EXIT_FAILURE
    return outcome.status


def _on_loss(error: SinkError, args: argparse.Namespace, machine: Machine) -> None:
    """Go on without a trace, unless nothing that anybody could see would come of it."""
    from pykvm.cli.streams import complain

    if isinstance(error, ReaderGoneError) and {args.serial, args.debugcon} == {"null"}:
        machine.stop(_UNREAD)
    else:
        complain(f"the trace ends here, the guest runs on: {error}")


def _make_tracer(
    args: argparse.Namespace,
    machine: Machine,
    image: str | None,
    sink: Sink,
) -> Tracer:
    from pykvm.debug.symbols import read_symbols
    from pykvm.trace.selection import EVERYTHING, Selection
    from pykvm.trace.tracer import Tracer

    kinds = args.only
    if kinds is None and args.summary and not args.port:
        kinds = EVERYTHING  # a guest that computes spends its time between ticks
    return Tracer(
        machine,
        _make_format(args, machine),
        sink,
        selection=Selection(kinds, tuple(args.port)),
        symbols=None if image is None else read_symbols(image),
        steps=args.step,
        limit=args.limit,
        on_limit=lambda: machine.stop(Stop(StopReason.STOPPED, detail="--limit")),
        on_loss=lambda error: _on_loss(error, args, machine),
    )


def _make_format(args: argparse.Namespace, machine: Machine) -> Format:
    """What turns events into text.

    Raises:
        MachineError: it needs times, and there are none.
    """
    from pykvm.trace.source import subject_of
    from pykvm.trace.words import device_finder

    subject = subject_of(machine)
    if args.summary:
        from pykvm.trace.summary import Summary

        return Summary(subject, as_json=args.format == "jsonl")
    device = device_finder(machine.ports, machine.mmio)
    if args.format == "jsonl":
        from pykvm.trace.jsonl import JsonLines

        return JsonLines(subject.clock, device)
    if args.format == "perfetto":
        from pykvm.trace.perfetto import Perfetto

        if subject.clock is None:
            raise MachineError(
                f"a timeline is made of times, and {subject.what} have none: --format text or jsonl"
            )
        return Perfetto(subject.clock, device)
    from pykvm.cli.streams import columns
    from pykvm.trace.text import TextFormat

    return TextFormat(subject, device, columns() if args.output is None else None)


def _open_output(path: str | None, line: SerialLine, undo: ExitStack) -> Sink:
    """Where the trace goes: a file, emptied, or standard output.

    Raises:
        SinkError: it cannot be written, or there is none.
    """
    if path is None:
        try:
            return line.watch(sys.stdout.fileno(), "standard output")
        except (AttributeError, OSError, ValueError):
            raise SinkError("standard output is closed (--output FILE needs none)") from None
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY, 0o666)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise SinkError(f"--output: cannot write {path!r}: {why}") from None
    undo.callback(os.close, fd)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        os.ftruncate(fd, 0)
    return line.watch(fd, path)
