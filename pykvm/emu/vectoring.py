"""Interrupts and exceptions: from a vector to the handler's first instruction.

What a processor does when an instruction faults, asks for an interrupt, or one comes from outside:
SDM vol. 3A, chapter 6 (in real mode 20.1.4), and vol. 2A, INT n, whose checks are made in that
order.  Task gates are refused.

Nothing here knows an emulator: it changes values, and memory by linear addresses.
"""

from __future__ import annotations

from pykvm.emu.descriptors import (
    Linear,
    Tables,
    is_canonical,
    read_gate,
    read_handler,
    read_inner_stack,
    read_long_stack,
)
from pykvm.emu.events import GENERAL_PROTECTION, STACK_FAULT, Event, Fault, after_fault
from pykvm.x86 import Cr0, DescriptorTable, Efer, Rflags, Segment

_EXPAND_DOWN, _CODE = 4, 8
_CLEARED = Rflags.TF | Rflags.NT | Rflags.VM | Rflags.RF
_NULL = Segment(limit=0, type=0, present=0, s=0, unusable=1)
_NO_TABLE = DescriptorTable()


class Registers:
    """What delivering something reads and changes of a processor, by the registers' names.

    Attributes:
        rip: of the next instruction: the one that faulted, or the one behind it.
        cr2: where the last page fault was.
    """

    __slots__ = (
        *("rip", "rsp", "rflags", "cr0", "cr2", "efer"),
        *("cs", "ss", "ds", "es", "fs", "gs", "tr", "ldt", "gdt", "idt"),
    )

    rip: int
    rsp: int
    rflags: int
    cr0: int
    cr2: int
    efer: int
    cs: Segment
    ss: Segment
    ds: Segment
    es: Segment
    fs: Segment
    gs: Segment
    tr: Segment
    ldt: Segment
    gdt: DescriptorTable
    idt: DescriptorTable

    @property
    def is_protected(self) -> bool:
        """Protected or long mode."""
        return bool(self.cr0 & Cr0.PE)

    @property
    def is_long(self) -> bool:
        """Long mode: 64-bit or compatibility mode."""
        return bool(self.efer & Efer.LMA)

    @property
    def is_virtual_8086(self) -> bool:
        """Virtual-8086 mode."""
        return self.is_protected and bool(self.rflags & Rflags.VM)

    @property
    def cpl(self) -> int:
        """The current privilege level."""
        if self.is_virtual_8086:
            return 3
        return self.ss.dpl if self.is_protected else 0

    @property
    def tables(self) -> Tables:
        """Where descriptors are."""
        ldt = DescriptorTable(self.ldt.base, self.ldt.limit) if self.ldt.present else _NO_TABLE
        return Tables(self.gdt, ldt)


def deliver(registers: Registers, memory: Linear, event: Event) -> None:
    """Bring a processor to the handler of `event`, or of the fault that comes of that.

    Args:
        registers: are changed.
        memory: its stack and its tables.
        event: what came.

    Raises:
        TripleFault: a double fault could not be delivered, either.
        TaskGateMet: a handler is a task.
    """
    while True:
        try:
            if not registers.is_protected:
                _deliver_real(registers, memory, event)
            elif registers.is_long:
                _deliver_long(registers, memory, event)
            else:
                _deliver_protected(registers, memory, event)
            return
        except Fault as fault:
            if fault.address is not None:
                registers.cr2 = fault.address
            event = after_fault(event, fault)


class _Stack:
    """A stack that values are pushed on.

    Args:
        memory: where it is.
        segment: its segment; what is pushed must fit.
        pointer: the stack pointer.
        mask: of it, what counts.
        code: the error code of the stack fault when there is no room.
        is_user: pushed with a user's rights.
    """

    def __init__(
        self,
        memory: Linear,
        segment: Segment,
        pointer: int,
        *,
        mask: int,
        code: int,
        is_user: bool = False,
    ) -> None:
        self._memory, self._segment, self._code = memory, segment, code
        self._pointer, self._mask, self._is_user = pointer, mask, is_user

    @property
    def pointer(self) -> int:
        """The stack pointer now: what does not count of it is as it was."""
        return self._pointer

    def push(self, size: int, value: int) -> None:
        """Push the low `size` bytes of `value`; raises `Fault`."""
        offset = (self._pointer - size) & self._mask
        if not self._has_room(offset, size):
            raise Fault(STACK_FAULT, self._code)
        address = self._segment.base + offset
        value &= (1 << 8 * size) - 1
        self._memory.write(address, size, value, is_user=self._is_user)
        self._pointer = self._pointer & ~self._mask | offset

    def _has_room(self, offset: int, size: int) -> bool:
        last = offset + size - 1
        if self._mask > 0xFFFF_FFFF:
            return is_canonical(offset) and is_canonical(last)
        if self._segment.type & _EXPAND_DOWN and not self._segment.type & _CODE:
            return self._segment.limit < offset and last <= self._mask
        return last <= self._segment.limit


def _mask(segment: Segment) -> int:
    return 0xFFFF_FFFF if segment.db else 0xFFFF


def _saved_flags(registers: Registers, event: Event) -> int:
    return registers.rflags | (Rflags.RF if event.is_fault else 0)


def _deliver_real(registers: Registers, memory: Linear, event: Event) -> None:
    at = event.vector * 4
    if at + 3 > registers.idt.limit:
        raise Fault(GENERAL_PROTECTION)
    offset, selector = (memory.read(registers.idt.base + at + part, 2) for part in (0, 2))
    stack = _Stack(memory, registers.ss, registers.rsp, mask=_mask(registers.ss), code=0)
    for value in (registers.rflags, registers.cs.selector, registers.rip):
        stack.push(2, value)
    registers.rsp = stack.pointer
    registers.rflags &= ~(Rflags.IF | Rflags.TF | Rflags.AC)
    registers.cs = registers.cs._replace(selector=selector, base=selector << 4)
    registers.rip = offset


def _deliver_protected(registers: Registers, memory: Linear, event: Event) -> None:
    cpl, ext, tables = registers.cpl, event.ext, registers.tables
    gate = read_gate(memory, registers.idt, event, cpl, is_long=False)
    handler = read_handler(memory, tables, gate.selector, cpl, ext, is_long=False)
    new_cpl = handler.selector & 3
    from_8086 = registers.is_virtual_8086
    if from_8086 and new_cpl:
        raise Fault(GENERAL_PROTECTION, gate.selector & 0xFFFC | ext)
    ss, pointer, code = registers.ss, registers.rsp, ext
    if new_cpl != cpl:
        ss, pointer = read_inner_stack(memory, tables, registers.tr, new_cpl, ext)
        code |= ss.selector & 0xFFFC
    stack = _Stack(memory, ss, pointer, mask=_mask(ss), code=code, is_user=new_cpl == 3)
    frame: list[int] = []
    if from_8086:
        frame += (getattr(registers, name).selector for name in ("gs", "fs", "ds", "es"))
    if new_cpl != cpl:
        frame += registers.ss.selector, registers.rsp
    frame += _saved_flags(registers, event), registers.cs.selector, registers.rip
    if event.error_code is not None:
        frame.append(event.error_code)
    for value in frame:
        stack.push(gate.size, value)
    if gate.offset > handler.limit:
        raise Fault(GENERAL_PROTECTION, ext)
    if from_8086:
        registers.ds = registers.es = registers.fs = registers.gs = _NULL
    _enter(registers, handler, gate.offset, clears_if=gate.clears_if)
    registers.ss, registers.rsp = ss, stack.pointer


def _deliver_long(registers: Registers, memory: Linear, event: Event) -> None:
    cpl, ext = registers.cpl, event.ext
    gate = read_gate(memory, registers.idt, event, cpl, is_long=True)
    handler = read_handler(memory, registers.tables, gate.selector, cpl, ext, is_long=True)
    new_cpl = handler.selector & 3
    ss, pointer = registers.ss, registers.rsp
    if new_cpl != cpl:
        ss = _NULL._replace(selector=new_cpl, dpl=new_cpl)
    if new_cpl != cpl or gate.ist:
        pointer = read_long_stack(memory, registers.tr, new_cpl, gate.ist, ext)
    flat = ss._replace(base=0)
    stack = _Stack(memory, flat, pointer & ~0xF, mask=(1 << 64) - 1, code=ext, is_user=new_cpl == 3)
    flags = _saved_flags(registers, event)
    frame = [registers.ss.selector, registers.rsp, flags, registers.cs.selector, registers.rip]
    if event.error_code is not None:
        frame.append(event.error_code)
    for value in frame:
        stack.push(8, value)
    if not is_canonical(gate.offset):
        raise Fault(GENERAL_PROTECTION, ext)
    _enter(registers, handler, gate.offset, clears_if=gate.clears_if)
    registers.ss, registers.rsp = ss, stack.pointer


def _enter(registers: Registers, handler: Segment, offset: int, *, clears_if: bool) -> None:
    registers.cs, registers.rip = handler, offset
    registers.rflags &= ~(_CLEARED | (Rflags.IF if clears_if else 0))
