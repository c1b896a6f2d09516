"""The x87 tag word: two bits a register for debuggers, one bit where FXSAVE stores it.

Source: SDM vol. 1, 8.1.7 (x87 FPU Tag Word) and 10.5.1.1 (x87 State).
"""

from __future__ import annotations

from collections.abc import Sequence

_VALID, _ZERO, _SPECIAL, _EMPTY = range(4)
_INTEGER_BIT = 1 << 63


def full_tags(abridged: int, status: int, stack: Sequence[bytes]) -> int:
    """The 16-bit tag word.

    Args:
        abridged: a bit a physical register, 1 where it is not empty.
        status: the status word, whose TOP tells which physical register ST0 is.
        stack: ST0 to ST7, 10 bytes each or more.
    """
    top = status >> 11 & 7
    word = 0
    for physical in range(8):
        tag = _EMPTY
        if abridged >> physical & 1:
            tag = _tag_of(stack[(physical - top) & 7])
        word |= tag << 2 * physical
    return word


def abridged_tags(word: int) -> int:
    """What FXSAVE stores of a 16-bit tag word: which registers are not empty."""
    return sum(1 << i for i in range(8) if word >> 2 * i & 3 != _EMPTY)


def _tag_of(value: bytes) -> int:
    significand = int.from_bytes(value[:8], "little")
    exponent = int.from_bytes(value[8:10], "little") & 0x7FFF
    if exponent == 0:
        return _SPECIAL if significand else _ZERO
    if exponent == 0x7FFF or not significand & _INTEGER_BIT:
        return _SPECIAL
    return _VALID
