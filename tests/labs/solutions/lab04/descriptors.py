"""Lab 4, solved."""

from typing import NamedTuple


class Descriptor(NamedTuple):
    base: int
    limit: int
    kind: str
    present: bool
    dpl: int
    bits: int


def decode(descriptor: int) -> Descriptor:
    access = descriptor >> 40 & 0xFF
    flags = descriptor >> 52 & 0xF
    limit = descriptor & 0xFFFF | descriptor >> 32 & 0xF0000
    if flags & 8:
        limit = limit << 12 | 0xFFF
    base = descriptor >> 16 & 0xFFFFFF | descriptor >> 32 & 0xFF000000
    kind = "system" if not access & 0x10 else "code" if access & 0x08 else "data"
    bits = 64 if kind == "code" and flags & 2 else 32 if flags & 4 else 16
    return Descriptor(base, limit, kind, bool(access & 0x80), access >> 5 & 3, bits)


def far_jump(gdt: bytes, limit: int, selector: int) -> str:
    index = selector & 0xFFF8
    protection = f"#GP({selector & 0xFFFC:#x})"
    if selector & 0xFFFC == 0:
        return "#GP(0x0)"
    if selector & 4 or index + 7 > limit:
        return protection
    value = int.from_bytes(gdt[index : index + 8], "little")
    segment = decode(value)
    if segment.kind != "code":
        return protection
    conforming = value >> 42 & 1
    if conforming:
        if segment.dpl > 0:
            return protection
    elif selector & 3 > 0 or segment.dpl != 0:
        return protection
    if not segment.present:
        return f"#NP({selector & 0xFFFC:#x})"
    return "ok"
