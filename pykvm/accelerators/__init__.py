"""Accelerators: who plays a machine's processors and keeps its RAM, KVM or the emulator.

Everything else of a machine, its buses, devices, boot and ends, does not know which one it is.
"""

from __future__ import annotations

from pykvm.errors import EmulatorUnavailable, KvmUnavailable, MachineError
from pykvm.named import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import mmap
    import threading
    from collections.abc import Sequence
    from contextlib import ExitStack

    from pykvm import bus
    from pykvm.boot.platform import Platform
    from pykvm.controllers import NoControllers
    from pykvm.cpu.model import CpuModel
    from pykvm.cpu.msrs import MsrSpace
    from pykvm.cpu.protocol import Cpu
    from pykvm.cpu.shared import Shared
    from pykvm.kvm.routes import Routes
    from pykvm.kvm.system import System
    from pykvm.kvm.vm import Vm
    from pykvm.memory import GuestMemory

NAMES = ("auto", "kvm", "emu")
"""What users may ask for."""


class Accelerator(Protocol):
    """Who plays a machine."""

    @property
    def name(self) -> str:
        """ "kvm" or "emu"."""

    @property
    def instead_of(self) -> KvmUnavailable | None:
        """Why it is not KVM, if nobody had asked for another."""

    @property
    def vm(self) -> Vm:
        """The KVM machine; raises MachineError where there is none."""

    @property
    def routes(self) -> Routes:
        """What the C loop answers itself; raises MachineError where there is none."""

    @property
    def ports(self) -> bus.Accelerator | None:
        """What can answer for devices on the port bus."""

    @property
    def mmio(self) -> bus.Accelerator | None:
        """What can answer for devices on the memory bus."""

    def make_controllers(self, kind: str | None, smp: int) -> NoControllers:
        """The interrupt controllers, for a machine that can be.

        Args:
            kind: by the name that users know; None for the usual ones.
            smp: how many processors it is to have.

        Raises:
            MachineError: there is no such machine.
        """

    def place_memory(self, memory: GuestMemory) -> None:
        """Let the guest have its RAM."""

    def place_rom(self, gpa: int, rom: mmap.mmap) -> None:
        """Let the guest read `rom` at `gpa`; where possible, what it writes goes nowhere."""

    def take_rom(self) -> None:
        """Take it away again; without effect on a closed machine."""

    def catch_msrs(self, msrs: MsrSpace) -> None:
        """Ask `msrs` for registers that are not known, where that is possible."""

    def make_cpus(
        self, count: int, shared: Shared, undo: ExitStack, *, model: CpuModel, stats: bool
    ) -> tuple[Cpu, ...]:
        """Make the processors, after the interrupt controllers; `undo` closes them.

        Raises:
            CpuModelError: there is no such processor to be had.
        """

    def platform(self, controllers: NoControllers) -> Platform:
        """What firmware's tables are to tell of the machine, whose processors are there."""

    def make_as_new(
        self, cpus: Sequence[Cpu], controllers: NoControllers, lock: threading.RLock
    ) -> None:
        """Take back what the last image did to processors and controllers, if one ran."""


def open_accelerator(
    name: str, undo: ExitStack, *, posting: bool, system: System | None = None
) -> Accelerator:
    """The accelerator of a machine.

    Args:
        name: "kvm", "emu", or "auto": KVM if it can be used, else the emulator.
        undo: closes what it opens.
        posting: whether writes may be posted.
        system: an open /dev/kvm; by default it is opened.

    Raises:
        MachineError: there is none of that name.
        KvmUnavailable: there is no usable /dev/kvm, and no emulator to do without.
        EmulatorUnavailable: the emulator was asked for, and there is none.
    """
    if name not in NAMES:
        raise MachineError(f"accelerator {name!r}: it is one of {', '.join(NAMES)}")
    if name != "emu" or system is not None:
        from pykvm.accelerators.kvm import KvmAccelerator

        try:
            return KvmAccelerator(undo, posting=posting, system=system)
        except KvmUnavailable as error:
            if name == "kvm":
                raise
            unavailable = error
    else:
        unavailable = None
    from pykvm.accelerators.emu import EmuAccelerator

    try:
        return EmuAccelerator(instead_of=unavailable)
    except EmulatorUnavailable as error:
        if unavailable is None:
            raise
        raise KvmUnavailable(unavailable.cause, f"{unavailable}; and {error}") from error
