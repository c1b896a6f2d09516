"""What a machine starts through, if not straight in an image: pykvm's BIOS, or a firmware image."""

from __future__ import annotations

import mmap
import os
import threading

from pykvm.boot.flat import is_boot_sector
from pykvm.boot.image import mode_by_name, read_start
from pykvm.boot.kinds import is_kernel
from pykvm.cpu.stop import Stop, StopReason
from pykvm.errors import GuestMemoryError
from pykvm.layout import BIOS_AREA_END, BIOS_TRAP, CRTC, VGA_STATUS
from pykvm.memory import Gpa
from pykvm.named import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pykvm.accelerators import Accelerator
    from pykvm.bios import Bios, Disk
    from pykvm.boot.firmware_image import FirmwareImage
    from pykvm.boot.platform import Platform
    from pykvm.boot.state import BootState
    from pykvm.bus import Bus
    from pykvm.cpu.protocol import Cpu
    from pykvm.devices.sinks import Sink
    from pykvm.memory import GuestMemory

NAP = 0.001
"""Seconds that a processor sleeps whose BIOS service waits, where no interrupt could wake it."""


class Start(NamedTuple):
    """How a machine starts.

    Attributes:
        state: what lies in RAM, and the first processor.
        bios: who serves the BIOS's traps; None for no such BIOS.
        own_disks: close them when the machine starts anew.
        rom: a firmware image, which wants memory of its own.
    """

    state: BootState
    bios: Bios | None = None
    own_disks: tuple[Disk, ...] = ()
    rom: FirmwareImage | None = None

    def abandon(self) -> None:
        """It is not to be."""
        for disk in self.own_disks:
            disk.close()


class Socket:
    """Where a machine's firmware sits.  One `Start` at a time is plugged in.

    Args:
        accelerator: who plays the machine.
        memory: its RAM.
        ports: its port bus, with the board's devices.
        lock: held while devices are called.
        teletype: gets what the BIOS writes on the screen as on a teletype.
        post: called with a stop when there is nothing to boot from.
        interrupts: it has a PIC and a PIT.

    Attributes:
        bios: the one that is plugged in.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        memory: GuestMemory,
        ports: Bus,
        lock: threading.RLock,
        *,
        teletype: Sink | None,
        post: Callable[[Stop], None],
        interrupts: bool,
    ) -> None:
        self._accelerator, self._memory, self._ports = accelerator, memory, ports
        self._lock = lock
        self._teletype = teletype
        self._post = post
        self._interrupts = interrupts
        self._own_disks: tuple[Disk, ...] = ()
        self._rom: mmap.mmap | None = None
        self._rom_gpa = 0
        self.bios: Bios | None = None
        self._first_cpu: Cpu | None = None

    def suits(self, image: str | os.PathLike[str] | bytes) -> bool:
        """Whether an image that comes without instructions is to be booted as a disk.

        It has a boot sector, is no kernel, and there is RAM enough for a BIOS.
        """
        if self._memory.size < BIOS_AREA_END:
            return False
        if isinstance(image, bytes):
            return is_boot_sector(image) and not is_kernel(image)
        if mode_by_name(os.fspath(image)) is not None:
            return False
        start, size = read_start(image)
        return is_boot_sector(start, size) and not is_kernel(start)

    def plan_image(self, image: str | os.PathLike[str] | bytes, platform: Platform) -> Start:
        """Boot an image as a disk that nobody else has; the guest cannot write it.

        Raises:
            DiskError: it cannot be read.
        """
        from pykvm.bios import Disk

        disk = _disk_of(image) if isinstance(image, bytes) else Disk(image, readonly=True)
        try:
            return self.plan_disks((disk,), platform)._replace(own_disks=(disk,))
        except BaseException:
            disk.close()
            raise

    def plan_disks(self, disks: Sequence[Disk], platform: Platform) -> Start:
        """Boot from the first disk, through pykvm's BIOS.

        Raises:
            DiskError: there are too many, or one cannot be read.
            GuestMemoryError: there is no room for a BIOS.
        """
        from pykvm.bios import Bios, assign_drives
        from pykvm.boot.firmware_tables import firmware_tables

        self._refuse_closed()
        bios = Bios(
            self._memory,
            self._ports,
            drives=assign_drives(disks),
            teletype=self._teletype,
            stop=lambda reason: self._post(Stop(StopReason.NOT_BOOTED, detail=reason)),
            interrupts=self._interrupts,
        )
        state = bios.state()
        platform = platform._replace(has_screen=True)
        tables = firmware_tables(platform, self._memory.size).pieces
        return Start(state._replace(pieces=(*state.pieces, *tables)), bios)

    def plan_rom(self, image: bytes) -> Start:
        """Start from a firmware image.

        Raises:
            ImageError: it is none.
            GuestMemoryError: there is no room for its copy below 1 MiB.
        """
        from pykvm.boot.firmware_image import boot_firmware

        self._refuse_closed()
        if self._memory.size < BIOS_AREA_END:
            raise GuestMemoryError(
                f"firmware needs at least 1 MiB of guest memory, not "
                f"{self._memory.size >> 10} KiB (more: -m)"
            )
        rom = boot_firmware(image)
        return Start(rom.state, rom=rom)

    def plug(self, start: Start, cpus: Sequence[Cpu]) -> None:
        """Take the firmware of `start`, instead of what is there.

        Args:
            start: how the machine starts.
            cpus: its processors.
        """
        self.unplug()
        self._own_disks = start.own_disks
        if start.rom is not None:
            self._map_rom(start.rom)
        if start.bios is not None:
            from pykvm.bios import TrapPorts
            from pykvm.bios.trap import PORTS
            from pykvm.devices.crtc import LENGTH

            calls = BiosCalls(start.bios, cpus, self._lock, naps=not self._interrupts)
            self._ports.attach(BIOS_TRAP, PORTS, TrapPorts(calls.serve))
            self._ports.attach(CRTC, LENGTH, start.bios.crtc)
            self._ports.attach(VGA_STATUS, 1, start.bios.crtc.status)
            self.bios, self._first_cpu = start.bios, cpus[0]

    def unplug(self) -> None:
        """Take out what is there."""
        if self.bios is not None:
            self.bios = None
            for port in (BIOS_TRAP, CRTC, VGA_STATUS):
                self._ports.detach(port)
        if self._rom is not None:
            self._accelerator.take_rom()
            self._rom.close()
            self._rom = None
        for disk in self._own_disks:
            disk.close()
        self._own_disks = ()

    def read_rom(self, gpa: int, length: int) -> bytes | None:
        """Bytes of the firmware image that is plugged in; None where it is not."""
        start = gpa - self._rom_gpa
        if self._rom is None or start < 0 or start + length > len(self._rom):
            return None
        return self._rom[start : start + length]

    def poll(self) -> None:
        """Have the BIOS look at the clock and the host's keyboard."""
        if self.bios is not None and self._is_in_real_mode():
            self.bios.poll()

    def take_keys(self) -> list[int]:
        """Take away the keys that the guest has not read; see `Loadable.take_keys`."""
        if self.bios is None:
            return []
        return self.bios.keyboard.take(from_guest=self._is_in_real_mode())

    def _is_in_real_mode(self) -> bool:
        """Whether the first processor is: in protected mode, RAM may be somebody's who knows of no
        BIOS data area."""
        cpu = self._first_cpu
        return cpu is not None and cpu.read_bios_registers() is not None

    def _refuse_closed(self) -> None:
        """Raise GuestMemoryError if the machine is closed."""
        self._memory.view(Gpa(0), 1)

    def _map_rom(self, rom: FirmwareImage) -> None:
        self._rom = mmap.mmap(-1, len(rom.data))
        self._rom[:], self._rom_gpa = rom.data, rom.gpa
        self._accelerator.place_rom(rom.gpa, self._rom)


class BiosCalls:
    """Has a BIOS serve the processor that traps, in that one's own thread.

    The trap is dispatched before the processor goes on; until then, its registers can be read and
    written.  Services are for real mode: any other's trap is ignored.

    Args:
        bios: who serves.
        cpus: whoever may trap.
        lock: the machine's, held in `serve`.
        naps: a service that waits is asked again at once, since no interrupt wakes a processor: let
            it, and the lock, rest a little in between.
    """

    def __init__(
        self, bios: Bios, cpus: Sequence[Cpu], lock: threading.RLock, *, naps: bool
    ) -> None:
        self._bios = bios
        self._cpus = cpus
        self._rest = threading.Condition(lock)
        self._naps = naps

    def serve(self, vector: int) -> None:
        """Serve an interrupt for the processor whose thread this is; for any other thread, none."""
        cpu = next((cpu for cpu in self._cpus if cpu.runs_here), None)
        if cpu is None:
            return
        registers = cpu.read_bios_registers()
        if registers is None:
            return
        waits = self._bios.interrupt(vector, registers)
        cpu.write_bios_registers(registers)
        if waits and self._naps:
            self._rest.wait(NAP)


def _disk_of(image: bytes) -> Disk:
    """A disk of an image that is no file; what it needs of the host goes when it is closed."""
    from pykvm.bios import Disk

    fd = os.memfd_create("pykvm-disk")
    try:
        with os.fdopen(fd, "wb", closefd=False) as file:
            file.write(image)
        return Disk(f"/proc/self/fd/{fd}", readonly=True)
    finally:
        os.close(fd)
