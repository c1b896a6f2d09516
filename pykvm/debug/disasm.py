"""Machine code to text, by capstone."""

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
    """Capstone's handles by the width of the code: making one takes longer than decoding a page,
    and one may not be used by two threads at once."""

    def __init__(self) -> None:
        self._by_bits: dict[int, Any] = {}

    def get(self, bits: int) -> Any:
        if bits not in self._by_bits:
            decoder = capstone.Cs(capstone.CS_ARCH_X86, _MODES[bits])
            decoder.skipdata = True
            self._by_bits[bits] = decoder
        return self._by_bits[bits]


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
        for i in _decoders.get(bits).disasm(code, address, count)
    ]
