"""The bench that probes work at: a guest of a few instructions, with a deadline."""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from enum import Enum

from pykvm._shim import ffi
from pykvm.kvm.exits import Exit, FailEntry, InternalError, Io, Shutdown
from pykvm.kvm.irqchip import IrqChip
from pykvm.kvm.runloop import INTERRUPTED, RunLoop
from pykvm.kvm.system import System
from pykvm.kvm.vcpu import Vcpu
from pykvm.kvm.vm import Vm
from pykvm.layout import IDENTITY_MAP_ADDRESS, TSS_ADDRESS
from pykvm.x86 import Cr0, Cr4, DescriptorTable, Efer, Mode, flat_code, flat_data

RAM_SIZE = 1 << 18
CODE, HANDLER, HANDLER_2 = 0x1000, 0x1100, 0x1200
IDT, GDT, TABLES, DATA, STACK = 0x2000, 0x3000, 0x4000, 0x7000, 0x9000
CODE64, DATA_SELECTOR, USER_DATA, USER_CODE64, CODE32 = 0x08, 0x10, 0x18, 0x20, 0x28
DEADLINE_NS = 1_000_000_000


class Entry(Enum):
    """How a guest begins; those that page map everything to itself, and RAM once more above."""

    REAL = 0
    PROTECTED = 1
    PAGING32 = 2
    PAE = 3
    LONG = 4


class Failed(Exception):
    """A probe's verdict, in words, that the host does not do it."""


def code(*lines: str) -> bytes:
    """Machine code from hexadecimal, an instruction a line."""
    return bytes.fromhex("".join(lines))


def describe(exit: Exit) -> str:
    """What an unwanted exit means, in words."""
    if isinstance(exit, Shutdown):
        return "triple fault"
    if isinstance(exit, InternalError):
        what = "cannot emulate" if exit.suberror == 1 else f"internal error {exit.suberror} at"
        # KVM tells no length: these bytes are enough for most instructions
        return f"KVM {what} {exit.instruction[:8].hex(' ') or 'an instruction'}"
    if isinstance(exit, FailEntry):
        return f"the processor refused the state ({exit.hardware_reason:#x})"
    return f"unexpected exit {exit}"


def expect(got: object, wanted: object, what: str) -> None:
    """Fail unless `got` is `wanted`."""
    if got != wanted:
        shown = [f"{v:#x}" if type(v) is int else str(v) for v in (got, wanted)]
        raise Failed(f"{what} is {shown[0]}, not {shown[1]}")


class Guest:
    """A VM with 256 KiB of RAM and one vCPU, about to run `text` at 0x1000.

    Args:
        stack: closes what is opened here.
        system: whose VM.
        entry: how it begins.
        text: its machine code.
        prepare: called with the VM before memory and vCPU exist: irqchips, capabilities.
        slot_flags: of its memory slot.
    """

    def __init__(
        self,
        stack: ExitStack,
        system: System,
        entry: Entry,
        text: bytes,
        *,
        prepare: Callable[[Vm], object] | None = None,
        slot_flags: int = 0,
    ) -> None:
        self.stack = stack
        self.ram = mmap.mmap(-1, RAM_SIZE)
        stack.callback(self.ram.close)
        window = ffi.from_buffer(self.ram)
        stack.callback(ffi.release, window)
        self.host_address = int(ffi.cast("uintptr_t", window))
        self.vm = stack.enter_context(Vm(system))
        self.vm.set_tss_address(TSS_ADDRESS)
        self.vm.set_identity_map_address(IDENTITY_MAP_ADDRESS)
        if prepare is not None:
            prepare(self.vm)
        self.slot_flags = slot_flags
        self.vm.set_memory_slot(0, 0, RAM_SIZE, self.host_address, slot_flags)
        self.vcpu = stack.enter_context(Vcpu(self.vm, 0))
        self.vcpu.set_cpuid2(system.supported_cpuid_raw())
        self.long = entry is Entry.LONG
        self.put(CODE, text)
        self._enter(entry)
        self.loop = RunLoop(self.vcpu)
        stack.callback(self.loop.close)
        self._deadline = time.monotonic_ns() + DEADLINE_NS
        self.loop.set_timer(self._deadline, DEADLINE_NS // 10)

    def put(self, gpa: int, data: bytes) -> None:
        """Write guest RAM."""
        self.ram[gpa : gpa + len(data)] = data

    def get(self, gpa: int, length: int) -> bytes:
        """Read guest RAM."""
        return self.ram[gpa : gpa + length]

    def word(self, gpa: int, value: int, size: int = 8) -> None:
        """Write one little-endian number to guest RAM."""
        self.put(gpa, value.to_bytes(size, "little"))

    def gate(self, vector: int, handler: int) -> None:
        """Have an interrupt or exception call `handler`, in whichever mode the guest is."""
        if self.long:
            self.word(IDT + 16 * vector, _gate(handler, CODE64))
        elif self.vcpu.get_sregs().cr0 & Cr0.PE:
            self.word(IDT + 8 * vector, _gate(handler, CODE32))
        else:
            self.word(4 * vector, handler, 4)

    def run(self) -> Exit:
        """Enter the guest till it exits.

        Raises:
            Failed: it does not, within the deadline.
        """
        while self.loop.enter() == INTERRUPTED:
            if time.monotonic_ns() >= self._deadline:
                raise Failed(f"hangs (stopped after {DEADLINE_NS / 1e9:g} s)")
        return self.vcpu.last_exit()

    def run_to(self, kind: type[Exit]) -> Exit:
        """As `run`; Failed unless the exit is a `kind`."""
        exit = self.run()
        if not isinstance(exit, kind):
            raise Failed(describe(exit))
        return exit

    def run_to_out(self, port: int) -> None:
        """As `run`; Failed unless the exit is an OUT to `port`."""
        exit = self.run_to(Io)
        assert isinstance(exit, Io)
        expect((exit.port, exit.is_write), (port, True), "the port written")

    def jump(self, rip: int) -> None:
        """Have the guest go on at `rip`."""
        self.vcpu.set_regs(replace(self.vcpu.get_regs(), rip=rip))

    def _enter(self, entry: Entry) -> None:
        sregs = self.vcpu.get_sregs()
        if entry is Entry.REAL:
            sregs.cs = sregs.cs._replace(base=0, selector=0)
        else:
            self._write_gdt()
            is_long = entry is Entry.LONG
            sregs.cs = flat_code(CODE64 if is_long else CODE32, MODES[is_long])
            sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = flat_data(DATA_SELECTOR)
            sregs.gdt = DescriptorTable(GDT, 0x2F)
            sregs.idt = DescriptorTable(IDT, 0xFFF)
            sregs.cr0 |= Cr0.PE | Cr0.MP | Cr0.NE
            sregs.cr0 &= ~int(Cr0.EM | Cr0.TS)
        if entry is Entry.PAGING32:
            self.map_paging32()
            sregs.cr4 |= Cr4.PSE
        elif entry is Entry.PAE:
            self.map_pae(TABLES)
            sregs.cr4 |= Cr4.PAE
        elif entry is Entry.LONG:
            self.map_long()
            sregs.cr4 |= Cr4.PAE | Cr4.OSFXSR | Cr4.OSXMMEXCPT
            sregs.efer |= Efer.LME | Efer.LMA
        if entry in (Entry.PAGING32, Entry.PAE, Entry.LONG):
            sregs.cr3 = TABLES
            sregs.cr0 |= Cr0.PG
        self.vcpu.set_sregs(sregs)
        regs = self.vcpu.get_regs()
        self.vcpu.set_regs(replace(regs, rip=CODE, rsp=STACK, rflags=2))

    def _write_gdt(self) -> None:
        user_data = flat_data(USER_DATA | 3)._replace(dpl=3)
        user_code = flat_code(USER_CODE64 | 3, Mode.LONG)._replace(dpl=3)
        segments = {
            CODE64: flat_code(CODE64, Mode.LONG),
            DATA_SELECTOR: flat_data(DATA_SELECTOR),
            USER_DATA: user_data,
            USER_CODE64: user_code,
            CODE32: flat_code(CODE32, Mode.PROTECTED),
        }
        for selector, segment in segments.items():
            self.word(GDT + selector, segment.descriptor())

    def map_paging32(self) -> None:
        """4 MiB pages: the first 4 MiB to themselves, the second ones to the first."""
        large = 0x83
        self.word(TABLES, large, 4)
        self.word(TABLES + 4, large, 4)

    def map_pae(self, pointers: int) -> None:
        """2 MiB pages: as many to themselves as a directory holds, but the second to the first."""
        directory = TABLES + 0x2000
        large, user = 0x83, 4 if self.long else 0
        self.word(pointers, directory | 1 | (2 | user if self.long else 0))
        for i in range(512):
            self.word(directory + 8 * i, (0 if i == 1 else i << 21) | large | user)

    def map_long(self) -> None:
        """The same with four levels, open to ring 3."""
        self.long = True
        self.word(TABLES, (TABLES + 0x1000) | 7)
        self.map_pae(TABLES + 0x1000)


MODES = {False: Mode.PROTECTED, True: Mode.LONG}


def _gate(handler: int, selector: int) -> int:
    """An interrupt gate of ring 0, below 64 KiB (SDM vol. 3A, 6.11 and 6.14.1)."""
    return handler & 0xFFFF | selector << 16 | 0x8E << 40


def with_irqchip(vm: Vm) -> None:
    """`prepare` for guests that need interrupt controllers."""
    IrqChip(vm)
