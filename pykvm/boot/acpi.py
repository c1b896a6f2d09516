"""ACPI's tables, from the pointer that kernels search for in the BIOS area to the last one."""

from __future__ import annotations

import struct

from pykvm import layout
from pykvm.boot.acpi_dsdt import MAX_CPUS, dsdt
from pykvm.boot.acpi_fadt import FACS_ALIGNMENT, facs, fadt
from pykvm.boot.acpi_header import OEM_ID, system_table
from pykvm.boot.acpi_madt import madt
from pykvm.boot.checksum import with_checksum
from pykvm.boot.platform import Platform
from pykvm.boot.state import Piece
from pykvm.named import NamedTuple

RSDP_REVISION = 2
RSDP_SIZE = 36
_RSDP_SIZE_1_0 = 20
_TABLE_ALIGNMENT = 16


class AcpiTables(NamedTuple):
    """The tables as they go into RAM.

    Attributes:
        rsdp: the guest-physical address of the Root System Description Pointer.
        pieces: the tables.
    """

    rsdp: int
    pieces: tuple[Piece, ...]


def acpi_tables(
    platform: Platform, base: int = layout.ACPI_TABLES, end: int = layout.ACPI_TABLES_END
) -> AcpiTables:
    """All tables of a machine: RSDP, FACS, DSDT, FADT, with APICs the MADT, RSDT and XSDT.

    They must lie in RAM that the memory map does not call free: the FACS stays in use.

    Args:
        platform: the machine, of 1 to 4096 processors; the 64 KiB that are the default have room
            for some 1400.
        base: where the tables begin, guest-physical, a multiple of 64 below 4 GiB; the RSDP lies
            there.  Kernels that are not told its address find it from 0xE0000 to 0xFFFFF only.
        end: where they must end.

    Raises:
        ValueError: `platform` or `base` is not such, or the tables do not fit.

    Source: ACPI 6.0, 5.2.5 to 5.2.8.
    """
    cpus = platform.cpus
    if not 1 <= cpus <= MAX_CPUS:
        raise ValueError(f"the ACPI tables name 1 to {MAX_CPUS} processors, not {cpus}")
    if base % FACS_ALIGNMENT:
        raise ValueError(f"the ACPI tables cannot begin at {base:#x}: not a multiple of 64")
    region = _Region(base, RSDP_SIZE)
    facs_address = region.put(facs(), FACS_ALIGNMENT)
    dsdt_address = region.put(dsdt(platform))
    tables = [region.put(fadt(platform, facs_address, dsdt_address))]
    if platform.ioapic_version is not None:
        tables.append(region.put(madt(platform)))
    rsdt = region.put(system_table(b"RSDT", 1, struct.pack(f"<{len(tables)}I", *tables)))
    xsdt = region.put(system_table(b"XSDT", 1, struct.pack(f"<{len(tables)}Q", *tables)))
    data = rsdp(rsdt, xsdt) + region.data[RSDP_SIZE:]
    if base + len(data) > end:
        raise ValueError(
            f"the ACPI tables of {cpus} processors take {len(data)} bytes, "
            f"of which there are {end - base} at {base:#x}"
        )
    return AcpiTables(base, (Piece(base, data, len(data), "the ACPI tables"),))


def rsdp(rsdt: int, xsdt: int) -> bytes:
    """The pointer to the tables at `rsdt` and `xsdt`.

    One checksum is for ACPI 1.0, which knew the first 20 bytes, the other one for all 36.
    """
    pointer = struct.pack(
        "<8sB6sBIIQB3x", b"RSD PTR ", 0, OEM_ID, RSDP_REVISION, rsdt, RSDP_SIZE, xsdt, 0
    )
    return with_checksum(with_checksum(pointer, 8, _RSDP_SIZE_1_0), 32)


class _Region:
    """Bytes from `base` on that tables are put into, one behind the other."""

    def __init__(self, base: int, reserved: int) -> None:
        self._base = base
        self.data = bytes(reserved)

    def put(self, table: bytes, alignment: int = _TABLE_ALIGNMENT) -> int:
        """Append a table; returns its address."""
        self.data += bytes(-len(self.data) % alignment)
        address = self._base + len(self.data)
        self.data += table
        return address
