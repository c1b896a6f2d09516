"""INT 15h, AH=87h: copy between any two places below 4 GiB, by descriptors.

Source: IBM PC AT Technical Reference, "BIOS listing" (BLOCKMOVE); its 24-bit addresses have the
80386's eight further bits.  Where the original would have got a protection fault it returned
status 02h, and so does this.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pykvm.memory import Gpa

if TYPE_CHECKING:
    from pykvm.bios.call import Call
    from pykvm.memory import GuestMemory

TABLE_SIZE = 0x30
SOURCE, TARGET = 0x10, 0x18
MAX_WORDS = 0x8000
EXCEPTION = 0x02

PRESENT, WRITABLE, CODE = 1 << 7, 1 << 1, 1 << 3
GRANULARITY = 1 << 7


def move_block(call: Call, memory: GuestMemory) -> None:
    """Copy CX words by the descriptor table at ES:SI."""
    r = call.registers
    length = 2 * r.cx
    at = call.buffer(r.es, r.si, TABLE_SIZE)
    if at is None or r.cx > MAX_WORDS:
        call.fail(EXCEPTION)
        return
    table = memory.read(at, TABLE_SIZE)
    source = _segment(table[SOURCE : SOURCE + 8], length, writable=False)
    target = _segment(table[TARGET : TARGET + 8], length, writable=True)
    if (
        source is None
        or target is None
        or not memory.contains(source, length)
        or not memory.contains(target, length)
    ):
        call.fail(EXCEPTION)
        return
    memory.write(target, memory.read(source, length))
    call.succeed()


def _segment(descriptor: bytes, length: int, *, writable: bool) -> Gpa | None:
    """The base of a segment; None if `length` bytes of it cannot be accessed (SDM 3A, 3.4.5)."""
    limit, low, middle, access, flags, high = struct.unpack("<HHBBBB", descriptor)
    limit |= (flags & 0x0F) << 16
    if flags & GRANULARITY:
        limit = limit << 12 | 0xFFF
    usable = access & PRESENT and (not writable or access & (WRITABLE | CODE) == WRITABLE)
    if not usable or length > limit + 1:
        return None
    return Gpa(low | middle << 16 | high << 24)
