"""The zero page: what Linux is told when it is entered (`struct boot_params`).

Sources: the kernel's Documentation/arch/x86/zero-page.rst and boot.rst, and asm/bootparam.h.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pykvm.boot.e820 import Range
from pykvm.named import NamedTuple

SIZE = 4096
HEADER_AT = 0x1F1
"""Where the setup header is, in the zero page as in the file."""

HEADER_END_MAX = 0x290
"""What follows the setup header in the zero page begins here."""

E820_MAX = 128
LOADED_HIGH = 1 << 0
CAN_USE_HEAP = 1 << 7

_UNDEFINED_LOADER = 0xFF
_VIDEO_MODE_NORMAL = 0xFFFF
_HEAP_END = 0xE000
"""As in the protocol's sample configuration; only 16-bit code, which is not run, looks at it."""

_E820_ENTRY = struct.Struct("<QQI")

_RSDP = (0x070, "<Q")
_EXT_RAMDISK_IMAGE = (0x0C0, "<I")
_EXT_RAMDISK_SIZE = (0x0C4, "<I")
_E820_ENTRIES = (0x1E8, "<B")
_VID_MODE = (0x1FA, "<H")
_TYPE_OF_LOADER = (0x210, "<B")
_LOADFLAGS = (0x211, "<B")
_CODE32_START = (0x214, "<I")
_RAMDISK_IMAGE = (0x218, "<I")
_RAMDISK_SIZE = (0x21C, "<I")
_HEAP_END_PTR = (0x224, "<H")
_CMD_LINE_PTR = (0x228, "<I")
_E820_TABLE_AT = 0x2D0


class Parameters(NamedTuple):
    """What the loader tells beside the header.

    Attributes:
        code32_start: where the protected-mode kernel is.
        cmdline: address of the command line, below 4 GiB.
        initrd, initrd_size: address and size of the initrd; 0 without one.
        rsdp: address of the ACPI root pointer; 0 for none.
        ranges: the memory map, at most 128 ranges.
    """

    code32_start: int
    cmdline: int
    initrd: int
    initrd_size: int
    rsdp: int
    ranges: Sequence[Range]


def zero_page(header: bytes, told: Parameters) -> bytes:
    """The page.

    Args:
        header: the kernel's setup header, from offset 0x1F1 of its file on.
        told: what it does not say itself.

    Raises:
        ValueError: there are more than 128 ranges.
    """
    if len(told.ranges) > E820_MAX:
        raise ValueError(f"{len(told.ranges)} ranges of memory; the zero page has room for 128")
    page = bytearray(SIZE)
    page[HEADER_AT : HEADER_AT + len(header)] = header

    def store(field: tuple[int, str], value: int) -> None:
        offset, form = field
        struct.pack_into(form, page, offset, value)

    store(_VID_MODE, _VIDEO_MODE_NORMAL)
    store(_TYPE_OF_LOADER, _UNDEFINED_LOADER)
    store(_LOADFLAGS, page[_LOADFLAGS[0]] | CAN_USE_HEAP)
    store(_HEAP_END_PTR, _HEAP_END - 0x200)
    store(_CODE32_START, told.code32_start)
    store(_CMD_LINE_PTR, told.cmdline)
    store(_RAMDISK_IMAGE, told.initrd & 0xFFFF_FFFF)
    store(_EXT_RAMDISK_IMAGE, told.initrd >> 32)
    store(_RAMDISK_SIZE, told.initrd_size & 0xFFFF_FFFF)
    store(_EXT_RAMDISK_SIZE, told.initrd_size >> 32)
    store(_RSDP, told.rsdp)
    store(_E820_ENTRIES, len(told.ranges))
    for number, entry in enumerate(told.ranges):
        _E820_ENTRY.pack_into(page, _E820_TABLE_AT + number * _E820_ENTRY.size, *entry)
    return bytes(page)
