"""Which instruction an exit was for: hosts leave RIP at it or behind it, by the kind of exit.

It is named only if it does what the exit says.  Code may have been changed since: then another
one is named that would do, or none.
"""

from __future__ import annotations

import re
from bisect import bisect_left, insort
from collections import Counter
from typing import TYPE_CHECKING

from pykvm._shim import lib
from pykvm.debug.disasm import disassemble, memory_accesses
from pykvm.kvm.decode import REASONS
from pykvm.x86 import LONGEST_INSTRUCTION, PAGE_SIZE, linear_ip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from pykvm.debug.disasm import Instruction
    from pykvm.kvm.recorder import Record

    Read = Callable[[int, int], bytes]

SWEEP = 256
"""How far behind a known boundary code is decoded to find where the next instructions begin."""

MOST_BOUNDARIES = 4096

_IO, _MMIO = lib.KVM_EXIT_IO, lib.KVM_EXIT_MMIO
_INTERNAL_ERROR = REASONS.index("INTERNAL_ERROR")
_WORDS = {
    lib.KVM_EXIT_HLT: "hlt",
    lib.KVM_EXIT_X86_RDMSR: "rdmsr",
    lib.KVM_EXIT_X86_WRMSR: "wrmsr",
}
_ACCUMULATORS = {"al": 1, "ax": 2, "eax": 4}
_SUFFIXES = {"b": 1, "w": 2, "d": 4}
_IO_TEXT = re.compile(r"(?:repn?[ez]? )?(in|out)(?:s([bwd]))?(?: (\w+)(?:, (\w+))?.*)?")
_REPEATS = (b"\xf2", b"\xf3")


class Matcher:
    """Finds the instructions of exits, and learns from them what this host does.

    Args:
        boundaries: linear addresses at which instructions are known to begin.
    """

    def __init__(self, boundaries: Iterable[int] = ()) -> None:
        self._boundaries = sorted(set(boundaries))
        self._votes: Counter[tuple[int, bool]] = Counter()

    def find(self, record: Record, read: Read) -> Instruction | None:
        """The instruction of an exit; None where none fits that is at RIP or ends there.

        Where both would do, as in two equal stores in a row, it is what the host has done with
        such exits so far; while none was clear, a write's is behind it.

        Args:
            record: the exit, with RIP and segments.
            read: gives up to so many bytes at a linear address; less where there is no RAM.
        """
        if not record.code_width:
            return None
        at = _at(record, read)
        # a string instruction that is not through yet is gone back to on all hosts
        if at is not None and (at.text.startswith("rep") or record.reason == _INTERNAL_ERROR):
            return at
        before = self._before(record, read)
        self._learn(linear_rip(record))
        kind = record.reason, record.is_write
        if at is not None and before is not None:
            return before if self._votes[kind] > (-1 if record.is_write else 0) else at
        if at is not None or before is not None:
            self._votes[kind] += 1 if before is not None else -1
        return at or before

    def _learn(self, boundary: int) -> None:
        place = bisect_left(self._boundaries, boundary)
        if self._boundaries[place : place + 1] != [boundary]:
            if len(self._boundaries) >= MOST_BOUNDARIES:
                self._boundaries.clear()
            insort(self._boundaries, boundary)

    def _before(self, record: Record, read: Read) -> Instruction | None:
        """The instruction that ends at RIP: one that a boundary leads to, else the shortest."""
        end = linear_rip(record)
        place = bisect_left(self._boundaries, end) - 1
        if place >= 0 and end - self._boundaries[place] <= SWEEP:
            start = self._boundaries[place]
            decoded = disassemble(read(start, end - start), start, record.code_width)
            if decoded and _ends(decoded[-1]) == end and fits(decoded[-1], record):
                return decoded[-1]
        code = _code_before(end, read)
        for length in range(1, len(code) + 1):
            found = _whole(code[-length:], end, record)
            if found is None:
                continue
            # REP belongs to the instruction, too
            if code[-length - 1 : -length] in _REPEATS:
                return _whole(code[-length - 1 :], end, record) or found
            return found
        return None


def find_instructions(
    records: Sequence[Record], read: Read, entries: Iterable[int] = ()
) -> list[Instruction | None]:
    """For each exit of a run that is over the instruction that made it.

    Args:
        records: the exits, in order.
        read: as for `Matcher.find`.
        entries: linear addresses at which instructions are known to begin.
    """
    boundaries = (linear_rip(record) for record in records if record.code_width)
    matcher = Matcher((*entries, *boundaries))
    distinct = {look_of(record): record for record in records}
    for record in distinct.values():
        matcher.find(record, read)
    # those that were unclear at first are judged by all
    found = {look: matcher.find(record, read) for look, record in distinct.items()}
    return [found[look_of(record)] for record in records]


def look_of(record: Record) -> tuple[object, ...]:
    """What of a record its instruction depends on."""
    r = record
    return r.reason, r.is_write, r.size, r.address, r.rip, r.cs_base, r.code_width


def linear_rip(record: Record) -> int:
    """CS:RIP as a linear address."""
    return linear_ip(record.rip, record.cs_base, record.code_width)


def fits(instruction: Instruction, record: Record) -> bool:
    """Whether an instruction does what the exit tells of."""
    if record.reason == _IO:
        return _fits_io(instruction.text, record)
    if record.reason == _MMIO:
        return _fits_mmio(instruction, record)
    return record.reason == _INTERNAL_ERROR or _WORDS.get(record.reason) == instruction.text


def _at(record: Record, read: Read) -> Instruction | None:
    start = linear_rip(record)
    code = read(start, LONGEST_INSTRUCTION)
    decoded = disassemble(code, start, record.code_width, count=1)
    return decoded[0] if decoded and fits(decoded[0], record) else None


def _code_before(end: int, read: Read) -> bytes:
    """The bytes that end at a linear address, as many as an instruction may have."""
    start = max(end - LONGEST_INSTRUCTION, 0)
    code = read(start, end - start)
    if len(code) < end - start:  # the page before is not there
        start = max(start, end - end % PAGE_SIZE)
        code = read(start, end - start)
    return code if len(code) == end - start else b""


def _whole(code: bytes, end: int, record: Record) -> Instruction | None:
    """`code`, if it is one instruction that fits."""
    decoded = disassemble(code, end - len(code), record.code_width, count=1)
    return decoded[0] if decoded and decoded[0].code == code and fits(decoded[0], record) else None


def _ends(instruction: Instruction) -> int:
    return instruction.address + len(instruction.code)


def _fits_io(text: str, record: Record) -> bool:
    match = _IO_TEXT.fullmatch(text)
    if match is None or (match[1] == "out") != record.is_write:
        return False
    if match[2]:
        return _SUFFIXES[match[2]] == record.size
    register, port = (match[4], match[3]) if record.is_write else (match[3], match[4])
    if _ACCUMULATORS.get(register) != record.size:
        return False
    return port == "dx" or (
        port is not None and port[0].isdigit() and int(port, 0) == record.address
    )


def _fits_mmio(instruction: Instruction, record: Record) -> bool:
    return any(
        (access.writes if record.is_write else access.reads) and _may_be_part(record, access.size)
        for access in memory_accesses(instruction, record.code_width)
    )


def _may_be_part(record: Record, size: int) -> bool:
    """Whether KVM makes such an exit of an access of `size` bytes, or cuts it off one."""
    within = record.address % PAGE_SIZE
    crosses = within == 0 or within + size > PAGE_SIZE
    return size == record.size or (size > record.size and (size > 8 or crosses))
