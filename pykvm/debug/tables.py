"""Descriptor tables, decoded: the GDT, an LDT, the IDT (SDM vol. 3A, 3.4.5, 3.5 and 6.11).

Pure: memory is read through a function, by linear address.  Tables are the guest's and may say
anything: a limit is cut to the 64 KiB that a table can have, and an entry outside of RAM is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pykvm.x86 import DescriptorTable, Mode

ReadLinear = Callable[[int, int], "bytes | None"]
"""Given an address and a length: the bytes there, or None where not all of that is RAM."""

MAX_LIMIT = 0xFFFF
"""GDTR's and IDTR's limits have 16 bits."""

VECTORS = 256
_OLD_GATES = {5: "task gate", 6: "16-bit interrupt gate", 7: "16-bit trap gate"}
_SYSTEM_TYPES = {
    0x1: "16-bit TSS, available",
    0x2: "LDT",
    0x3: "16-bit TSS, busy",
    0x4: "16-bit call gate",
    **_OLD_GATES,
    0x9: "32-bit TSS, available",
    0xB: "32-bit TSS, busy",
    0xC: "32-bit call gate",
    0xE: "32-bit interrupt gate",
    0xF: "32-bit trap gate",
}
_SYSTEM_TYPES_LONG = {
    0x2: "LDT",
    0x9: "64-bit TSS, available",
    0xB: "64-bit TSS, busy",
    0xC: "64-bit call gate",
    0xE: "64-bit interrupt gate",
    0xF: "64-bit trap gate",
}
"""SDM vol. 3A, table 3-2; types that are not here are reserved."""

_GATES = (0x4, 0x5, 0x6, 0x7, 0xC, 0xE, 0xF)
_TASK_GATE = 0x5


class Descriptor(NamedTuple):
    """An entry of a table.

    Attributes:
        selector: in a GDT or an LDT its offset in the table (add TI and RPL); in an IDT the vector.
        address: linear, of the entry.
        raw: its 8 or 16 bytes, or 4 of the interrupt vector table; empty where it is not in RAM.
        kind: what it is, e.g. "64-bit code, read", "32-bit interrupt gate", "empty".
        present: whether it may be used.
        dpl: the privilege level it asks for.
        base, limit: of a segment, the limit in bytes; 0 for a gate.
        target: of a gate: selector and offset; None for a segment.
        ist: of a 64-bit gate: which stack of the TSS, 1 to 7; 0 for none.
    """

    selector: int
    address: int
    raw: bytes
    kind: str
    present: bool = False
    dpl: int = 0
    base: int = 0
    limit: int = 0
    target: tuple[int, int] | None = None
    ist: int = 0

    def __str__(self) -> str:
        if self.kind in ("empty", "not in RAM"):
            return f"{self.selector:04x}  {self.kind}"
        if self.target is not None:
            what = f"-> {self.target[0]:04x}:{self.target[1]:x}"
            if self.ist:
                what += f" on stack IST{self.ist}"
        else:
            what = f"base {self.base:x} limit {self.limit:x}"
        absent = "" if self.present else "  not present"
        return f"{self.selector:04x}  {self.kind:<22} dpl {self.dpl}  {what}{absent}"


def segment_descriptors(
    read: ReadLinear, table: DescriptorTable, *, long: bool
) -> Iterator[Descriptor]:
    """The entries of a GDT or an LDT, in order, those of 16 bytes once.

    Args:
        read: memory.
        table: where it is; a last entry that the limit cuts is left out.
        long: whether the processor is in long mode (EFER.LMA), where system descriptors are wide.
    """
    end = min(table.limit, MAX_LIMIT) + 1
    offset = 0
    while offset + 8 <= end:
        address = table.base + offset
        raw = read(address, 8)
        if raw is None:
            yield Descriptor(offset, address, b"", "not in RAM")
            offset += 8
            continue
        is_system = not raw[5] >> 4 & 1
        if long and is_system and raw[5] & 0xF in _SYSTEM_TYPES_LONG and offset + 16 <= end:
            raw = read(address, 16) or raw
        yield decode(offset, address, raw, long=long)
        offset += len(raw)


def interrupt_descriptors(
    read: ReadLinear, table: DescriptorTable, mode: Mode
) -> Iterator[Descriptor]:
    """The entries of an IDT, in order; in real mode the vectors of its table (SDM vol. 3B, 20.1.4).

    Args:
        read: memory.
        table: where it is; a last entry that the limit cuts is left out.
        mode: the processor's.
    """
    size = {Mode.REAL: 4, Mode.PROTECTED: 8, Mode.LONG: 16}[mode]
    entries = min((min(table.limit, MAX_LIMIT) + 1) // size, VECTORS)
    for vector in range(entries):
        address = table.base + vector * size
        raw = read(address, size)
        if raw is None:
            yield Descriptor(vector, address, b"", "not in RAM")
        elif mode is Mode.REAL:
            offset, segment = (int.from_bytes(raw[at : at + 2], "little") for at in (0, 2))
            target = (segment, offset)
            yield Descriptor(vector, address, raw, "real-mode vector", True, target=target)
        else:
            yield decode(vector, address, raw, long=mode is Mode.LONG)


def decode(selector: int, address: int, raw: bytes, *, long: bool) -> Descriptor:
    """One descriptor of 8 bytes, or of 16 as system descriptors have in long mode."""
    if not any(raw):
        return Descriptor(selector, address, raw, "empty")
    value = int.from_bytes(raw[:8], "little")
    type, s = value >> 40 & 0xF, value >> 44 & 1
    found = Descriptor(
        selector, address, raw, "reserved", bool(value >> 47 & 1), dpl=value >> 45 & 3
    )
    upper = int.from_bytes(raw[8:12], "little") << 32
    if not s:
        kind = (_SYSTEM_TYPES_LONG if long else _SYSTEM_TYPES).get(type)
        if kind is None:
            return found._replace(kind=f"reserved type {type:x}")
        found = found._replace(kind=kind)
        if type in _GATES:
            return _gate(found, value, type, upper, long=long)
    else:
        found = found._replace(kind=_segment_kind(value, type))
    limit = value & 0xFFFF | (value >> 48 & 0xF) << 16
    if value >> 55 & 1:
        limit = limit << 12 | 0xFFF
    base = value >> 16 & 0xFF_FFFF | (value >> 56) << 24 | upper
    return found._replace(base=base, limit=limit)


def _gate(found: Descriptor, value: int, type: int, upper: int, *, long: bool) -> Descriptor:
    selector = value >> 16 & 0xFFFF
    if type == _TASK_GATE:
        return found._replace(target=(selector, 0))
    offset = value & 0xFFFF
    if type & 8:
        offset |= (value >> 48) << 16 | upper
    ist = value >> 32 & 7 if long and type != 0xC else 0
    return found._replace(target=(selector, offset), ist=ist)


def _segment_kind(value: int, type: int) -> str:
    """A code or data segment's type in words (SDM vol. 3A, table 3-1)."""
    if type & 8:
        width = "64-bit" if value >> 53 & 1 else "32-bit" if value >> 54 & 1 else "16-bit"
        words = [f"{width} code"]
        words += ["conforming"] * bool(type & 4)
        words += ["read"] * bool(type & 2)
    else:
        words = ["32-bit data" if value >> 54 & 1 else "16-bit data"]
        words += ["expand-down"] * bool(type & 4)
        words += ["write"] * bool(type & 2)
    return ", ".join(words)
