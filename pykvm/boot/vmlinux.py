"""Linux: an uncompressed kernel (vmlinux) at its own entry point.

Apart from `pykvm.boot.linux`: a bzImage is no ELF file, and wants no pattern looked for in it.
"""

from __future__ import annotations

import re
import struct

from pykvm.boot.bios_data import put_bios_data
from pykvm.boot.elf import ElfFile, boot_elf
from pykvm.boot.linux import Limits, hand_over
from pykvm.boot.pieces import check_pieces
from pykvm.boot.request import Request
from pykvm.boot.room import Room
from pykvm.boot.state import BootState
from pykvm.boot.tables import LINUX_SELECTORS
from pykvm.boot.zero_page import HEADER_AT, LOADED_HIGH
from pykvm.x86 import Mode

_BANNER = re.compile(rb"Linux version [0-9]+\.[0-9]+\.[0-9][^\n\0]* \(")
"""How linux_banner begins (init/version.c): release, then who compiled it in parentheses.  Programs
that print it, or look for it, have the first two words at the most."""

_VMLINUX_CMDLINE_SIZE = 2047
"""COMMAND_LINE_SIZE of x86 less the terminating zero."""

_VMLINUX_INITRD_MAX = {Mode.PROTECTED: 0x37FF_FFFF, Mode.LONG: 0x7FFF_FFFF}
"""As the setup headers (initrd_addr_max) of 32-bit and 64-bit kernels say."""


def is_vmlinux(image: bytes) -> bool:
    """Whether an ELF file is a Linux kernel."""
    return _BANNER.search(image) is not None


def boot_vmlinux(image: bytes, elf: ElfFile, request: Request) -> BootState:
    """An uncompressed kernel at its entry point (startup_32 or startup_64), by its class.

    It is entered as by the boot protocol of that mode, whose header it does not have: one is made
    for it.

    Raises:
        ImageError: something does not fit.
    """
    state = boot_elf(image, elf, request, LINUX_SELECTORS)
    check_pieces(state.pieces, request.ram, request.reserved)
    start = min(s.paddr for s in elf.segments)
    end = max(s.paddr + s.memsz for s in elf.segments)
    limits = Limits(_VMLINUX_CMDLINE_SIZE, _VMLINUX_INITRD_MAX[elf.mode], False)
    room = Room(request, state.pieces, state.rsp)
    put_bios_data(room, request.ram)
    return hand_over(state, room, request, _vmlinux_header(), limits, kernel=(start, end))


def _vmlinux_header() -> bytes:
    """A setup header of protocol 2.12, the first with all the fields that are filled in."""
    header = bytearray(0x268 - HEADER_AT)
    for offset, form, value in (
        (0x1FE, "<H", 0xAA55),
        (0x202, "<4s", b"HdrS"),
        (0x206, "<H", 0x20C),
        (0x211, "<B", LOADED_HIGH),
    ):
        struct.pack_into(form, header, offset - HEADER_AT, value)
    return bytes(header)
