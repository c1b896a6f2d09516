"""Lab 6: from a guest's linear address to a byte of your own process.

Write `to_gpa`, `to_hva` and `read_virtual`.
"""

from collections.abc import Callable

Read = Callable[[int], int | None]
"""Given a physical address, a multiple of 8: the 64-bit word there; None if no memory is."""

Slot = tuple[int, int, int]
"""(gpa, size, hva): `size` bytes of guest-physical memory at `gpa` are at `hva` in this process."""


def to_gpa(read: Read, cr3: int, gva: int) -> int | None:
    """Walk 4-level page tables (4 KiB, 2 MiB and 1 GiB pages).

    None where there is no mapping, a table is not in memory, or `gva` is not canonical.  Rights
    are not looked at: it is the walk of a supervisor that reads.
    """
    raise NotImplementedError


def to_hva(slots: list[Slot], gpa: int) -> int | None:
    """Where a guest-physical byte is; None where no slot has it (MMIO)."""
    raise NotImplementedError


def read_virtual(
    slots: list[Slot], load: Callable[[int, int], bytes], cr3: int, gva: int, length: int
) -> bytes | None:
    """`length` bytes at a linear address; they may cross into pages that lie elsewhere.

    Args:
        slots: of the guest.
        load: `load(hva, n)`: n bytes of this process at `hva`.
        cr3: of the guest.
        gva: linear address.
        length: in bytes.

    Returns:
        them, or None if not all are mapped to memory.
    """
    raise NotImplementedError
