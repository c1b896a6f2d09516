"""KVM as an accelerator."""

from __future__ import annotations

from pykvm._shim import ffi
from pykvm.controllers import KINDS, check_processors
from pykvm.kvm.routes import Routes
from pykvm.kvm.system import System
from pykvm.kvm.vm import Vm
from pykvm.named import TYPE_CHECKING, cast
from pykvm.parts import make_as_new, make_cpus, place_memory, platform_of

if TYPE_CHECKING:
    import mmap
    import threading
    from collections.abc import Sequence
    from contextlib import ExitStack

    from pykvm.boot.platform import Platform
    from pykvm.controllers import NoControllers
    from pykvm.cpu.kvm import KvmCpu
    from pykvm.cpu.model import CpuModel
    from pykvm.cpu.msrs import MsrSpace
    from pykvm.cpu.protocol import Cpu
    from pykvm.cpu.shared import Shared
    from pykvm.memory import GuestMemory

ROM_SLOT = 2
"""RAM has the slots before it: one below and one above 4 GiB."""

USUAL_CONTROLLERS = "kernel"


class KvmAccelerator:
    """A machine of KVM's, as `pykvm.accelerators.Accelerator` says.

    Args:
        undo: closes it.
        posting: whether writes may be posted.
        system: an open /dev/kvm, which stays open; by default it is opened.

    Raises:
        KvmUnavailable: there is no usable /dev/kvm.
        KvmIoctlError: it makes no VM.
    """

    name = "kvm"
    instead_of = None

    def __init__(self, undo: ExitStack, *, posting: bool, system: System | None = None) -> None:
        if system is None:
            system = undo.enter_context(System())
        self.vm = undo.enter_context(Vm(system))
        self.routes = Routes(posting=posting)
        self._cpus: tuple[KvmCpu, ...] = ()
        self.ports, self.mmio = self.routes.ports, self.routes.mmio

    def make_controllers(self, kind: str | None, smp: int) -> NoControllers:
        """The interrupt controllers."""
        kind = USUAL_CONTROLLERS if kind is None else kind
        check_processors(self.vm, smp, kind)
        return KINDS[kind](self.vm)

    def place_memory(self, memory: GuestMemory) -> None:
        """Let the guest have its RAM."""
        place_memory(self.vm, memory)

    def place_rom(self, gpa: int, rom: mmap.mmap) -> None:
        """As ROM where the host's KVM has that: writes go nowhere."""
        from pykvm.kvm.capabilities import Capability
        from pykvm.kvm.memory_flags import MemoryFlag

        with ffi.from_buffer(rom) as window:
            address = int(ffi.cast("uintptr_t", window))
        flags = MemoryFlag.READONLY if self.vm.check(Capability.READONLY_MEM) else 0
        self.vm.set_memory_slot(ROM_SLOT, gpa, len(rom), address, flags)

    def take_rom(self) -> None:
        """Take it away again."""
        if self.vm.fd >= 0:
            self.vm.delete_memory_slot(ROM_SLOT)

    def catch_msrs(self, msrs: MsrSpace) -> None:
        """Ask `msrs` for registers that this KVM does not know, if it can."""
        msrs.catch_if_possible(self.vm)

    def make_cpus(
        self, count: int, shared: Shared, undo: ExitStack, *, model: CpuModel, stats: bool
    ) -> tuple[Cpu, ...]:
        """Make the processors."""
        shared = shared._replace(routes=self.routes)
        self._cpus = make_cpus(self.vm, count, shared, undo, model=model, stats=stats)
        return self._cpus

    def platform(self, controllers: NoControllers) -> Platform:
        """What firmware's tables are to tell of the machine."""
        return platform_of(self._cpus, controllers)

    def make_as_new(
        self, cpus: Sequence[Cpu], controllers: NoControllers, lock: threading.RLock
    ) -> None:
        """Take back what the last image did, if one ran."""
        make_as_new(self.vm, cast("Sequence[KvmCpu]", cpus), controllers, lock)
