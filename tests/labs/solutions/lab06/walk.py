"""Lab 6, solved."""

from collections.abc import Callable

Read = Callable[[int], int | None]
Slot = tuple[int, int, int]
P, PS = 1 << 0, 1 << 7
ADDRESS = 0x000F_FFFF_FFFF_F000


def to_gpa(read: Read, cr3: int, gva: int) -> int | None:
    if gva >> 47 not in (0, 0x1FFFF):
        return None
    table = cr3 & ADDRESS
    for shift in (39, 30, 21, 12):
        entry = read(table + (gva >> shift & 511) * 8)
        if entry is None or not entry & P:
            return None
        table = entry & ADDRESS
        if shift == 12 or (shift < 39 and entry & PS):
            size = 1 << shift
            return table & -size | gva & size - 1
    return None


def to_hva(slots: list[Slot], gpa: int) -> int | None:
    for base, size, hva in slots:
        if base <= gpa < base + size:
            return hva + gpa - base
    return None


def read_virtual(
    slots: list[Slot], load: Callable[[int, int], bytes], cr3: int, gva: int, length: int
) -> bytes | None:
    def read(gpa: int) -> int | None:
        hva = to_hva(slots, gpa)
        return None if hva is None else int.from_bytes(load(hva, 8), "little")

    found = b""
    while len(found) < length:
        here = gva + len(found)
        n = min(length - len(found), 4096 - here % 4096)
        gpa = to_gpa(read, cr3, here)
        hva = None if gpa is None else to_hva(slots, gpa)
        if hva is None:
            return None
        found += load(hva, n)
    return found
