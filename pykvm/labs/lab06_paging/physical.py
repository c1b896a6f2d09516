"""Page tables of the checker's own, as real ones are."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from pykvm.debug.page_entries import Controls
from pykvm.debug.paging import Translation, translate
from pykvm.x86 import Cr0, Cr4, Efer

P, PS = 1 << 0, 1 << 7
KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SHIFTS = {4 * KIB: 12, 2 * MIB: 21, GIB: 30}
IGNORED = (0x7FF << 52) | 0xE00
"""Bits 62:52 and 11:9 of an entry are software's (SDM vol. 3A, tables 4-15 to 4-20)."""
ACCESSED_DIRTY_CACHE = 0x78
XD = 1 << 63


def controls(cr3: int) -> Controls:
    """A processor's with 4-level paging."""
    return Controls(Cr0.PE | Cr0.PG, cr3, Cr4.PAE, Efer.LME | Efer.LMA | Efer.NX)


def canonical(address: int) -> int:
    """Bits 47:0 of an address, sign-extended."""
    address &= (1 << 48) - 1
    return address | (0xFFFF << 48) if address >> 47 else address


class Blob(NamedTuple):
    """Tables as a student's `build` made them, at a physical address."""

    at: int
    data: bytes

    def read(self, address: int, length: int) -> bytes | None:
        """What is in them; None elsewhere."""
        offset = address - self.at
        if 0 <= offset <= len(self.data) - length:
            return self.data[offset : offset + length]
        return None

    def walk(self, gva: int) -> Translation:
        """From their beginning to `gva`'s page."""
        return translate(self.read, controls(self.at), gva)


class Physical:
    """Words of physical memory, and tables in them.

    Args:
        random: where tables lie, and what is in the bits that do not matter.
        pages: where tables may lie: physical addresses of free pages.

    Attributes:
        words: by address.
        cr3: with bits set that are no address.
        tables: the addresses of the pages that became tables.
    """

    def __init__(self, random: Random, pages: list[int]) -> None:
        self._random = random
        self._free = pages
        self.words: dict[int, int] = {}
        self.tables: list[int] = []
        self._root = self._new_table()
        self.cr3 = self._root | 0x18

    def _new_table(self) -> int:
        address = self._free.pop()
        self.tables.append(address)
        self.words.update((address + 8 * i, 0) for i in range(512))
        return address

    def _noise(self) -> int:
        return self._random.getrandbits(64) & (IGNORED | ACCESSED_DIRTY_CACHE | XD | 0x6)

    def map(self, gva: int, gpa: int, size: int) -> None:
        """Map a page, unless something is mapped there."""
        table = self._root
        for shift in (39, 30, 21, 12):
            at = table + (gva >> shift & 511) * 8
            if SHIFTS[size] == shift:
                if not self.words[at]:
                    large = PS if size > 4 * KIB else self._random.choice([0, PS])
                    # bit 12 of a large page is PAT, too
                    pat = self._random.choice([0, 1 << 12]) if size > 4 * KIB else 0
                    self.words[at] = gpa | P | large | pat | self._noise()
                return
            entry = self.words[at]
            if entry & PS:
                return
            if not entry:
                entry = self._new_table() | P | self._noise()
                self.words[at] = entry
            table = entry & 0xF_FFFF_FFFF_F000

    def forget(self, gva: int) -> None:
        """Make the entry of a 4 KiB page not present, and leave all else in it."""
        last = self.walk(gva).levels[-1]
        self.words[last.address] &= ~P

    def read(self, address: int, length: int) -> bytes | None:
        """As `pykvm.debug.paging.translate` wants it."""
        word = self.words.get(address)
        return None if word is None else word.to_bytes(8, "little")[:length]

    def walk(self, gva: int) -> Translation:
        """What is right."""
        return translate(self.read, controls(self.cr3), gva)
