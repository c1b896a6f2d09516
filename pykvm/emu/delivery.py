"""An emulated processor between two instructions: what it did last, and what interrupts it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pykvm.emu.events import Event, Fault
from pykvm.emu.linear import LinearMemory, PhysicalMemory
from pykvm.emu.paging import PageFault, Paging
from pykvm.emu.port_rights import may_access_port
from pykvm.emu.syscalls import MSRS, Saved, SyscallMsrs, syscall, sysenter
from pykvm.emu.vectoring import Registers, deliver
from pykvm.x86 import Rflags

if TYPE_CHECKING:
    from pykvm.emu.engine import Engine
    from pykvm.emu.outcomes import Called

_SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs", "tr", "ldt")
_HLT = 0xF4
_PREFIXES = frozenset(
    (0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3, *range(0x40, 0x50))
)
"""What may go before HLT (SDM vol. 2A, 2.1.1 and 2.2.1)."""


class Interruptible:
    """A processor that is not running, to be interrupted.

    Args:
        engine: it.  Its `state` is what counts, and is stored back when it changes.
        physical: its memory.
    """

    def __init__(self, engine: Engine, physical: PhysicalMemory) -> None:
        self._engine, self._state = engine, engine.state
        self._physical = physical

    def deliver(self, event: Event) -> None:
        """Bring it to the handler of `event`.

        Raises:
            TripleFault: it shuts down; its registers are as they were.
            TaskGateMet: it would have to switch tasks.
        """
        registers = self._registers()
        deliver(registers, LinearMemory(self._paging(), self._physical), event)
        self._take(registers)

    def call(self, called: Called) -> None:
        """Do SYSCALL or SYSENTER; raises as `deliver`."""
        registers, state = self._registers(), self._state
        msrs = SyscallMsrs(**{name: self._engine.read_msr(at) for name, at in MSRS.items()})
        base = 0 if registers.is_long and registers.cs.l else registers.cs.base
        registers.rip = called.address - base
        state.set("rip", registers.rip)
        if called.is_syscall:
            result: Saved | Event | None = syscall(registers, msrs, called.behind - base)
        else:
            result = sysenter(registers, msrs)
        if isinstance(result, Event):
            self.deliver(result)
            return
        if result is not None:
            state.set("rcx", result.rcx)
            state.set("r11", result.r11)
        self._take(registers)

    def _take(self, registers: Registers) -> None:
        state = self._state
        for name in ("rip", "rsp"):
            state.set(name, getattr(registers, name))
        for name in _SEGMENTS:
            state.set_segment(name, getattr(registers, name))
        state.set_control("cr2", registers.cr2)
        state.rflags = registers.rflags
        state.leave_shadow()
        state.derive()
        state.store()

    def may_access_port(self, port: int, size: int) -> bool:
        """Whether the program may; where its TSS cannot be read, no."""
        memory = LinearMemory(self._paging(), self._physical)
        with suppress(Fault):
            return may_access_port(self._registers(), memory, port, size)
        return False

    def translate(self, linear: int) -> int | None:
        """The guest-physical address of a linear one; None if it is not mapped."""
        with suppress(PageFault):
            return self._paging().translate(self._physical, linear)
        return None

    def has_just_halted(self) -> bool:
        """Whether the instruction before RIP is HLT, and is what ran last.

        Unicorn does not tell the end of a run by HLT from one by `Engine.stop`, and both may come
        at once.
        """
        address, size = self._engine.last_instruction
        cs, rip = self._state.segment("cs"), self._state.get("rip")
        registers = self._registers()
        end = rip if registers.is_long and cs.l else (cs.base + rip) & 0xFFFF_FFFF
        if not size or address + size != end:
            return False
        code = [self._byte(at) for at in range(address, end)]
        return code[-1] == _HLT and all(byte in _PREFIXES for byte in code[:-1])

    def _byte(self, linear: int) -> int | None:
        gpa = self.translate(linear)
        return None if gpa is None else self._physical.read(gpa, 1)

    def _paging(self) -> Paging:
        state = self._state
        cr0, cr3, cr4, efer = (state.control(name) for name in ("cr0", "cr3", "cr4", "efer"))
        return Paging(cr0, cr3, cr4, efer, ac=bool(state.rflags & Rflags.AC))

    def _registers(self) -> Registers:
        state, registers = self._state, Registers()
        registers.rip, registers.rsp = state.get("rip"), state.get("rsp")
        registers.rflags = state.rflags
        for name in ("cr0", "cr2", "efer"):
            setattr(registers, name, state.control(name))
        for name in _SEGMENTS:
            setattr(registers, name, state.segment(name))
        registers.gdt, registers.idt = state.table("gdt"), state.table("idt")
        return registers
