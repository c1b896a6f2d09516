"""The machine: RAM, buses, devices and a processor, put together, run and taken apart."""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from pykvm._shim import ffi
from pykvm.board import attach_testdev, build_board
from pykvm.boot import boot_image, read_image
from pykvm.bus import MEMORY_SPACE, PORT_SPACE, Bus
from pykvm.cpu.kvm import KvmCpu
from pykvm.cpu.stop import Stop, StopReason, StopRequest
from pykvm.devices.sinks import BufferSink
from pykvm.errors import GuestMemoryError
from pykvm.irq import IrqLine
from pykvm.kvm.routes import Routes
from pykvm.kvm.system import System
from pykvm.kvm.vm import Vm
from pykvm.layout import DEFAULT_RAM, IDENTITY_MAP_ADDRESS, MIN_RAM, TSS_ADDRESS
from pykvm.memory import Gpa, GuestMemory, parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykvm.boot.request import Module
    from pykvm.boot.state import BootState
    from pykvm.devices.sinks import Sink
    from pykvm.stats import Stats
    from pykvm.x86 import Mode

OUTPUT_KEPT = 16 << 20
"""How many bytes of a guest's output are kept: it may print for ever."""


class Machine:
    """A small PC on KVM.

        with Machine(memory="1M") as machine:
            machine.load("guests/hello.bin")
            stop = machine.run(timeout=5)
            print(machine.output)

    Close it (or leave the `with` block) to give everything back.

    Args:
        memory: RAM, in bytes or as text ("64K", "16M", "1G"); a multiple of 4096, at least
            64 KiB, at most eight times what the host has.
        serial: where COM1 sends; by default the first 16 MiB are kept, for `output`.
        debug: where the debug consoles at 0xE9 and 0x402 send; by default kept likewise.
        strict: an access that no device claims crashes the guest.
        testdev: attach the test device that test kernels for KVM look for.
        stats: keep the counts and times that `stats` tells; costs two clock reads an exit.
        system: an open `System` to use; it stays open.  By default /dev/kvm is opened.

    Attributes:
        memory: guest RAM.
        ports, mmio: the buses; attach your own devices to them.
        cpus: the processors.
        board: the devices that are always there.
        vm: the KVM machine underneath.
        routes: what the C loop answers without Python.
        lock: held while devices are called; take it to touch a device from another thread.

    Raises:
        KvmUnavailable: there is no usable /dev/kvm.
        KvmIoctlError: the host refused a part of the machine.
        GuestMemoryError: such memory cannot be had.
    """

    def __init__(
        self,
        memory: int | str = DEFAULT_RAM,
        *,
        serial: Sink | None = None,
        debug: Sink | None = None,
        strict: bool = False,
        testdev: bool = False,
        stats: bool = False,
        system: System | None = None,
    ) -> None:
        size = parse_size(memory) if isinstance(memory, str) else memory
        if size < MIN_RAM:
            raise GuestMemoryError(
                f"a machine needs at least {MIN_RAM >> 10} KiB of RAM, not {size} bytes"
            )
        self._requests = StopRequest()
        self.lock = threading.RLock()
        self._run_ns = 0
        self._serial_sink = BufferSink(OUTPUT_KEPT) if serial is None else serial
        self._debug_sink = BufferSink(OUTPUT_KEPT) if debug is None else debug
        self.routes = Routes()
        self.ports = Bus("port", PORT_SPACE, strict=strict, accelerator=self.routes.ports)
        self.mmio = Bus("MMIO", MEMORY_SPACE, strict=strict, accelerator=self.routes.mmio)
        with ExitStack() as undo:
            self.memory = undo.enter_context(GuestMemory(size))
            self.board = build_board(
                self.ports,
                ram=size,
                memory=self.memory,
                serial=self._serial_sink,
                debug=self._debug_sink,
                line=lambda _: IrqLine(),
                stop=self._requests.post,
            )
            if testdev:
                attach_testdev(
                    self.ports,
                    self.mmio,
                    line=lambda _: IrqLine(),
                    flush=self.memory.forget_mapping,
                )
            if system is None:
                system = undo.enter_context(System())
            self.vm = undo.enter_context(Vm(system))
            self._place_memory()
            cpu = KvmCpu(
                self.vm,
                0,
                ports=self.ports,
                mmio=self.mmio,
                memory=self.memory,
                routes=self.routes,
                requests=self._requests,
                lock=self.lock,
                stats=stats,
            )
            undo.callback(cpu.close)
            self.cpus: tuple[KvmCpu, ...] = (cpu,)
            self._cleanup = undo.pop_all()

    def _place_memory(self) -> None:
        self.vm.set_tss_address(TSS_ADDRESS)
        self.vm.set_identity_map_address(IDENTITY_MAP_ADDRESS)
        for slot, region in enumerate(self.memory.regions):
            with ffi.from_buffer(region.view) as start:
                address = int(ffi.cast("uintptr_t", start))
            self.vm.set_memory_slot(slot, region.gpa, region.size, address)

    def load(
        self,
        image: str | os.PathLike[str] | bytes,
        *,
        mode: Mode | None = None,
        load_address: int | None = None,
        entry: int | None = None,
        cmdline: str = "",
        modules: Sequence[Module] = (),
    ) -> BootState:
        """Put an image into RAM and the first processor at its entry.

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

        Returns:
            where everything went.

        Raises:
            ImageError: it cannot be read or booted.
        """
        ram = self.memory.size
        if isinstance(image, bytes):
            name, content = "", image
        else:
            name, content = os.fspath(image), read_image(image, ram)
        state = boot_image(
            content,
            ram,
            name=name,
            mode=mode,
            load_address=load_address,
            entry=entry,
            cmdline=cmdline,
            modules=modules,
        )
        self.cpus[0].settle()
        for piece in state.pieces:
            self.memory.write(Gpa(piece.gpa), piece.data)
            self.memory.zero(Gpa(piece.gpa + len(piece.data)), piece.size - len(piece.data))
        self.cpus[0].load(state)
        return state

    def run(self, timeout: float | None = None, max_exits: int | None = None) -> Stop:
        """Run the guest on the calling thread until it stops; it may be called again.

        Args:
            timeout: seconds after which to stop; None for never.
            max_exits: how many exits may be taken; None for any number.

        Returns:
            why it stopped.

        Raises:
            GuestCrash: the guest cannot go on, or `strict` forbids what it did.
            SinkError: a device's output is lost: a full disk, a closed pipe.
            KvmIoctlError: the host cannot run it, e.g. EFAULT: it has no memory left for the guest.
            RuntimeError: it is running already.
            ValueError: the machine is closed.
        """
        start = time.monotonic_ns()
        deadline = None if timeout is None else start + int(timeout * 1e9)
        try:
            return self.cpus[0].run(deadline, max_exits)
        finally:
            self._run_ns += time.monotonic_ns() - start

    def stop(self, stop: Stop | None = None) -> None:
        """Make `run` return at once, from another thread or a signal handler.

        When nothing runs, the next `run` returns at once.

        Args:
            stop: what `run` shall return; by default `StopReason.STOPPED`.
        """
        self._requests.post(Stop(StopReason.STOPPED) if stop is None else stop)
        for cpu in self.cpus:
            cpu.kick()

    @property
    def output(self) -> bytes:
        """What the guest sent to COM1 so far, the first 16 MiB of it.

        Raises:
            TypeError: COM1 sends to a sink of the caller's, which has it.
        """
        return _kept(self._serial_sink, "COM1")

    @property
    def debug_output(self) -> bytes:
        """What the guest sent to the debug consoles so far, the first 16 MiB of it.

        Raises:
            TypeError: they send to a sink of the caller's, which has it.
        """
        return _kept(self._debug_sink, "the debug console")

    def send(self, data: bytes) -> int:
        """Give the guest `data` on COM1; returns how many bytes of it there was room for."""
        with self.lock:
            return self.board.serial.receive(data)

    def stats(self) -> Stats:
        """Exits and times so far."""
        from pykvm.stats import collect

        return collect(self.cpus, self.ports, self.mmio, self._run_ns)

    def close(self) -> None:
        """Give everything back, in reverse order.  Closing again does nothing.

        Raises:
            RuntimeError: it is running: stop it, and wait for `run` to return.  Nothing is closed.
        """
        for cpu in self.cpus:
            cpu.close()
        self._cleanup.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _kept(sink: Sink, what: str) -> bytes:
    if not isinstance(sink, BufferSink):
        raise TypeError(f"{what} sends to a sink of its own: look there")
    return sink.data
