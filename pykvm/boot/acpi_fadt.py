"""ACPI's fixed hardware: the Fixed ACPI Description Table and the FACS it points to."""

from __future__ import annotations

import struct

from pykvm import layout
from pykvm.boot.acpi_header import system_table
from pykvm.boot.platform import Platform
from pykvm.devices import acpi_pm, cmos, reset_control

REVISION = 6
MINOR_REVISION = 0
SYSTEM_IO = 1

# Fixed feature flags.
WBINVD = 1 << 0
PROC_C1 = 1 << 2
SLP_BUTTON = 1 << 5  # a sleep button is not among the fixed registers
FIX_RTC = 1 << 6  # neither is the clock's wake status
TMR_VAL_EXT = 1 << 8
RESET_REG_SUP = 1 << 10
FLAGS = WBINVD | PROC_C1 | SLP_BUTTON | FIX_RTC | RESET_REG_SUP
"""Without PWR_BUTTON: there is a power button among the fixed registers.  Without TMR_VAL_EXT:
the timer has 24 bits."""

# IA-PC boot architecture flags (5.2.9.3).
LEGACY_DEVICES = 1 << 0
HAS_8042 = 1 << 1
VGA_NOT_PRESENT = 1 << 2

NO_C2 = 101
NO_C3 = 1001
"""Latencies in microseconds: as long as these mean that there is no such state."""

FACS_SIZE = 64
FACS_ALIGNMENT = 64
FACS_VERSION = 2

_NOWHERE = bytes(12)


def facs() -> bytes:
    """The structure by which kernel and firmware wake up and share the global lock; it lies in
    writable RAM, aligned to 64 bytes, and has no checksum.

    Source: ACPI 6.0, 5.2.10.
    """
    head = struct.pack("<4sI", b"FACS", FACS_SIZE)
    return (head.ljust(32, b"\0") + bytes([FACS_VERSION])).ljust(FACS_SIZE, b"\0")


def fadt(platform: Platform, facs_address: int, dsdt_address: int) -> bytes:
    """The table.

    The machine is always in ACPI mode: SMI_CMD is 0.  Where there is a 32-bit and a 64-bit field
    both are set, except for the FACS, of whose addresses the specification allows one.  There are
    a serial port and an 8042 whatever the interrupt controllers; without any, the SCI's number
    stands for a line that leads nowhere, as the field has no value that says so.

    Args:
        platform: the machine.
        facs_address, dsdt_address: below 4 GiB.

    Source: ACPI 6.0, 5.2.9.
    """
    event = layout.ACPI_PM + acpi_pm.STATUS
    control = layout.ACPI_PM + acpi_pm.CONTROL
    timer = layout.ACPI_PM + acpi_pm.TIMER
    boot_flags = LEGACY_DEVICES | HAS_8042 | (0 if platform.has_screen else VGA_NOT_PRESENT)
    body = (
        struct.pack("<II2xH", facs_address, dsdt_address, layout.SCI_IRQ)
        + struct.pack("<I4x", 0)  # SMI_CMD and the values for it
        + struct.pack("<8I", event, 0, control, 0, 0, timer, 0, 0)
        + struct.pack("<4B4x", acpi_pm.EVENT_LENGTH, acpi_pm.CONTROL_LENGTH, 0, 4)
        + struct.pack("<HH8xBHx", NO_C2, NO_C3, cmos.CENTURY, boot_flags)
        + struct.pack("<I", FLAGS)
        + _register(layout.RESET_CONTROL, 8)
        + struct.pack("<B2xB", reset_control.HARD_RESET, MINOR_REVISION)
        + struct.pack("<QQ", 0, dsdt_address)
        + _register(event, 32, access=16)
        + _NOWHERE
        + _register(control, 16)
        + _NOWHERE * 2
        + _register(timer, 32)
        + _NOWHERE * 4  # two GPE blocks, the sleep registers of hardware-reduced machines
        + b"PYKVM".ljust(8, b"\0")  # the hypervisor's vendor
    )
    return system_table(b"FACP", REVISION, body)


def _register(port: int, bits: int, *, access: int = 0) -> bytes:
    """A Generic Address Structure of a port, `bits` wide, accessed so many bits at a time."""
    access_size = (access or bits).bit_length() - 3  # 1: byte, 2: word, 3: doubleword
    return struct.pack("<BBBBQ", SYSTEM_IO, bits, 0, access_size, port)
