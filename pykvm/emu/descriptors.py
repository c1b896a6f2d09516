"""Descriptors as interrupts and exceptions meet them: gates, code and stack segments, the TSS.

SDM vol. 3A, 3.4.5 (segments), 6.11 and 6.14.1 (gates), 7.2.1 and 7.7 (TSS).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from pykvm.emu.events import (
    GENERAL_PROTECTION,
    IDT,
    INVALID_TSS,
    SEGMENT_NOT_PRESENT,
    STACK_FAULT,
    Event,
    Fault,
    TaskGateMet,
)
from pykvm.x86 import DescriptorTable, Segment

_TASK_GATE = 5
_GATES = {6: 2, 7: 2, 14: 4, 15: 4}
"""Interrupt and trap gates by type, and the bytes that they push at once."""

_LONG_GATES = {14: 8, 15: 8}
_CODE, _CONFORMING, _WRITABLE, _ACCESSED = 8, 4, 2, 1
_TSS_32 = 8
"""The bit that tells a 32-bit TSS's type, 9 or 11, from a 16-bit one's."""


class Linear(Protocol):
    """Memory by linear addresses, as a processor accesses it that delivers something."""

    def read(self, address: int, size: int, *, is_user: bool = False) -> int:
        """The little-endian integer of `size` (1, 2, 4, 8) bytes there; raises `Fault`."""

    def write(self, address: int, size: int, value: int, *, is_user: bool = False) -> None:
        """Store one; raises `Fault`."""


class Gate(NamedTuple):
    """An interrupt or trap gate.

    Attributes:
        selector, offset: the handler.
        size: bytes of each value that is pushed: 2, 4 or 8.
        clears_if: an interrupt gate.
        ist: the interrupt stack table's entry, 1 to 7, in long mode; else 0.
    """

    selector: int
    offset: int
    size: int
    clears_if: bool
    ist: int = 0


def read_gate(
    memory: Linear, idt: DescriptorTable, event: Event, cpl: int, *, is_long: bool
) -> Gate:
    """The gate of an event's vector.

    Raises:
        Fault: it cannot be used.
        TaskGateMet: it is a task gate.
    """
    width = 16 if is_long else 8
    at = event.vector * width
    code = event.vector * 8 | IDT | event.ext
    if at + width - 1 > idt.limit:
        raise Fault(GENERAL_PROTECTION, code)
    low, high = (memory.read(idt.base + at + part, 4) for part in (0, 4))
    kind, dpl, present = high >> 8 & 0x1F, high >> 13 & 3, high >> 15 & 1
    sizes = _LONG_GATES if is_long else _GATES
    if kind not in sizes and (is_long or kind != _TASK_GATE):
        raise Fault(GENERAL_PROTECTION, code)
    if event.is_software and dpl < cpl:
        raise Fault(GENERAL_PROTECTION, code)
    if not present:
        raise Fault(SEGMENT_NOT_PRESENT, code)
    if kind == _TASK_GATE:
        raise TaskGateMet
    offset = low & 0xFFFF
    if kind & 8:
        offset |= high & 0xFFFF_0000
    if is_long:
        offset |= memory.read(idt.base + at + 8, 4) << 32
    ist = high & 7 if is_long else 0
    return Gate(low >> 16, offset, sizes[kind], clears_if=not kind & 1, ist=ist)


class Tables(NamedTuple):
    """Where descriptors are: the GDT and the LDT."""

    gdt: DescriptorTable
    ldt: DescriptorTable

    def segment(self, memory: Linear, selector: int) -> tuple[Segment, int] | None:
        """The segment that a selector means, and where its descriptor is; None beyond the limit."""
        table = self.ldt if selector & 4 else self.gdt
        at = selector & 0xFFF8
        if at + 7 > table.limit:
            return None
        place = table.base + at
        return _segment(selector, memory.read(place, 4), memory.read(place + 4, 4)), place


def _segment(selector: int, low: int, high: int) -> Segment:
    limit = low & 0xFFFF | high & 0xF_0000
    granular = high >> 23 & 1
    return Segment(
        base=low >> 16 | (high & 0xFF) << 16 | high & 0xFF00_0000,
        limit=limit << 12 | 0xFFF if granular else limit,
        selector=selector,
        type=high >> 8 & 0xF,
        s=high >> 12 & 1,
        dpl=high >> 13 & 3,
        present=high >> 15 & 1,
        avl=high >> 20 & 1,
        l=high >> 21 & 1,
        db=high >> 22 & 1,
        g=granular,
    )


def _mark_accessed(memory: Linear, segment: Segment, place: int) -> Segment:
    if not segment.type & _ACCESSED:
        segment = segment._replace(type=segment.type | _ACCESSED)
        memory.write(place + 5, 1, segment.descriptor() >> 40 & 0xFF)
    return segment


def read_handler(
    memory: Linear, tables: Tables, selector: int, cpl: int, ext: int, *, is_long: bool
) -> Segment:
    """The code segment of a handler; its selector's RPL is the new CPL.

    Raises:
        Fault: it cannot be used.
    """
    if not selector & 0xFFFC:
        raise Fault(GENERAL_PROTECTION, ext)
    code = selector & 0xFFFC | ext
    found = tables.segment(memory, selector)
    if found is None:
        raise Fault(GENERAL_PROTECTION, code)
    segment, place = found
    if not (segment.s and segment.type & _CODE) or segment.dpl > cpl:
        raise Fault(GENERAL_PROTECTION, code)
    if is_long and (not segment.l or segment.db):
        raise Fault(GENERAL_PROTECTION, code)
    if not segment.present:
        raise Fault(SEGMENT_NOT_PRESENT, code)
    new_cpl = cpl if segment.type & _CONFORMING else segment.dpl
    segment = _mark_accessed(memory, segment, place)
    return segment._replace(selector=selector & 0xFFFC | new_cpl)


def read_inner_stack(
    memory: Linear, tables: Tables, tss: Segment, cpl: int, ext: int
) -> tuple[Segment, int]:
    """The stack segment and pointer that the TSS has for `cpl`, outside of long mode.

    Raises:
        Fault: it has none that can be used.
    """
    size = 4 if tss.type & _TSS_32 else 2
    at = size + cpl * 2 * size
    if at + 2 * size - 1 > tss.limit:
        raise Fault(INVALID_TSS, tss.selector & 0xFFFC | ext)
    pointer = memory.read(tss.base + at, size)
    selector = memory.read(tss.base + at + size, 2)
    if not selector & 0xFFFC:
        raise Fault(INVALID_TSS, ext)
    code = selector & 0xFFFC | ext
    found = tables.segment(memory, selector)
    if found is None or selector & 3 != cpl:
        raise Fault(INVALID_TSS, code)
    segment, place = found
    is_data = segment.s and segment.type & _WRITABLE and not segment.type & _CODE
    if segment.dpl != cpl or not is_data:
        raise Fault(INVALID_TSS, code)
    if not segment.present:
        raise Fault(STACK_FAULT, code)
    return _mark_accessed(memory, segment, place), pointer


def read_long_stack(memory: Linear, tss: Segment, cpl: int, ist: int, ext: int) -> int:
    """The stack pointer that a 64-bit TSS has for `cpl`, or in its interrupt stack table.

    Raises:
        Fault: the TSS is too short, or the pointer not canonical.
    """
    at = 0x24 + 8 * (ist - 1) if ist else 4 + 8 * cpl
    if at + 7 > tss.limit:
        raise Fault(INVALID_TSS, tss.selector & 0xFFFC | ext)
    pointer = memory.read(tss.base + at, 8)
    if not is_canonical(pointer):
        raise Fault(STACK_FAULT, ext)
    return pointer


def is_canonical(address: int) -> bool:
    """Whether bits 63 to 47 are all the same (SDM vol. 1, 3.3.7.1)."""
    return address < 1 << 47 or address >= (1 << 64) - (1 << 47)
