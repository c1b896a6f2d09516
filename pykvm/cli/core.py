"""The core file of `pykvm run`: where it goes, and that it can go there; written at the end."""

from __future__ import annotations

import os
from contextlib import suppress

from pykvm.cli.streams import complain
from pykvm.errors import CoreError, PykvmError
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from pykvm.cli.run import Outcome
    from pykvm.cpu.protocol import Cpu
    from pykvm.debug.corenotes import CpuState
    from pykvm.machine import Machine

FIRMWARE = "firmware"
"""What a core is named after where there is no image."""


class CoreOption:
    """What the command line wants of core files.

    Args:
        args: the command line.
        image: the image's path; None for none.

    Raises:
        CoreError: there could be none where it wants one.
    """

    def __init__(self, args: argparse.Namespace, image: str | None) -> None:
        self._path: str | None = args.core
        self._only_on_crash = self._path is None
        self._program = os.path.basename(image or FIRMWARE)
        self._command = f"pykvm run {args.image or FIRMWARE}"
        if self._path is None:
            self._path = args.core_on_crash
            if self._path is not None and os.path.isdir(self._path):
                name = f"core.{self._program}.{os.getpid()}"
                self._path = os.path.join(self._path, name)
        if self._path is not None:
            from pykvm.debug.corefile import check_target

            check_target(self._path)

    def write(self, machine: Machine | None, outcome: Outcome) -> str | None:
        """Write a core of how `machine` ended, if one is wanted; whatever fails is only said.

        Returns:
            its path, if one was written.
        """
        path = self._path
        if path is None or (self._only_on_crash and outcome.crash is None):
            return None
        try:
            if machine is None:
                raise CoreError(f"{path}: there is no machine any more to make a core of")
            self._write(path, machine, outcome)
        except (PykvmError, OSError, MemoryError) as error:
            from pykvm.cli import failure

            complain(failure.explain(error).words)
            return None
        return path

    def _write(self, path: str, machine: Machine, outcome: Outcome) -> None:
        from pykvm.debug.corefile import write_core
        from pykvm.debug.corenotes import Origin

        crashed = 0 if outcome.crash is None else outcome.crash.processor or 0
        cpus = sorted(machine.cpus, key=lambda cpu: cpu.index != crashed)
        states = [_state(cpu) for cpu in cpus]
        origin = Origin(self._program, self._command)
        if not write_core(path, states, machine.memory, origin):
            complain(f"{path}: some of the guest's many mappings are not in the core")


def _state(cpu: Cpu) -> CpuState:
    from pykvm.debug.corenotes import CpuState

    fpu = None
    with suppress(PykvmError):
        fpu = cpu.vcpu.get_fpu()
    return CpuState(cpu.index, cpu.vcpu.get_regs(), cpu.vcpu.get_sregs(), fpu)
