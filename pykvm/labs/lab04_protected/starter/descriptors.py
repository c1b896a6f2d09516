"""Lab 4: what a processor makes of a segment descriptor.

Write the functions.  `python descriptors.py` shows the descriptors of the starter's switch.s.
"""

from typing import NamedTuple


class Descriptor(NamedTuple):
    """What the 64 bits say.

    Attributes:
        base: where the segment begins.
        limit: the offset of its last byte, granularity applied.
        kind: "code", "data" or "system".
        present: bit P.
        dpl: 0 to 3.
        bits: 16, 32 or 64: by D/B, and L of a code segment.
    """

    base: int
    limit: int
    kind: str
    present: bool
    dpl: int
    bits: int


def decode(descriptor: int) -> Descriptor:
    """Take a descriptor's 64 bits apart.  README.md, section 2."""
    raise NotImplementedError


def far_jump(gdt: bytes, limit: int, selector: int) -> str:
    """What `jmp selector:offset` does in ring 0: "ok", or the fault.  README.md, section 4.

    Args:
        gdt: memory from the GDT's base on, perhaps more than belongs to it.
        limit: the GDT's, as in GDTR.
        selector: any 16 bits.  There is no LDT.
    """
    raise NotImplementedError


if __name__ == "__main__":
    for value in (0x00CF92000000FFFF, 0x004F92000000FFFF):
        print(f"{value:#018x}", decode(value))
