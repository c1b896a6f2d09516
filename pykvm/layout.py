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


def ram_ranges(ram: int) -> tuple[tuple[int, int], ...]:
    """Where `ram` bytes of RAM are: start and length of what is below the gap, then above it."""
    low = min(ram, LOW_RAM_END)
    return ((0, low), (HIGH_RAM_BASE, ram - low)) if ram > low else ((0, low),)


# ---- boot
FLAT_LOAD_ADDRESS = 0x1000
"""Flat images: above the real-mode interrupt vectors and the BIOS data area."""

BOOT_SECTOR_ADDRESS = 0x7C00
"""Where a PC's BIOS loads the first sector of a disk."""

BOOT_DRIVE = 0x80
"""What the BIOS leaves in DL: the first hard disk."""

IDENTITY_MAPPED = 4 * GIB
"""At least this much is mapped one to one for guests entered in long mode."""

# ---- a BIOS's data
BIOS_DATA = 0x400
"""The BIOS data area, behind the real-mode interrupt vectors."""

EBDA = 0x9_FC00
"""The extended BIOS data area.  From here to 1 MiB nothing is free on a PC: video memory and
ROMs follow."""

TEXT_SCREEN = 0xB_8000
"""Where a PC's text screen is."""

# ---- firmware's tables, in the BIOS area: RAM that no memory map may call free
BIOS_AREA = 0xE_0000
BIOS_AREA_END = 0x10_0000
BIOS_ROM = 0xF_E000
"""The BIOS's code and tables (pykvm/bios), up to the area's end."""
ACPI_TABLES = BIOS_AREA
ACPI_TABLES_END = 0xF_0000
MP_TABLES = ACPI_TABLES_END
"""MultiProcessor Specification 1.4, chapter 4: in the BIOS area they are searched for from here."""

# ---- interrupt controllers: where a PC has them, and KVM's after reset
LOCAL_APIC = 0xFEE0_0000
IOAPIC = 0xFEC0_0000
IOAPIC_ID = 0
IOAPIC_TIMER_PIN = 2
"""The IOAPIC's input that ISA interrupt 0 is wired to.  All others go to the input of their own
number, and input 0, the PICs' on a PC, has nothing; KVM itself would wire 0 to 0."""

# ---- what KVM needs on Intel hosts (KVM API document, KVM_SET_TSS_ADDR,
# KVM_SET_IDENTITY_MAP_ADDR): four pages below 4 GiB where nothing else is
IDENTITY_MAP_ADDRESS = 0xFFFB_C000
TSS_ADDRESS = IDENTITY_MAP_ADDRESS + PAGE_SIZE
KVM_PAGES = (IDENTITY_MAP_ADDRESS, 4 * PAGE_SIZE)
"""All of them: where they start, and their length in bytes."""

# ---- firmware images
FIRMWARE_LOWEST = sum(KVM_PAGES)
FIRMWARE_END = 4 * GIB
"""An image ends here, and once more at 1 MiB."""

# ---- ports
BIOS_TRAP = 0x30
"""16 ports that no PC uses: through them the BIOS's stubs enter Python, a port a service."""
PIC = 0x20
PIC2 = 0xA0
PIT = 0x40
SPEAKER = 0x61
ELCR = 0x4D0
"""Which interrupts are level-triggered, a byte for each PIC (ICH9 datasheet, ELCR1 and ELCR2)."""
I8042_DATA = 0x60
SPEAKER = 0x61
I8042_COMMAND = 0x64
CMOS = 0x70
POST = 0x80
PORT92 = 0x92
DEBUGCON = 0xE9
DEBUG_EXIT = 0xF4
CRTC = 0x3D4
VGA_STATUS = 0x3DA
"""Both with a BIOS only, whose screen they are of."""
COM1 = 0x3F8
DEBUGCON_BIOS = 0x402
"""SeaBIOS's debug console; QEMU's `-device isa-debugcon,iobase=0x402`."""
FW_CFG = 0x510
FW_CFG_DMA = 0x514
ACPI_PM = 0x600
"""The ACPI registers, where QEMU's Q35 has them."""
PCI_CONFIG = 0xCF8
RESET_CONTROL = 0xCF9

# ---- the test device, where QEMU's pc-testdev has it
TESTDEV_SCRATCH = 0xE0
TESTDEV_FLUSH = 0xE4
TESTDEV_LINES = 0x2000
TESTDEV_MEMORY = 0xFF00_0000
"""Guest-physical; the others are ports."""

# ---- what benchmarks measure with, on machines of their own (guests/bench)
BENCH_PORT = 0x10
BENCH_DONE = 0x11
BENCH_PIN = 0x12
BENCH_RESULTS = 0x10_0000
"""Guest-physical: where a guest in long mode leaves what it measured."""
BENCH_RESULTS_REAL = 0x8000
BENCH_FRESH = 1 * GIB
"""Guest-physical: memory that no guest has touched."""
BENCH_MMIO = 0xD000_0000

# ---- interrupt lines (ISA)
ISA_IRQS = 16
TIMER_IRQ = 0
KEYBOARD_IRQ = 1
CASCADE_IRQ = 2
"""Not a device's: the second PIC's request to the first."""
COM1_IRQ = 4
CMOS_IRQ = 8
SCI_IRQ = 9
"""ACPI's; the only level-triggered one."""
MOUSE_IRQ = 12
