"""Machine code to text, by capstone."""

from __future__ import annotations

from typing import NamedTuple

import capstone


class Instruction(NamedTuple):
    """One decoded instruction; what does not decode is a `.byte` of one byte."""

    address: int
    code: bytes
    text: str


_MODES = {16: capstone.CS_MODE_16, 32: capstone.CS_MODE_32, 64: capstone.CS_MODE_64}


def disassemble(code: bytes, address: int, bits: int, count: int = 0) -> list[Instruction]:
    """Decode machine code, Intel syntax.

    Args:
        code: the bytes; an instruction cut off by their end is given as bytes.
        address: of the first one.
        bits: 16, 32 or 64.
        count: how many instructions at the most; 0 for all.
    """
    decoder = capstone.Cs(capstone.CS_ARCH_X86, _MODES[bits])
    decoder.skipdata = True
    return [
        Instruction(i.address, bytes(i.bytes), f"{i.mnemonic} {i.op_str}".rstrip())
        for i in decoder.disasm(code, address, count)
    ]
