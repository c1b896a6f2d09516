"""Lab 6, solved."""

from typing import NamedTuple

KIB, MIB = 1 << 10, 1 << 20
TABLE_SIZE = 4096

P = 1 << 0
RW = 1 << 1
US = 1 << 2
PS = 1 << 7
XD = 1 << 63


class Mapping(NamedTuple):
    gva: int
    gpa: int
    size: int
    flags: int


def build(mappings: list[Mapping], at: int) -> bytes:
    tables = [[0] * 512]
    for gva, gpa, size, flags in mappings:
        if gva % size or gpa % size:
            raise ValueError(f"{gva:#x} or {gpa:#x} is no multiple of {size:#x}")
        if gva >> 47 not in (0, (1 << 17) - 1):
            raise ValueError(f"{gva:#x} is not canonical")
        large = size == 2 * MIB
        table = tables[0]
        for shift in (39, 30) if large else (39, 30, 21):
            index = gva >> shift & 511
            if table[index] & PS:
                raise ValueError(f"{gva:#x} is mapped by a large page already")
            if not table[index]:
                tables.append([0] * 512)
                table[index] = at + (len(tables) - 1) * TABLE_SIZE | P | RW | US
            table = tables[(table[index] - at) // TABLE_SIZE]
        index = gva >> (21 if large else 12) & 511
        if table[index]:
            raise ValueError(f"{gva:#x} is mapped already")
        table[index] = gpa | flags | P | (PS if large else 0)
    return b"".join(entry.to_bytes(8, "little") for table in tables for entry in table)
