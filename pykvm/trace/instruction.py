"""Which instruction made the guest leave: found near RIP, and named only if it fits the exit.

Some hosts leave RIP at the instruction, some behind it, most of them by the kind of exit.
The code is read after the run, so what the guest has overwritten since is not recognised: then
nothing is named, as for everything else that does not fit.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from pykvm.debug.disasm import Instruction, disassemble
from pykvm.debug.operands import memory_accesses
from pykvm.kvm.decode import REASONS
from pykvm.x86 import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pykvm.kvm.recorder import Record

    Read = Callable[[int, int], bytes]

LONGEST = 15
"""Bytes of an x86 instruction (SDM vol. 2A, 2.3.11)."""

SWEEP = 256
"""How far behind a known instruction code is decoded to find where the next ones begin."""

IO, HLT, MMIO = (REASONS.index(name) for name in ("IO", "HLT", "MMIO"))
RDMSR, WRMSR = (REASONS.index(name) for name in ("X86_RDMSR", "X86_WRMSR"))
INTERNAL_ERROR = REASONS.index("INTERNAL_ERROR")

_REGISTER_SIZES = {"al": 1, "ax": 2, "eax": 4}
_STRING_SIZES = {"b": 1, "w": 2, "d": 4}
_IO_TEXT = re.compile(r"(?:repn?[ez]? )?(in|out)(?:s([bwd]))?(?: (\w+)(?:, (\w+))?.*)?")
_WORDS = {HLT: "hlt", RDMSR: "rdmsr", WRMSR: "wrmsr"}


def find_instructions(
    records: Sequence[Record], read: Read, entries: Iterable[int] = ()
) -> list[Instruction | None]:
    """For each exit the instruction that made it; None where none was found that fits.

    Args:
        records: the exits, with RIP and segments.
        read: gives up to so many bytes at a linear address; less where there is no RAM.
        entries: linear addresses at which instructions are known to begin.
    """
    starts = sorted({*entries, *(linear_rip(r) for r in records if r.code_width)})
    at = {_key(r): _at_rip(r, read) for r in {_key(r): r for r in records}.values()}
    behind = {}
    for record in {_key(r): r for r in records}.values():
        behind[_key(record)] = _before_rip(record, read, starts)
    advancing = {key[:2] for key in at if at[key] is None and behind[key] is not None}
    found = []
    for record in records:
        key = _key(record)
        here = at[key]
        repeats = here is not None and here.text.startswith("rep")
        # a string instruction that is not through yet is gone back to on all hosts
        found.append(here if key[:2] not in advancing or repeats else behind[key])
    return found


def linear_rip(record: Record) -> int:
    """CS:RIP as a linear address."""
    if record.code_width == 64:
        return record.rip
    return (record.cs_base + record.rip) & 0xFFFF_FFFF


def fits(instruction: Instruction, record: Record) -> bool:
    """Whether an instruction does what the exit tells of."""
    if record.reason == IO:
        return _fits_io(instruction.text, record)
    if record.reason == MMIO:
        return _fits_mmio(instruction, record)
    return record.reason == INTERNAL_ERROR or _WORDS.get(record.reason) == instruction.text


def _key(record: Record) -> tuple[int, ...]:
    r = record
    return (r.reason, r.is_write, r.size, r.address, r.rip, r.cs_base, r.code_width)


def _at_rip(record: Record, read: Read) -> Instruction | None:
    if not record.code_width:
        return None
    start = linear_rip(record)
    decoded = disassemble(read(start, LONGEST), start, record.code_width, count=1)
    return decoded[0] if decoded and fits(decoded[0], record) else None


def _before_rip(record: Record, read: Read, starts: Sequence[int]) -> Instruction | None:
    """The instruction that ends at RIP: in step with one before it, else the only one that fits."""
    if not record.code_width or record.reason == INTERNAL_ERROR:
        return None
    end = linear_rip(record)
    place = bisect_left(starts, end) - 1
    if place >= 0 and end - starts[place] <= SWEEP:
        code = read(starts[place], end - starts[place])
        decoded = disassemble(code, starts[place], record.code_width)
        if decoded and fits(decoded[-1], record):
            return decoded[-1]
    possible = []
    for length in range(1, min(LONGEST, end) + 1):
        decoded = disassemble(read(end - length, length), end - length, record.code_width, count=1)
        if decoded and len(decoded[0].code) == length and fits(decoded[0], record):
            possible.append(decoded[0])
    return possible[0] if len(possible) == 1 else None


def _fits_io(text: str, record: Record) -> bool:
    match = _IO_TEXT.fullmatch(text)
    if match is None or (match[1] == "out") != record.is_write:
        return False
    if match[2]:
        return _STRING_SIZES[match[2]] == record.size
    register, port = (match[4], match[3]) if record.is_write else (match[3], match[4])
    if _REGISTER_SIZES.get(register) != record.size:
        return False
    return port == "dx" or (
        port is not None and port[0].isdigit() and int(port, 0) == record.address
    )


def _fits_mmio(instruction: Instruction, record: Record) -> bool:
    if instruction.text.startswith(("lea ", "nop ")):
        return False  # they name memory and leave it alone
    return any(
        (access.writes if record.is_write else access.reads) and _may_be_part(record, access.size)
        for access in memory_accesses(instruction, record.code_width)
    )


def _may_be_part(record: Record, size: int) -> bool:
    """Whether KVM makes such an exit of an access of `size` bytes, or cuts it off one."""
    within = record.address % PAGE_SIZE
    crosses = within == 0 or within + size > PAGE_SIZE
    return size == record.size or (size > record.size and (size > 8 or crosses))
