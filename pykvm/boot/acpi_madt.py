"""ACPI's table of interrupt controllers: the Multiple APIC Description Table."""

from __future__ import annotations

import struct

from pykvm import layout
from pykvm.boot.acpi_header import system_table
from pykvm.boot.platform import Platform

REVISION = 3
PCAT_COMPAT = 1 << 0
"""There are two 8259 PICs, too."""

# Types of the table's structures.
LOCAL_APIC = 0
IOAPIC = 1
INTERRUPT_SOURCE_OVERRIDE = 2
LOCAL_APIC_NMI = 4
LOCAL_X2APIC = 9
LOCAL_X2APIC_NMI = 10

ENABLED = 1 << 0
ISA_BUS = 0
LINT1 = 1
CONFORMS_TO_BUS = 0
LEVEL_ACTIVE_HIGH = 3 << 2 | 1 << 0
"""Flags of an interrupt, here and in the MP table (ACPI 6.0, 5.2.12.5; MP 1.4, 4.3.4)."""

X2APIC_FROM = 0xFF
"""IDs from here on do not fit a local APIC's eight bits, of which all ones mean every processor."""

ALL_PROCESSORS = 0xFF
ALL_X2APIC_PROCESSORS = 0xFFFF_FFFF


def madt(platform: Platform) -> bytes:
    """The table of a machine with APICs; processors' APIC IDs and ACPI UIDs count from 0.

    An NMI arrives at LINT1 of each processor, as on any PC.  ISA interrupt 0 is wired to the
    IOAPIC's input 2 whether or not there is a timer to drive it.

    Source: ACPI 6.0, 5.2.12.
    """
    cpus = platform.cpus
    return system_table(
        b"APIC",
        REVISION,
        struct.pack("<II", layout.LOCAL_APIC, PCAT_COMPAT if platform.has_pics else 0)
        + b"".join(_processor(cpu) for cpu in range(cpus))
        + struct.pack("<BBBBII", IOAPIC, 12, layout.IOAPIC_ID, 0, layout.IOAPIC, 0)
        + _override(layout.TIMER_IRQ, layout.IOAPIC_TIMER_PIN, CONFORMS_TO_BUS)
        + _override(layout.SCI_IRQ, layout.SCI_IRQ, LEVEL_ACTIVE_HIGH)
        + struct.pack("<BBBHB", LOCAL_APIC_NMI, 6, ALL_PROCESSORS, CONFORMS_TO_BUS, LINT1)
        + (_x2apic_nmi() if cpus > X2APIC_FROM else b""),
    )


def _processor(cpu: int) -> bytes:
    if cpu < X2APIC_FROM:
        return struct.pack("<BBBBI", LOCAL_APIC, 8, cpu, cpu, ENABLED)
    return struct.pack("<BBHIII", LOCAL_X2APIC, 16, 0, cpu, ENABLED, cpu)


def _override(irq: int, pin: int, flags: int) -> bytes:
    return struct.pack("<BBBBIH", INTERRUPT_SOURCE_OVERRIDE, 10, ISA_BUS, irq, pin, flags)


def _x2apic_nmi() -> bytes:
    return struct.pack(
        "<BBHIB3x", LOCAL_X2APIC_NMI, 12, CONFORMS_TO_BUS, ALL_X2APIC_PROCESSORS, LINT1
    )
