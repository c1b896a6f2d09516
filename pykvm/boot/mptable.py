"""The tables of the MultiProcessor Specification: how kernels without ACPI find the processors,
the IOAPIC and its wiring."""

from __future__ import annotations

import struct

from pykvm import layout
from pykvm.boot.acpi_madt import LEVEL_ACTIVE_HIGH
from pykvm.boot.checksum import with_checksum
from pykvm.boot.platform import Platform
from pykvm.boot.state import Piece

SPEC_REVISION = 4
"""Version 1.4."""

POINTER_SIZE = 16
HEADER = struct.Struct("<4sHBB8s12sIHHIHBx")

# Types of the table's entries.
PROCESSOR = 0
BUS = 1
IOAPIC = 2
IO_INTERRUPT = 3
LOCAL_INTERRUPT = 4

ENABLED = 1 << 0
BOOTSTRAP = 1 << 1
BOOTSTRAP_CPU = 0

# Kinds of interrupts.
INT = 0
NMI = 1
EXT_INT = 3

ISA_BUS = 0
ISA_IRQS = 16
ALL_APICS = 0xFF
MAX_CPUS = ALL_APICS
"""APIC IDs have eight bits here, of which all ones mean every processor."""

LOCAL_APIC_VERSION = 0x14
"""What KVM's local APICs say in their version registers."""


def mp_tables(platform: Platform, base: int = layout.MP_TABLES) -> Piece:
    """The floating pointer and, behind it, the configuration table.

    Interrupts arrive as the PICs send them, if there are any (virtual wire mode through LINT0 of
    the first processor), until a kernel turns the IOAPIC on.  Processors from number 255 on have
    IDs that these tables cannot name.

    Args:
        platform: of a machine with an IOAPIC.
        base: where the pointer lies, guest-physical, a multiple of 16 below 4 GiB.  Kernels
            search the last KiB below 640 KiB and from 0xF0000 to 0xFFFFF.

    Raises:
        ValueError: there is no processor or no IOAPIC; `base` is not such.

    Source: MultiProcessor Specification 1.4, chapter 4.
    """
    cpus, version = platform.cpus, platform.ioapic_version
    if cpus < 1:
        raise ValueError(f"a machine has at least one processor, not {cpus}")
    if version is None:
        raise ValueError("the MP tables need an IOAPIC to tell of")
    if base % POINTER_SIZE:
        raise ValueError(f"the MP tables cannot begin at {base:#x}: not a multiple of 16")
    entries = [
        *(_processor(cpu, platform) for cpu in range(min(cpus, MAX_CPUS))),
        struct.pack("<BB6s", BUS, ISA_BUS, b"ISA   "),
        struct.pack("<BBBBI", IOAPIC, layout.IOAPIC_ID, version, ENABLED, layout.IOAPIC),
        *(_isa_interrupt(irq) for irq in range(ISA_IRQS) if irq != layout.CASCADE_IRQ),
        *([_local_interrupt(EXT_INT, BOOTSTRAP_CPU, 0)] if platform.has_pics else []),
        _local_interrupt(NMI, ALL_APICS, 1),
    ]
    data = _floating_pointer(base + POINTER_SIZE) + _configuration(entries)
    return Piece(base, data, len(data), "the MP tables")


def _floating_pointer(table: int) -> bytes:
    """The structure that kernels search for (4.1); feature bytes of 0 mean that there is a table,
    and that the PICs are wired to LINT0 without a register between (IMCR)."""
    paragraphs = POINTER_SIZE // 16
    pointer = struct.pack("<4sIBBB5x", b"_MP_", table, paragraphs, SPEC_REVISION, 0)
    return with_checksum(pointer, 10)


def _configuration(entries: list[bytes]) -> bytes:
    """The header (4.2) and its entries (4.3)."""
    length = HEADER.size + sum(map(len, entries))
    header = HEADER.pack(
        b"PCMP",
        length,
        SPEC_REVISION,
        0,
        b"PYKVM   ",
        b"PC          ",
        0,  # no table of the maker's own
        0,
        len(entries),
        layout.LOCAL_APIC,
        0,  # no extended entries
        0,
    )
    return with_checksum(header + b"".join(entries), 7)


def _processor(cpu: int, platform: Platform) -> bytes:
    flags = ENABLED | (BOOTSTRAP if cpu == BOOTSTRAP_CPU else 0)
    what = platform.signature, platform.features
    return struct.pack("<BBBBII8x", PROCESSOR, cpu, LOCAL_APIC_VERSION, flags, *what)


def _isa_interrupt(irq: int) -> bytes:
    """An I/O interrupt assignment (4.3.4): edge-triggered as ISA is, but for ACPI's."""
    pin = layout.IOAPIC_TIMER_PIN if irq == layout.TIMER_IRQ else irq
    flags = LEVEL_ACTIVE_HIGH if irq == layout.SCI_IRQ else 0
    return struct.pack("<BBHBBBB", IO_INTERRUPT, INT, flags, ISA_BUS, irq, layout.IOAPIC_ID, pin)


def _local_interrupt(kind: int, apic: int, lint: int) -> bytes:
    return struct.pack("<BBHBBBB", LOCAL_INTERRUPT, kind, 0, ISA_BUS, 0, apic, lint)
