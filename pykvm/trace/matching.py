"""Which instruction an exit was for: hosts leave RIP at it, or behind it."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from pykvm._shim import lib
from pykvm.debug.disasm import disassemble

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykvm.kvm.recorder import Record

LONGEST = 15
"""Bytes of the longest instruction (SDM vol. 2A, 2.3.11)."""

_SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "xmmword": 16, "ymmword": 32}
_ACCUMULATORS = {"al": 1, "ax": 2, "eax": 4}
_SUFFIXES = {"b": 1, "w": 2, "d": 4}
_STRING_IO = re.compile(r"(?:rep(?:n?e)? )?(in|out)s([bwd])\b")
_PORT_IO = re.compile(r"(in|out) (\w+), (\w+)")
_MEMORY = re.compile(r"\b(\w+) ptr [^,]*\[")
_NO_ACCESS = ("lea ", "nop ", "nop")


def find_instruction(record: Record, before: bytes, behind: bytes, votes: Votes) -> int | None:
    """How far before RIP the instruction of an exit begins; None if none there would exit so.

    RIP of an access is at the instruction or behind it, as KVM's handlers differ.  What ends at RIP
    is not unique; the shortest that does what the exit says counts.  Where both would do, as in
    two equal stores in a row, it is what the host has done with such exits so far.

    Args:
        record: the exit.
        before: up to 15 bytes before RIP.
        behind: the bytes from RIP on.
        votes: what was seen so far.
    """
    width = record.code_width
    at = next(iter(disassemble(behind, record.rip, width, 1)), None)
    at_fits = at is not None and fits(record, at.text)
    length = _length_before(record, before)
    kind = record.reason, record.is_write
    if at_fits and length is not None:
        return length if votes.are_behind(*kind) else 0
    if at_fits:
        votes.cast(*kind, behind=False)
        return 0
    if length is not None:
        votes.cast(*kind, behind=True)
    return length


class Votes:
    """Where this host leaves RIP, by the kind of the exit, as far as it was seen."""

    def __init__(self) -> None:
        self._behind: Counter[tuple[int, bool]] = Counter()

    def cast(self, reason: int, is_write: bool, *, behind: bool) -> None:
        """Count one exit that was clear."""
        self._behind[reason, is_write] += 1 if behind else -1

    def are_behind(self, reason: int, is_write: bool) -> bool:
        """Whether RIP is behind the instruction; while none was clear, of writes."""
        return self._behind[reason, is_write] > (-1 if is_write else 0)


def _length_before(record: Record, before: bytes) -> int | None:
    for length in range(1, min(len(before), LONGEST) + 1):
        code = before[-length:]
        if _is_whole(code, record):
            # REP belongs to the instruction, too
            repeated = before[-length - 1 : -length] in (b"\xf2", b"\xf3")
            repeated = repeated and _is_whole(before[-length - 1 :], record)
            return length + 1 if repeated else length
    return None


def _is_whole(code: bytes, record: Record) -> bool:
    decoded = disassemble(code, 0, record.code_width, 1)
    return bool(decoded) and decoded[0].code == code and fits(record, decoded[0].text)


def fits(record: Record, text: str) -> bool:
    """Whether an instruction is one that exits so."""
    reason = record.reason
    if reason == lib.KVM_EXIT_IO:
        return _fits_port(record, text)
    if reason == lib.KVM_EXIT_MMIO:
        return record.size in _memory_sizes(text)
    if reason == lib.KVM_EXIT_HLT:
        return text == "hlt"
    if reason == lib.KVM_EXIT_X86_RDMSR:
        return text == "rdmsr"
    return reason == lib.KVM_EXIT_X86_WRMSR and text == "wrmsr"


def _fits_port(record: Record, text: str) -> bool:
    verb = "out" if record.is_write else "in"
    match = _STRING_IO.match(text)
    if match:
        return match[1] == verb and _SUFFIXES[match[2]] == record.size
    match = _PORT_IO.match(text)
    if not match or match[1] != verb:
        return False
    port, register = (match[2], match[3]) if verb == "out" else (match[3], match[2])
    return _ACCUMULATORS.get(register) == record.size and port in _spellings(record.address)


def _spellings(port: int) -> Iterator[str]:
    """How a disassembler may write a port: in DX, or as an immediate."""
    yield "dx"
    yield str(port)
    yield hex(port)


def _memory_sizes(text: str) -> list[int]:
    """Sizes of an instruction's memory operands, in bytes; wide ones come in pieces of 8."""
    if text.startswith(_NO_ACCESS):
        return []
    return [min(_SIZES.get(word, 0), 8) for word in _MEMORY.findall(text)]
