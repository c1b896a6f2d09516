"""From an image to a machine about to run it: read, laid out, put into RAM."""

from __future__ import annotations

import os
from contextlib import ExitStack

from pykvm.boot import boot_image, read_image
from pykvm.boot.firmware_tables import tables_for
from pykvm.firmware_socket import Start
from pykvm.memory import Gpa
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence

    from pykvm.accelerators import Accelerator
    from pykvm.bios import Bios, Disk
    from pykvm.boot.platform import Platform
    from pykvm.boot.request import Module
    from pykvm.boot.state import BootState
    from pykvm.controllers import NoControllers
    from pykvm.cpu.processors import Processors
    from pykvm.cpu.protocol import Cpu
    from pykvm.firmware_socket import Socket
    from pykvm.memory import GuestMemory
    from pykvm.x86 import Mode


class Loadable:
    """The half of `Machine` that says what it runs: an image, disks, firmware."""

    memory: GuestMemory
    accelerator: Accelerator
    cpus: tuple[Cpu, ...]
    lock: threading.RLock
    _platform: Platform
    _socket: Socket
    _controllers: NoControllers
    _processors: Processors

    @property
    def bios(self) -> Bios | None:
        """The BIOS that it was started through: its keyboard, its screen."""
        return self._socket.bios

    def load(
        self,
        image: str | os.PathLike[str] | bytes,
        *,
        mode: Mode | None = None,
        load_address: int | None = None,
        entry: int | None = None,
        cmdline: str = "",
        modules: Sequence[Module] = (),
        bios: bool = True,
    ) -> BootState:
        """Put an image into RAM and the first processor at its entry; the others wait for INIT.

        What has a boot sector, comes without mode or address, and has 1 MiB of RAM or more, is a
        disk that the guest cannot write, booted through a BIOS as by `boot`.

        Args:
            image: a file's path, or an image's bytes.
            mode: how to enter it, where it leaves a choice.  A flat image: by default as its
                name's ending says: ".bin32" in protected mode, ".bin64" in long mode, all others
                in real mode.  A Linux kernel: by default in protected mode, else in long mode.
            load_address: where to load a flat image (guest-physical); by default 0x1000, or
                0x7C00 for a boot sector.
            entry: where to enter (guest-physical); by default where the image says or begins.
            cmdline: the kernel's command line (Multiboot, PVH, Linux).
            modules: what is loaded beside the kernel; for Linux, one behind the other, its initrd.
            bios: False: a boot sector, and all that follows it, is loaded and entered directly.

        Returns:
            where everything went.

        Raises:
            ImageError: it cannot be read or booted.
        """
        start = plan_start(
            self._socket,
            image,
            self.memory.size,
            self._platform,
            mode=mode,
            load_address=load_address,
            entry=entry,
            cmdline=cmdline,
            modules=modules,
            bios=bios,
        )
        return self._begin(start)

    def boot(self, disks: Sequence[Disk], *, own: bool = False) -> Bios:
        """Boot from the first of some disks, through pykvm's BIOS, at the machine's power-on.

        Args:
            disks: images by drive, the first of them booted from.
            own: they are the machine's from now on, which closes them, even if it cannot boot;
                else they stay the caller's, to be closed after the machine.

        Returns:
            the BIOS; it is also in `bios`, until something else is loaded.

        Raises:
            DiskError: there are too many, or one cannot be read.
            GuestMemoryError: there is less than 1 MiB of RAM.
        """
        with ExitStack() as guard:
            if own:
                for disk in disks:
                    guard.callback(disk.close)
            start = self._socket.plan_disks(disks, self._platform)
            guard.pop_all()
        self._begin(start._replace(own_disks=tuple(disks) if own else ()))
        assert start.bios is not None
        return start.bios

    def boot_firmware(self, image: bytes) -> None:
        """Start a firmware image, such as SeaBIOS, at the processor's reset vector.

        Args:
            image: see `pykvm.boot.firmware_image`: `read_seabios`, `read_firmware`.

        Raises:
            ImageError: it is no firmware image.
            GuestMemoryError: there is less than 1 MiB of RAM.
        """
        self._begin(self._socket.plan_rom(image))

    def read_physical(self, gpa: int, length: int) -> bytes | None:
        """What the guest finds in RAM, or in a firmware image's ROM, at a physical address.

        None where not all of it is either.
        """
        if self.memory.contains(gpa, length):
            return self.memory.read(Gpa(gpa), length)
        return self._socket.read_rom(gpa, length)

    def take_keys(self) -> list[int]:
        """Take away the keys that its guest has not read, for the BIOS keyboard (`Keyboard.give`)
        of a machine that follows it; none without a BIOS.

        Those in the guest's own buffer are among them unless it is in protected mode.

        Raises:
            RuntimeError: it is running.
        """
        self._processors.refuse_while_running()
        with self.lock:
            return self._socket.take_keys()

    def _begin(self, start: Start) -> BootState:
        try:
            self._processors.refuse_while_running()
            self.accelerator.make_as_new(self.cpus, self._controllers, self.lock)
            with self.lock:
                self._socket.plug(start, self.cpus)
                put_into_ram(start.state, self.memory)
            self.cpus[0].load(start.state)
        except BaseException:
            start.abandon()
            raise
        return start.state


def plan_start(
    socket: Socket,
    image: str | os.PathLike[str] | bytes,
    ram: int,
    platform: Platform,
    *,
    mode: Mode | None,
    load_address: int | None,
    entry: int | None,
    cmdline: str,
    modules: Sequence[Module],
    bios: bool,
) -> Start:
    """What `Machine.load` is to do: through the BIOS where the image suits it and nothing is said.

    Raises:
        ImageError, DiskError: it cannot be read or booted.
    """
    told = (mode, load_address, entry) != (None, None, None) or cmdline or modules
    if bios and not told and socket.suits(image):
        return socket.plan_image(image, platform)
    state = plan_boot(
        image,
        ram,
        platform,
        mode=mode,
        load_address=load_address,
        entry=entry,
        cmdline=cmdline,
        modules=modules,
    )
    return Start(state)


def plan_boot(
    image: str | os.PathLike[str] | bytes,
    ram: int,
    platform: Platform,
    *,
    mode: Mode | None,
    load_address: int | None,
    entry: int | None,
    cmdline: str,
    modules: Sequence[Module],
) -> BootState:
    """What starting `image` means on a machine with `ram` bytes of RAM.

    The other arguments are those of `Machine.load`.

    Raises:
        ImageError: it cannot be read or booted.
    """
    if isinstance(image, bytes):
        name, content = "", image
    else:
        name, content = os.fspath(image), read_image(image, ram)
    firmware = tables_for(content, platform, ram)
    state = boot_image(
        content,
        ram,
        name=name,
        mode=mode,
        load_address=load_address,
        entry=entry,
        cmdline=cmdline,
        modules=modules,
        rsdp=firmware.rsdp,
        reserved=firmware.reserved,
    )
    return state._replace(pieces=(*state.pieces, *firmware.pieces))


def put_into_ram(state: BootState, memory: GuestMemory) -> None:
    """Write the pieces of a plan that fits."""
    for piece in state.pieces:
        memory.write(Gpa(piece.gpa), piece.data)
        memory.zero(Gpa(piece.gpa + len(piece.data)), piece.size - len(piece.data))
