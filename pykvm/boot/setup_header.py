"""The setup header of a Linux kernel: what a bzImage says of itself.

Source: the kernel's Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header", and
asm/bootparam.h (`struct setup_header`).
"""

from __future__ import annotations

import struct

from pykvm.boot.zero_page import HEADER_AT, HEADER_END_MAX, LOADED_HIGH
from pykvm.errors import ImageError
from pykvm.layout import MIB
from pykvm.named import NamedTuple

XLF_KERNEL_64 = 1 << 0
XLF_CAN_BE_LOADED_ABOVE_4G = 1 << 1

OLDEST = 0x206
"""The oldest protocol that is spoken, of Linux 2.6.22: the first that says how long the command
line may be, and what is needed to enter the kernel without its 16-bit code."""

_SECTOR = 512
_JUMP_AT = 0x202
BZIMAGE_ADDRESS = MIB
"""Where a kernel is loaded that does not say where it wants to be."""

# Each field that is read: offset, format, the first protocol that has it, its value before that.
_SETUP_SECTS = (0x1F1, "<B", 0, 0)
_SYSSIZE = (0x1F4, "<I", 0x204, 0)
_VERSION = (0x206, "<H", 0x200, 0)
_LOADFLAGS = (0x211, "<B", 0x200, 0)
_INITRD_ADDR_MAX = (0x22C, "<I", 0x203, 0x37FF_FFFF)
_KERNEL_ALIGNMENT = (0x230, "<I", 0x205, 0)
_RELOCATABLE_KERNEL = (0x234, "<B", 0x205, 0)
_XLOADFLAGS = (0x236, "<H", 0x20C, 0)
_CMDLINE_SIZE = (0x238, "<I", 0x206, 255)
_PREF_ADDRESS = (0x258, "<Q", 0x20A, 0)
_INIT_SIZE = (0x260, "<I", 0x20A, 0)

_END_BY_VERSION = ((0x20A, 0x264), (OLDEST, 0x23C))
"""Where the header of a protocol ends at the earliest, by the last field that is read of it."""

_UNPACKED_RATIO = 3
"""How much memory a kernel that has no init_size is taken to need, in sizes of its file: GRUB's
guess, too."""


class SetupHeader(NamedTuple):
    """The fields that a loader needs, by their names in the protocol.

    Attributes:
        raw: the whole header, from offset 0x1F1 on.
        kernel: the protected-mode kernel's offset in the file.
        relocatable: relocatable_kernel.
        alignment: kernel_alignment.
        xloadflags, cmdline_size, initrd_addr_max, pref_address, init_size: so called there; what
            the protocol's version does not have is its default.
    """

    raw: bytes
    kernel: int
    relocatable: bool
    alignment: int
    xloadflags: int
    cmdline_size: int
    initrd_addr_max: int
    pref_address: int
    init_size: int


def read_setup_header(image: bytes) -> SetupHeader:
    """The header of a bzImage.

    Raises:
        ImageError: it is truncated, of a kernel from before 2007, or of a zImage.
    """
    end = min(_JUMP_AT + image[_JUMP_AT - 1], HEADER_END_MAX)
    version = _read(image, _VERSION, 0x200) if len(image) >= 0x208 else 0
    if version and version < OLDEST:
        raise ImageError(
            f"Linux: boot protocol {_dotted(version)} is too old: {_dotted(OLDEST)} "
            "(Linux 2.6.22) is the first that is known here"
        )
    needed = next((size for first, size in _END_BY_VERSION if version >= first), HEADER_END_MAX)
    if end < needed or len(image) < end:
        raise ImageError("Linux: the setup header is truncated")
    if not _read(image, _LOADFLAGS, version) & LOADED_HIGH:
        raise ImageError("Linux: a zImage, which is loaded below 1 MiB: make a bzImage")
    kernel = (1 + (_read(image, _SETUP_SECTS, version) or 4)) * _SECTOR
    size = len(image) - kernel
    # rounded up by those who do not fill the last 16 bytes
    if size <= 0 or size <= (_read(image, _SYSSIZE, version) - 1) * 16:
        raise ImageError("Linux: the file ends before the kernel does: it is truncated")
    alignment = _read(image, _KERNEL_ALIGNMENT, version)
    relocatable = bool(_read(image, _RELOCATABLE_KERNEL, version))
    if relocatable and (not alignment or alignment & (alignment - 1)):
        raise ImageError(f"Linux: an alignment of {alignment:#x}, which is no power of two")
    return SetupHeader(
        raw=image[HEADER_AT:end],
        kernel=kernel,
        relocatable=relocatable,
        alignment=alignment,
        xloadflags=_read(image, _XLOADFLAGS, version),
        cmdline_size=_read(image, _CMDLINE_SIZE, version),
        initrd_addr_max=_read(image, _INITRD_ADDR_MAX, version),
        pref_address=_read(image, _PREF_ADDRESS, version) or BZIMAGE_ADDRESS,
        init_size=_read(image, _INIT_SIZE, version) or size * _UNPACKED_RATIO,
    )


def _read(image: bytes, field: tuple[int, str, int, int], version: int) -> int:
    offset, form, since, default = field
    if version < since:
        return default
    value: int = struct.unpack_from(form, image, offset)[0]
    return value


def _dotted(version: int) -> str:
    return f"{version >> 8}.{version & 0xFF:02}"
