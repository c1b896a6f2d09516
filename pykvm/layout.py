"""Where everything is: every guest-physical address and every port that pykvm chooses, once.

RAM starts at 0.  What does not fit below 3 GiB continues at 4 GiB, as on a PC: the gap is for
devices and for what KVM itself needs.
"""

from __future__ import annotations

from pykvm.x86 import PAGE_SIZE

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

# ---- RAM
LOW_RAM_END = 3 * GIB
HIGH_RAM_BASE = 4 * GIB
MIN_RAM = 64 * KIB
DEFAULT_RAM = 16 * MIB

# ---- boot
FLAT_LOAD_ADDRESS = 0x1000
"""Flat images: above the real-mode interrupt vectors and the BIOS data area."""

BOOT_SECTOR_ADDRESS = 0x7C00
"""Where a PC's BIOS loads the first sector of a disk."""

BOOT_DRIVE = 0x80
"""What the BIOS leaves in DL: the first hard disk."""

IDENTITY_MAPPED = 4 * GIB
"""At least this much is mapped one to one for guests entered in long mode."""

# ---- what KVM needs on Intel hosts (KVM API document, KVM_SET_TSS_ADDR,
# KVM_SET_IDENTITY_MAP_ADDR): four pages below 4 GiB where nothing else is
IDENTITY_MAP_ADDRESS = 0xFFFB_C000
TSS_ADDRESS = IDENTITY_MAP_ADDRESS + PAGE_SIZE

# ---- ports
I8042_DATA = 0x60
I8042_COMMAND = 0x64
CMOS = 0x70
POST = 0x80
PORT92 = 0x92
DEBUGCON = 0xE9
DEBUG_EXIT = 0xF4
COM1 = 0x3F8
DEBUGCON_BIOS = 0x402
"""SeaBIOS's debug console; QEMU's `-device isa-debugcon,iobase=0x402`."""
PCI_CONFIG = 0xCF8

# ---- interrupt lines (ISA)
KEYBOARD_IRQ = 1
COM1_IRQ = 4
CMOS_IRQ = 8
MOUSE_IRQ = 12
