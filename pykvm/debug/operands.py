"""What an instruction does to memory, by capstone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import capstone

if TYPE_CHECKING:
    from pykvm.debug.disasm import Instruction

_MOVES = ("mov", "vmov")
_MODES = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}


class MemoryAccess(NamedTuple):
    """A memory operand: its size in bytes, and what the instruction does there."""

    size: int
    reads: bool
    writes: bool


def memory_accesses(instruction: Instruction, bits: int) -> list[MemoryAccess]:
    """The memory operands that an instruction names, those of string instructions included.

    Not the stack of PUSH, CALL and their like.

    Args:
        instruction: from `disassemble`.
        bits: as given there.
    """
    decoder = capstone.Cs(capstone.CS_ARCH_X86, _MODES[bits])
    decoder.detail = True
    found = []
    for decoded in decoder.disasm(instruction.code, instruction.address, 1):
        for place, operand in enumerate(decoded.operands):
            if operand.type != capstone.CS_OP_MEM:
                continue
            reads = bool(operand.access & capstone.CS_AC_READ)
            writes = bool(operand.access & capstone.CS_AC_WRITE)
            if place == 0 and decoded.mnemonic.startswith(_MOVES):
                reads, writes = False, True  # capstone 5.0 has stores of vectors as loads
            found.append(MemoryAccess(operand.size, reads, writes))
    return found
