"""The emulator as an accelerator: for machines where there is no /dev/kvm."""

from __future__ import annotations

import ctypes
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, NoReturn, cast

from pykvm.controllers import KINDS
from pykvm.cpu.emu import EmuCpu
from pykvm.cpu.model import HOST
from pykvm.emu.engine import PHYSICAL_END, Engine
from pykvm.emu.hooks import new_uc
from pykvm.emu.linear import Rom
from pykvm.emu.outcomes import Handlers
from pykvm.emu.state import check_layout
from pykvm.errors import CpuModelError, GuestMemoryError, KvmUnavailable, MachineError
from pykvm.layout import FIRMWARE_END, FIRMWARE_LOWEST

if TYPE_CHECKING:
    import mmap
    import threading
    from collections.abc import Sequence
    from contextlib import ExitStack

    from pykvm.boot.platform import Platform
    from pykvm.controllers import NoControllers
    from pykvm.cpu.model import CpuModel
    from pykvm.cpu.msrs import MsrSpace
    from pykvm.cpu.protocol import Cpu
    from pykvm.cpu.shared import Shared
    from pykvm.kvm.routes import Routes
    from pykvm.kvm.vm import Vm
    from pykvm.memory import GuestMemory

USUAL_CONTROLLERS = "user"
POSSIBLE_CONTROLLERS = ("user", "none")


class _Window(NamedTuple):
    """Host memory that the guest sees: where, how much of it, and where it is here."""

    gpa: int
    size: int
    address: int

    @property
    def end(self) -> int:
        """The first guest-physical address behind it."""
        return self.gpa + self.size


class EmuAccelerator:
    """An emulated machine, as `pykvm.accelerators.Accelerator` says.

    It has one processor, and PICs and a PIT of this process's.

    Args:
        instead_of: why it is not KVM, if nobody had asked for it.

    Raises:
        EmulatorUnavailable: there is no Unicorn, or not the one that pykvm knows.
    """

    name = "emu"
    ports = mmio = None

    def __init__(self, *, instead_of: KvmUnavailable | None = None) -> None:
        check_layout(new_uc())
        self.instead_of = instead_of
        self._ram: tuple[_Window, ...] = ()
        self._rom: _Window | None = None
        self._timed = False
        self._cpu: EmuCpu | None = None

    @property
    def vm(self) -> Vm:
        """There is none."""
        self._refuse("there is no KVM machine underneath")

    @property
    def routes(self) -> Routes:
        """There are none."""
        self._refuse("there is no C loop with routes")

    def _refuse(self, what: str) -> NoReturn:
        raise MachineError(f"the machine is emulated, {what}{self._way_out}")

    @property
    def _way_out(self) -> str:
        return ": --accel kvm" if self.instead_of is None else f"; no KVM: {self.instead_of}"

    def make_controllers(self, kind: str | None, smp: int) -> NoControllers:
        """The interrupt controllers."""
        kind = USUAL_CONTROLLERS if kind is None else kind
        if kind not in KINDS:
            raise MachineError(f"irqchip {kind!r}: it is one of {', '.join(KINDS)}")
        if kind not in POSSIBLE_CONTROLLERS:
            raise MachineError(
                f"irqchip {kind}: an emulated machine has {' or '.join(POSSIBLE_CONTROLLERS)}"
                f"{self._way_out}"
            )
        if smp < 1:
            raise MachineError(f"a machine has at least 1 processor, not {smp}")
        if smp > 1:
            raise MachineError(
                f"{smp} processors: an emulated machine has one, as it has no APICs{self._way_out}"
            )
        return KINDS[kind]()

    def place_memory(self, memory: GuestMemory) -> None:
        """Let the guest have its RAM."""
        if memory.end > PHYSICAL_END:
            raise GuestMemoryError(
                f"an emulated processor reaches {PHYSICAL_END >> 30} GiB, and RAM ends behind it"
            )
        self._ram = tuple(
            _Window(region.gpa, region.size, _address(region.view)) for region in memory.regions
        )

    def place_rom(self, gpa: int, rom: mmap.mmap) -> None:
        """Let the guest read `rom`; what it writes goes nowhere."""
        self._rom = _Window(gpa, len(rom), _address(memoryview(rom)))
        assert self._cpu is not None
        self._cpu.physical.rom = Rom(gpa, memoryview(rom))
        self._map_rom(self._cpu.engine, self._rom)

    def _map_rom(self, engine: Engine, rom: _Window) -> None:
        engine.unmap(rom.gpa, rom.size)
        engine.map(*rom, writable=False)

    def take_rom(self) -> None:
        """Take it away again."""
        assert self._cpu is not None
        assert self._rom is not None
        self._cpu.engine.unmap(self._rom.gpa, self._rom.size)
        self._cpu.engine.map_io(self._rom.gpa, self._rom.end)
        self._cpu.physical.rom = self._rom = None

    def catch_msrs(self, msrs: MsrSpace) -> None:
        """Unicorn does not ask: registers that it does not know read as 0."""

    def make_cpus(
        self, count: int, shared: Shared, undo: ExitStack, *, model: CpuModel, stats: bool
    ) -> tuple[Cpu, ...]:
        """Make the processor."""
        if model != HOST:
            raise CpuModelError(
                f"cpu {model}: an emulated processor has what the emulator has{self._way_out}"
            )
        self._timed = stats
        self._cpu = EmuCpu(self._make_engine, shared, stats=stats)
        undo.callback(self._cpu.close)
        return (self._cpu,)

    def _make_engine(self, handlers: Handlers) -> Engine:
        engine = Engine(handlers, timed=self._timed)
        start = 0
        for window in self._ram:
            _map_io(engine, start, window.gpa)
            engine.map(*window)
            start = window.end
        _map_io(engine, start, PHYSICAL_END)
        if self._rom is not None:
            self._map_rom(engine, self._rom)
        return engine

    def platform(self, controllers: NoControllers) -> Platform:
        """What firmware's tables are to tell of the machine."""
        from pykvm.boot.platform import Platform
        from pykvm.emu.cpuid import cpuid

        signature, _, _, features = cpuid(1, 0)
        return Platform(
            cpus=1,
            signature=signature,
            features=features,
            ioapic_version=controllers.ioapic_version,
            has_pics=controllers.has_pics,
        )

    def make_as_new(
        self, cpus: Sequence[Cpu], controllers: NoControllers, lock: threading.RLock
    ) -> None:
        """Take back what the last image did, if one ran."""
        if not any(cpu.has_run for cpu in cpus):
            return
        for cpu in cpus:
            cpu.settle()
            cast("EmuCpu", cpu).reset()
        with lock:
            controllers.copy(type(controllers)())


def _map_io(engine: Engine, start: int, end: int) -> None:
    """Have devices answer from `start` to `end`, which may be equal.

    What is to become ROM has a mapping of its own: Unicorn takes one apart page by page.
    """
    cuts = [cut for cut in (FIRMWARE_LOWEST, FIRMWARE_END) if start < cut < end]
    for first, last in pairwise([start, *cuts, end]):
        if first < last:
            engine.map_io(first, last)


def _address(view: memoryview) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(view))
