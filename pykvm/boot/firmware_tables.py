"""What a PC's firmware leaves in RAM for kernels to find: the ACPI and the MP tables."""

from __future__ import annotations

from pykvm.boot.e820 import RESERVED, Range
from pykvm.boot.kinds import is_kernel
from pykvm.boot.platform import Platform
from pykvm.boot.state import Piece
from pykvm.layout import BIOS_AREA_END
from pykvm.named import NamedTuple


class FirmwareTables(NamedTuple):
    """The tables of a machine.

    Attributes:
        rsdp: where ACPI's Root System Description Pointer is (guest-physical); 0 for none, as
            boot protocols have it.
        pieces: what goes into RAM; all of it within `layout.BIOS_AREA`.
    """

    rsdp: int = 0
    pieces: tuple[Piece, ...] = ()

    @property
    def reserved(self) -> tuple[Range, ...]:
        """Where they lie, for the memory map."""
        return tuple(Range(piece.gpa, piece.size, RESERVED) for piece in self.pieces)


def tables_for(image: bytes, platform: Platform, ram: int) -> FirmwareTables:
    """The tables that `image` gets: all of them if it is a kernel, else none.

    A flat image or a boot sector has RAM to itself, all of it.

    Args:
        image: the file's bytes.
        platform, ram: as for `firmware_tables`.
    """
    return firmware_tables(platform, ram) if is_kernel(image) else FirmwareTables()


def firmware_tables(platform: Platform, ram: int) -> FirmwareTables:
    """The tables of a machine with `ram` bytes of RAM.

    Less than 1 MiB of RAM has no BIOS area: such a machine gets none.  Without APICs there are no
    MP tables, which are about nothing else.

    Raises:
        ValueError: there is no processor, or more than the tables have room for.
    """
    if ram < BIOS_AREA_END:
        return FirmwareTables()
    from pykvm.boot.acpi import acpi_tables
    from pykvm.boot.mptable import mp_tables

    acpi = acpi_tables(platform)
    mp = () if platform.ioapic_version is None else (mp_tables(platform),)
    return FirmwareTables(acpi.rsdp, (*acpi.pieces, *mp))
