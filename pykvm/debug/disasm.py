"""Machine code to text, and what it does to memory, by capstone."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

import capstone


class Instruction(NamedTuple):
    """One decoded instruction; what does not decode is a `.byte` of one byte."""

    address: int
    code: bytes
    text: str


class _Decoders(threading.local):
    """Capstone's handles by the width of the code, and with operands or without: making one takes
    longer than decoding a page, and one may not be used by two threads at once."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, bool], Any] = {}

    def get(self, bits: int, *, operands: bool) -> Any:
        key = bits, operands
        if key not in self._made:
            decoder = capstone.Cs(capstone.CS_ARCH_X86, _MODES[bits])
            decoder.detail = operands
            decoder.skipdata = not operands
            self._made[key] = decoder
        return self._made[key]


_MODES = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}
_decoders = _Decoders()


def disassemble(code: bytes, address: int, bits: int, count: int = 0) -> list[Instruction]:
    """Decode machine code, Intel syntax.

    Args:
        code: the bytes; an instruction cut off by their end is given as bytes.
        address: of the first one.
        bits: 16, 32 or 64.
        count: how many instructions at the most; 0 for all.
    """
    return [
        Instruction(i.address, bytes(i.bytes), f"{i.mnemonic} {i.op_str}".rstrip())
        for i in _decoders.get(bits, operands=False).disasm(code, address, count)
    ]


class MemoryAccess(NamedTuple):
    """A memory operand: its size in bytes, and what the instruction does there."""

    size: int
    reads: bool
    writes: bool


_MOVES = ("mov", "vmov")
_ADDRESS_ONLY = ("lea", "nop")
"""They name memory and leave it alone."""


def memory_accesses(instruction: Instruction, bits: int) -> list[MemoryAccess]:
    """The memory that an instruction names and accesses, string instructions' included.

    Not the stack of PUSH, CALL and their like.

    Args:
        instruction: from `disassemble`.
        bits: as given there.
    """
    found = []
    decoder = _decoders.get(bits, operands=True)
    for decoded in decoder.disasm(instruction.code, instruction.address, 1):
        if decoded.mnemonic in _ADDRESS_ONLY:
            continue
        for place, operand in enumerate(decoded.operands):
            if operand.type != capstone.CS_OP_MEM:
                continue
            reads = bool(operand.access & capstone.CS_AC_READ)
            writes = bool(operand.access & capstone.CS_AC_WRITE)
            if place == 0 and decoded.mnemonic.startswith(_MOVES):
                reads, writes = False, True  # capstone 5.0 has stores of vectors as loads
            found.append(MemoryAccess(operand.size, reads, writes))
    return found
