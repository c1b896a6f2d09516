"""The machine: RAM, buses, devices and a processor, put together, run and taken apart."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

from pykvm.accelerators import open_accelerator
from pykvm.board import attach_testdev, build_board
from pykvm.bus import MEMORY_SPACE, PORT_SPACE, Bus
from pykvm.cpu.model import HOST, CpuModel
from pykvm.cpu.msrs import MsrSpace
from pykvm.cpu.processors import Processors
from pykvm.cpu.shared import Shared
from pykvm.cpu.stop import Stop, StopReason, StopRequest
from pykvm.devices.sinks import BufferSink, kept
from pykvm.firmware_socket import Socket
from pykvm.irq import Lines
from pykvm.layout import DEFAULT_RAM
from pykvm.loading import Loadable
from pykvm.memory import GuestMemory, wants_huge_pages
from pykvm.named import TYPE_CHECKING, cast
from pykvm.parts import ram_size

if TYPE_CHECKING:
    from collections.abc import Collection

    from pykvm.cpu.kvm import KvmCpu
    from pykvm.devices.sinks import Sink
    from pykvm.kvm.irqchip import IrqChip, Pit, SplitIrqChip
    from pykvm.kvm.routes import Routes
    from pykvm.kvm.system import System
    from pykvm.kvm.vm import Vm
    from pykvm.stats import Stats

OUTPUT_KEPT = 16 << 20
"""How many bytes of a guest's output are kept: it may print for ever."""


class Machine(Loadable):
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
        teletype: where the BIOS sends, in UTF-8, what it writes to the screen; by default nowhere.
        strict: an access that no device claims crashes the guest.
        testdev: attach the test device that test kernels for KVM look for.
        stats: keep the counts and times that `stats` tells; costs two clock reads an exit.
        irqchip: where interrupt controllers are; None for the accelerator's usual ones, "kernel"
            or "user".  "kernel": PICs, IOAPIC, local APICs and PIT, all in KVM.  "split": local
            APICs in KVM and an IOAPIC of pykvm's, neither PICs nor PIT.  "user": PICs and PIT of
            pykvm's, no APICs; a HLT that nothing can end ends the run.  "none": no controllers,
            lines lead nowhere, and any HLT ends the run.
        smp: how many processors, 1 to 255 at the most; more than 1 need "kernel" or "split".  The
            guest starts the others by INIT and SIPI.
        cpu: what the processors are: by default all that the host's KVM offers; see
            `pykvm.cpu.model.parse_cpu`.
        accel: who plays it: "kvm", "emu" (the emulator, with one processor and no APICs), or
            "auto": KVM if there is a usable /dev/kvm, else the emulator.
        system: an open `System` to use; it stays open.  By default /dev/kvm is opened.

    Attributes:
        memory: guest RAM.
        ports, mmio: the buses; attach your own devices to them.
        cpus: the processors.
        irqchip, pit: the controllers and the timer in the kernel, whose state can be read and set;
            None where there are none.
        board: the devices that are always there.
        msrs: what the guest gets from registers that KVM does not know; #GP unless told otherwise.
        accelerator: who plays it.
        lock: held while devices are called; take it to touch a device from another thread.

    Raises:
        KvmUnavailable: there is no usable /dev/kvm.
        KvmIoctlError: the host refused a part of the machine.
        GuestMemoryError: such memory cannot be had.
        MachineError: there is no such irqchip, or it cannot have so many processors.
        CpuModelError: the host does not offer a feature of `cpu`.
    """

    def __init__(
        self,
        memory: int | str = DEFAULT_RAM,
        *,
        serial: Sink | None = None,
        debug: Sink | None = None,
        teletype: Sink | None = None,
        strict: bool = False,
        testdev: bool = False,
        stats: bool = False,
        irqchip: str | None = None,
        smp: int = 1,
        cpu: CpuModel = HOST,
        accel: str = "auto",
        system: System | None = None,
    ) -> None:
        size = ram_size(memory)
        self._requests = StopRequest()
        self.lock = threading.RLock()
        self._run_ns = 0
        self._serial_sink = BufferSink(OUTPUT_KEPT) if serial is None else serial
        self._debug_sink = BufferSink(OUTPUT_KEPT) if debug is None else debug
        self._lines = Lines()
        with ExitStack() as undo:
            self.memory = undo.enter_context(
                GuestMemory(size, huge=wants_huge_pages(size) and not testdev)
            )
            self.accelerator = accelerator = open_accelerator(
                accel, undo, posting=smp == 1, system=system
            )
            self._controllers = controllers = accelerator.make_controllers(irqchip, smp)
            self.ports = Bus("port", PORT_SPACE, strict=strict, accelerator=accelerator.ports)
            self.mmio = Bus("MMIO", MEMORY_SPACE, strict=strict, accelerator=accelerator.mmio)
            self.board = build_board(
                self.ports,
                ram=size,
                cpus=smp,
                memory=self.memory,
                serial=self._serial_sink,
                debug=self._debug_sink,
                line=self._lines.new_input,
                stop=self._requests.post,
            )
            if testdev:
                attach_testdev(
                    self.ports,
                    self.mmio,
                    line=self._lines.new_input,
                    flush=self.memory.forget_mapping,
                )
            accelerator.place_memory(self.memory)
            controllers.attach(self.ports, self.mmio)
            self._socket = Socket(
                accelerator,
                self.memory,
                self.ports,
                self.lock,
                teletype=teletype,
                post=self._requests.post,
                interrupts=controllers.has_pics,
            )
            undo.callback(self._socket.unplug)
            for gsi, pin in self._lines.shared.items():
                controllers.connect(gsi, pin.line, self._fail)
            self.msrs = MsrSpace()
            accelerator.catch_msrs(self.msrs)
            self._processors = Processors(self._requests, controllers.may_wake_halted)
            shared = Shared(
                ports=self.ports,
                mmio=self.mmio,
                memory=self.memory,
                msrs=self.msrs,
                requests=self._requests,
                lock=self.lock,
                has_apics=controllers.has_apics,
                isa=controllers.isa,
                end_of_interrupt=controllers.end_of_interrupt,
                on_tick=self._on_tick,
                on_sleep=self._processors.on_sleep,
            )
            self.cpus = accelerator.make_cpus(smp, shared, undo, model=cpu, stats=stats)
            self._processors.add(self.cpus)
            self._platform = accelerator.platform(controllers)
            self._cleanup = undo.pop_all()

    @property
    def vm(self) -> Vm:
        """The KVM machine underneath; raises MachineError if it is emulated."""
        return self.accelerator.vm

    @property
    def kvm_cpus(self) -> tuple[KvmCpu, ...]:
        """The processors, with all that KVM's have; raises MachineError if it is emulated."""
        assert self.vm
        return cast("tuple[KvmCpu, ...]", self.cpus)

    @property
    def routes(self) -> Routes:
        """What the C loop answers without Python; raises MachineError if it is emulated."""
        return self.accelerator.routes

    @property
    def irqchip(self) -> IrqChip | SplitIrqChip | None:
        """The interrupt controllers in the kernel."""
        return self._controllers.irqchip

    @property
    def pit(self) -> Pit | None:
        """The timer in the kernel."""
        return self._controllers.pit

    def _on_tick(self) -> None:
        self.board.poll()
        self._socket.poll()

    def run(
        self,
        timeout: float | None = None,
        max_exits: int | None = None,
        *,
        only: Collection[int] | None = None,
    ) -> Stop:
        """Run the guest on the calling thread until it stops; it may be called again.

        Args:
            timeout: seconds after which to stop; None for never.
            max_exits: how many exits may be taken, by all processors together; None for any number.
                With several processors, each but one may take one more.
            only: the numbers of the processors to run, the others stand still; None for all.

        Returns:
            why it stopped.

        Raises:
            GuestCrash: the guest cannot go on, or `strict` forbids what it did.
            SinkError: a device's output is lost: a full disk, a closed pipe.
            KvmIoctlError: the host cannot run it, e.g. EFAULT: it has no memory left for the guest.
            RuntimeError: it is running already.
            MachineError: the host has no thread left for a processor.
            ValueError: the machine is closed, or `only` names none of its processors.
        """
        start = time.monotonic_ns()
        deadline = None if timeout is None else start + int(timeout * 1e9)
        self._processors.refuse_while_running()
        self.cpus[0].limit_exits(max_exits)
        try:
            return self._processors.run(start, deadline, only)
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

    def _fail(self, error: Exception) -> None:
        """Have `run` raise `error`."""
        self._requests.fail(error)
        for cpu in self.cpus:
            cpu.kick()

    @property
    def output(self) -> bytes:
        """What the guest sent to COM1 so far, the first 16 MiB of it.

        Raises:
            TypeError: COM1 sends to a sink of the caller's, which has it.
        """
        return kept(self._serial_sink, "COM1")

    @property
    def debug_output(self) -> bytes:
        """What the guest sent to the debug consoles so far, the first 16 MiB of it.

        Raises:
            TypeError: they send to a sink of the caller's, which has it.
        """
        return kept(self._debug_sink, "the debug console")

    def send(self, data: bytes) -> int:
        """Give the guest `data` on COM1; returns how many bytes of it there was room for."""
        with self.lock:
            return self.board.serial.receive(data)

    def press_power_button(self) -> None:
        """Press the power button and let it go: a guest that listens (ACPI) switches off."""
        with self.lock:
            self.board.power.press_power_button()

    def stats(self) -> Stats:
        """Exits and times so far."""
        from pykvm.stats import collect

        return collect(self.cpus, (self.ports, self.mmio, self.msrs), self._run_ns)

    def close(self) -> None:
        """Give everything back, in reverse order.  Closing again does nothing.

        Raises:
            RuntimeError: it is running: stop it, and wait for `run` to return.  Nothing is closed.
        """
        self._processors.refuse_while_running()
        for cpu in self.cpus:
            cpu.close()
        self._cleanup.close()

    def __enter__(self) -> Machine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
