"""The BIOS put together: what it puts into RAM, how the machine starts, who serves what."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pykvm.bios import bda as field
from pykvm.bios.bda import Bda, initial_bda
from pykvm.bios.boot import Boot
from pykvm.bios.call import Call
from pykvm.bios.clock import Clock
from pykvm.bios.disk import DiskServices
from pykvm.bios.frame import Frame, take_frame
from pykvm.bios.image import FIRST_HARD_DISK
from pykvm.bios.keyboard import Keyboard
from pykvm.bios.rom import RESET, SEGMENT, build_rom, build_vectors
from pykvm.bios.screen import PAGE_DISTANCE, PAGES, Screen, blank_page
from pykvm.bios.serial import Serial
from pykvm.bios.stubs import MAY_WAIT
from pykvm.bios.system import SystemServices
from pykvm.bios.video import Video
from pykvm.boot.e820 import memory_map
from pykvm.boot.state import BootState, Piece
from pykvm.devices.crtc import Crtc
from pykvm.devices.sinks import NullSink
from pykvm.errors import GuestMemoryError
from pykvm.layout import (
    BIOS_AREA_END,
    BIOS_DATA,
    BIOS_ROM,
    EBDA,
    KIB,
    TEXT_SCREEN,
)
from pykvm.x86 import Mode, Rflags, real_segment

if TYPE_CHECKING:
    from pykvm.bios.image import Drive
    from pykvm.bios.ports import Ports
    from pykvm.bios.registers import Registers
    from pykvm.devices.sinks import Sink
    from pykvm.memory import GuestMemory


class Bios:
    """A small PC BIOS whose services run on the host.

        bios = Bios(memory, ports, drives=assign_drives([Disk("disk.img")]))
        ports.attach(BIOS_TRAP, 16, TrapPorts(call_it))  # reads registers, bios.interrupt(), ...
        cpu.load(bios.state())                           # its pieces put into RAM first

    Services are for real mode: addresses are segment bases plus offsets, taken as physical.  A
    call from anywhere but the BIOS's own segment is ignored, so that a guest that probes ports
    calls nothing.  All methods want the machine's lock held.

    Args:
        memory: guest RAM, at least 1 MiB.
        ports: the port bus, with COM1, the real-time clock and port 0x92 on it.
        drives: disks by BIOS drive number (see `image.assign_drives`).
        teletype: gets what is written as on a teletype, in UTF-8.
        stop: called with a reason when there is nothing to boot.
        ranges: the memory map, base, size and type; by default that of a bare machine.
        interrupts: the machine has interrupt controllers and a timer.  Then services that wait
            halt until the next interrupt, and the guest counts ticks itself; else they trap again
            and again, and ticks are counted at each call and by `poll`.
        monotonic: the host's clock, in ns.

    Attributes:
        keyboard: where the host types.
        screen: the video memory.
        crtc: the controller that shows it, for the port bus.

    Raises:
        GuestMemoryError: there is no room for a BIOS.
    """

    def __init__(
        self,
        memory: GuestMemory,
        ports: Ports,
        *,
        drives: Mapping[int, Drive] | None = None,
        teletype: Sink | None = None,
        stop: Callable[[str], None] = lambda reason: None,
        ranges: Sequence[tuple[int, int, int]] | None = None,
        interrupts: bool = True,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        if memory.low_end < BIOS_AREA_END:
            raise GuestMemoryError(
                f"a BIOS needs at least 1 MiB of guest memory, not {memory.low_end >> 10} KiB "
                "(more: -m)"
            )
        self._memory = memory
        self._drives = drives = {} if drives is None else dict(drives)
        self._interrupts = interrupts
        self._bda = bda = Bda(memory)
        self.screen = Screen(memory)
        self.crtc = Crtc(clock=monotonic)
        self.keyboard = Keyboard(bda)
        video = Video(
            memory, self.screen, self.crtc, bda, NullSink() if teletype is None else teletype
        )
        self._clock = Clock(bda, ports, monotonic=monotonic, interrupts=interrupts)
        system = SystemServices(
            memory,
            bda,
            ports,
            ranges=memory_map(memory.size) if ranges is None else ranges,
            monotonic=monotonic,
        )
        serial = Serial(bda, ports, monotonic=monotonic)
        boot = Boot(memory, drives, video, stop)
        self._services = {
            0x09: self.keyboard.scan_code,
            0x10: video.interrupt,
            0x11: system.equipment,
            0x12: system.memory_size,
            0x13: DiskServices(memory, bda, drives).interrupt,
            0x14: serial.interrupt,
            0x15: system.interrupt,
            0x16: self.keyboard.interrupt,
            0x17: serial.printer,
            0x18: boot.no_system,
            0x19: boot.bootstrap,
            0x1A: self._clock.interrupt,
        }

    def pieces(self) -> tuple[Piece, ...]:
        """What lies in RAM when the machine is switched on.

        The tick count in it is that of this moment.
        """
        floppies = [d.geometry for n, d in sorted(self._drives.items()) if n < FIRST_HARD_DISK]
        hard_disks = tuple(
            d.geometry for n, d in sorted(self._drives.items()) if n >= FIRST_HARD_DISK
        )
        area = bytearray(initial_bda(floppies=len(floppies), hard_disks=len(hard_disks)))
        area[field.TICKS : field.TICKS + 4] = self._clock.power_on().to_bytes(4, "little")
        screen = blank_page().ljust(PAGE_DISTANCE, b"\0") * PAGES
        rom = build_rom(
            interrupts=self._interrupts,
            hard_disks=hard_disks,
            floppy=floppies[0] if floppies else None,
        )
        return (
            _piece(0, build_vectors(hard_disks=len(hard_disks)), "the interrupt vectors"),
            _piece(BIOS_DATA, bytes(area), "the BIOS data area"),
            # its first byte is its size in KiB
            Piece(EBDA, b"\1", KIB, "the extended BIOS data area"),
            _piece(TEXT_SCREEN, screen, "the text screen"),
            _piece(BIOS_ROM, rom, "the BIOS"),
        )

    def state(self) -> BootState:
        """How the machine starts: at the BIOS's reset vector, with its pieces in RAM."""
        return BootState(
            mode=Mode.REAL,
            pieces=self.pieces(),
            rip=RESET,
            rsp=0,
            rflags=Rflags.FIXED,
            cs=real_segment(SEGMENT, code=True),
        )

    def interrupt(self, vector: int, registers: Registers) -> bool:
        """Serve an interrupt for a processor that is stopped at a stub's `out`.

        Args:
            vector: one of `stubs.VECTORS`; anything else is ignored.
            registers: changed in place; CF of `rflags` is the stub's afterwards.

        Returns:
            True if the service waits, so that its stub will call it again.  A machine without
            interrupts may sleep a little then, before it lets the processor go on.

        Raises:
            SinkError: the teletype's sink fails.
        """
        service = self._services.get(vector)
        if service is None or registers.cs.base != SEGMENT << 4:
            return False
        self._clock.count()
        call = Call(registers, self._memory)
        service(call)
        registers.rflags = registers.rflags & ~Rflags.CF | (Rflags.CF if call.signal else 0)
        return call.signal and vector in MAY_WAIT

    def poll(self) -> None:
        """Do what time and the host's keyboard ask for; call it some 20 times a second."""
        self._clock.count()
        self.keyboard.refill()

    def frame(self) -> Frame:
        """What is on the screen now."""
        return take_frame(self.screen, self.crtc, self._bda)


def _piece(gpa: int, data: bytes, name: str) -> Piece:
    return Piece(gpa, data, len(data), name)
