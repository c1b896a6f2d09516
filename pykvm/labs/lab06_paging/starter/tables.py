"""Lab 6: page tables of 4-level paging, as bytes (SDM vol. 3A, 4.5).

Write `build`.  `python tables.py` builds some and has pykvm walk them.
"""

from typing import NamedTuple

KIB, MIB = 1 << 10, 1 << 20
TABLE_SIZE = 4096

P = 1 << 0  # present
RW = 1 << 1  # writable
US = 1 << 2  # ring 3 may, too
PS = 1 << 7  # this entry maps a page itself
XD = 1 << 63  # no instruction fetches (only with EFER.NXE)


class Mapping(NamedTuple):
    """One page.

    Attributes:
        gva: linear address, a multiple of `size`, canonical.
        gpa: physical address, a multiple of `size`, below 2**52.
        size: 4 KiB or 2 MiB.
        flags: of RW, US and XD, those that the page has.
    """

    gva: int
    gpa: int
    size: int
    flags: int


def build(mappings: list[Mapping], at: int) -> bytes:
    """The tables that map these pages and nothing else, to be put at physical address `at`.

    The PML4 comes first, so that CR3 is `at`.

    Raises:
        ValueError: a mapping is not aligned to its size, not canonical, or covers what another
            one covers.
    """
    raise NotImplementedError


if __name__ == "__main__":
    from pykvm.debug.page_entries import Controls
    from pykvm.debug.paging import translate
    from pykvm.x86 import Cr0, Cr4, Efer

    AT = 0x10_0000
    blob = build(
        [
            Mapping(0x40_0000, 0x20_0000, 2 * MIB, RW),
            Mapping(0xFFFF_8000_0000_0000, 0x5000, 4 * KIB, RW | XD),
        ],
        AT,
    )

    def read(address: int, length: int) -> bytes | None:
        found = blob[address - AT : address - AT + length] if address >= AT else b""
        return found if len(found) == length else None

    controls = Controls(Cr0.PE | Cr0.PG, AT, Cr4.PAE, Efer.LME | Efer.LMA | Efer.NX)
    for gva in (0x40_1234, 0xFFFF_8000_0000_0ABC, 0):
        print(translate(read, controls, gva))
