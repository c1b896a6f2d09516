"""The Multiboot information: what EBX points to, and what that points to.

Source: Multiboot Specification 0.6.96, 3.3 (boot information format).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pykvm.boot.e820 import Range, extended_memory, memory_map, usable
from pykvm.boot.elf import ElfFile
from pykvm.boot.multiboot_symbols import Symbols, put_symbols
from pykvm.boot.request import Request, c_string
from pykvm.boot.room import REACH_32, Room
from pykvm.boot.state import Piece
from pykvm.layout import KIB, TEXT_SCREEN
from pykvm.named import NamedTuple
from pykvm.x86 import PAGE_SIZE

LOADER_NAME = "pykvm"

_MEMORY, _CMDLINE, _MODULES, _ELF_SECTIONS = 1 << 0, 1 << 2, 1 << 3, 1 << 5
_MEMORY_MAP, _LOADER_NAME, _FRAMEBUFFER = 1 << 6, 1 << 9, 1 << 12

_LOW_MEMORY_MAX = 640 * KIB

# flags mem_lower mem_upper boot_device cmdline mods_count mods_addr syms[4] mmap_length mmap_addr
# drives_length drives_addr config_table boot_loader_name apm_table vbe_control_info vbe_mode_info
# vbe_mode vbe_interface_seg vbe_interface_off vbe_interface_len
# framebuffer_addr pitch width height bpp type color_info[6] (and two bytes to a multiple of 4)
_INFO = struct.Struct("<7I4I2I7I4HQ3IBB6x2x")
_MODULE = struct.Struct("<4I")  # mod_start mod_end string reserved
_MMAP = struct.Struct("<IQQI")  # size base_addr length type
_MMAP_SIZE = _MMAP.size - 4  # "size" does not count itself


class _Framebuffer(NamedTuple):
    """The framebuffer fields."""

    address: int
    pitch: int
    width: int
    height: int
    bits: int
    type: int


_TEXT_80X25 = _Framebuffer(TEXT_SCREEN, 160, 80, 25, 16, 2)
"""EGA text: bytes a line, then characters.  A loader may set text mode whatever the header prefers
(3.1.4), and it is the only one of a machine without a display: what is written there is not seen.
"""

_NO_FRAMEBUFFER = _Framebuffer(0, 0, 0, 0, 0, 0)


def put_info(
    image: bytes,
    elf: ElfFile | None,
    request: Request,
    room: Room,
    kernel_end: int,
    *,
    video: bool,
) -> int:
    """Put modules and symbols behind the kernel, the information into low memory if that is free.

    Args:
        image: the file's bytes.
        elf: what its ELF headers say, if it was loaded by them.
        request: what the kernel is given.
        room: where there is room; what is put goes there.
        kernel_end: where the kernel ends, its bss included.
        video: the kernel wants to be told of the video mode.

    Returns:
        the physical address of the information.

    Raises:
        ImageError: something does not fit.
    """
    places = []
    for module in request.modules:
        size = len(module.data)
        place = room.lowest(size, align=PAGE_SIZE, start=kernel_end)
        if place is None:
            place = room.lowest(size, align=PAGE_SIZE)
        if place is None:
            raise room.too_small(size, module.name)
        room.put(Piece(place, module.data, size, module.name))
        places.append(place)
    symbols = None if elf is None else put_symbols(image, elf, room, kernel_end)
    size = len(_information(0, request, places, symbols, video))
    base = room.find_low(size, "Multiboot: the boot information", end=REACH_32)
    content = _information(base, request, places, symbols, video)
    room.put(Piece(base, content, size, "the Multiboot information"))
    return base


def _information(
    base: int, request: Request, places: Sequence[int], symbols: Symbols | None, video: bool
) -> bytes:
    """The structure, and behind it modules, memory map and strings, to be put at `base`."""
    ranges = memory_map(request.ram, request.reserved)
    modules_at = base + _INFO.size
    mmap_at = modules_at + _MODULE.size * len(places)
    strings_at = mmap_at + _MMAP.size * len(ranges)

    strings = c_string(request.cmdline, "the command line")
    loader_name_at = strings_at + len(strings)
    strings += c_string(LOADER_NAME, "the loader's name")
    modules = b""
    for module, place in zip(request.modules, places, strict=True):
        end = place + len(module.data)
        modules += _MODULE.pack(place, end, strings_at + len(strings), 0)
        strings += c_string(module.cmdline, f"the command line of {module.name}")
    mmap = b"".join(_MMAP.pack(_MMAP_SIZE, *r) for r in ranges)

    flags = _MEMORY | _CMDLINE | _MODULES | _MEMORY_MAP | _LOADER_NAME
    flags |= _ELF_SECTIONS if symbols else 0
    flags |= _FRAMEBUFFER if video else 0
    info = _INFO.pack(
        flags,
        *_lower_and_upper(ranges),
        0,  # boot_device: it was loaded from no disk
        strings_at,
        len(places),
        modules_at if places else 0,
        *(symbols or (0, 0, 0, 0)),
        len(mmap),
        mmap_at,
        *(0, 0, 0),  # drives, config_table
        loader_name_at,
        *(0, 0, 0),  # apm_table, vbe
        *(0, 0, 0, 0),
        *(_TEXT_80X25 if video else _NO_FRAMEBUFFER),
    )
    return info + modules + mmap + strings


def _lower_and_upper(ranges: Sequence[Range]) -> tuple[int, int]:
    """KiB of memory from 0 on and from 1 MiB on, each up to the first hole."""
    lower = next((r.end for r in usable(ranges) if r.base == 0), 0)
    return min(lower, _LOW_MEMORY_MAX) // KIB, extended_memory(ranges) // KIB
