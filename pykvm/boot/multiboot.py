"""Multiboot: a kernel with a header that says what it wants of its loader.

Source: Multiboot Specification 0.6.96, 3.1 (OS image format) and 3.2 (machine state).
"""

from __future__ import annotations

import struct

from pykvm.boot.bios_data import put_bios_data
from pykvm.boot.elf import ElfFile, read_elf
from pykvm.boot.kinds import MULTIBOOT_SEARCHED, is_elf
from pykvm.boot.multiboot_info import put_info
from pykvm.boot.pieces import check_pieces
from pykvm.boot.request import Request
from pykvm.boot.room import REACH_32, Room
from pykvm.boot.state import BootState, Piece
from pykvm.boot.tables import protected_state
from pykvm.errors import ImageError
from pykvm.named import NamedTuple

LOADER_MAGIC = 0x2BADB002
"""What EAX holds at the entry."""

_PAGE_ALIGN, _MEMORY_INFO, _VIDEO_MODE = 1 << 0, 1 << 1, 1 << 2
_REQUIREMENTS = 0xFFFF
_KNOWN = _PAGE_ALIGN | _MEMORY_INFO | _VIDEO_MODE
_ADDRESSES = 1 << 16

_HEADER_SIZE, _WITH_ADDRESSES, _WITH_VIDEO = 12, 32, 48
_ADDRESS_FIELDS = struct.Struct("<5I")


class _Addresses(NamedTuple):
    """The address fields of the header, all physical (3.1.3)."""

    header: int
    load: int
    load_end: int
    bss_end: int
    entry: int


def boot_multiboot(image: bytes, header: int, request: Request) -> BootState:
    """Flat 32-bit protected mode without paging, EAX the loader's magic, EBX at the information.

    An ELF file is loaded by its program headers, ELF64 included as long as it is entered below
    4 GiB, unless the header has addresses.

    Args:
        image: the file's bytes.
        header: where the Multiboot header is in them.
        request: what the kernel is given.

    Raises:
        ImageError: the header asks for what is not there, is malformed, or something does not fit.
    """
    flags = int.from_bytes(image[header + 4 : header + 8], "little")
    unknown = flags & _REQUIREMENTS & ~_KNOWN
    if unknown:
        raise ImageError(
            f"Multiboot: the header requires what is not known here (flags {unknown:#x})"
        )
    size = _WITH_VIDEO if flags & _VIDEO_MODE else _HEADER_SIZE
    size = max(size, _WITH_ADDRESSES if flags & _ADDRESSES else 0)
    if header + size > min(len(image), MULTIBOOT_SEARCHED):
        raise ImageError(
            f"Multiboot: the header at {header:#x} does not end within the file's first "
            f"{MULTIBOOT_SEARCHED} bytes"
        )
    elf: ElfFile | None = None
    if flags & _ADDRESSES:
        addresses = _Addresses(*_ADDRESS_FIELDS.unpack_from(image, header + _HEADER_SIZE))
        piece = _load_by_addresses(image, header, addresses)
        pieces: tuple[Piece, ...] = (piece,)
        start = addresses.entry if request.entry is None else request.entry
        if not piece.gpa <= start < piece.end:
            raise ImageError(f"Multiboot: the entry point {start:#x} is outside the kernel")
    elif is_elf(image):
        elf = read_elf(image)
        elf.require_fixed()
        pieces = elf.pieces(image)
        start = elf.start(request.entry)
        if start >= REACH_32:
            raise ImageError(f"Multiboot: the entry point {start:#x} is out of 32-bit reach")
    else:
        raise ImageError(
            "Multiboot: the file is no ELF file, and its header has no addresses (flag 16): "
            "nothing says where to load it"
        )
    state = protected_state(request.ram, pieces, start, stack=0, reserved=request.reserved)
    check_pieces(state.pieces, request.ram, request.reserved)
    room = Room(request, state.pieces, state.rsp)
    put_bios_data(room, request.ram)
    kernel_end = max(piece.end for piece in pieces)
    info = put_info(image, elf, request, room, kernel_end, video=bool(flags & _VIDEO_MODE))
    return state._replace(pieces=room.pieces, rax=LOADER_MAGIC, rbx=info)


def _load_by_addresses(image: bytes, header: int, told: _Addresses) -> Piece:
    """The kernel where the header's addresses say (3.1.3)."""
    if told.load > told.header:
        raise ImageError(
            f"Multiboot: load_addr {told.load:#x} is above header_addr {told.header:#x}"
        )
    offset = header - (told.header - told.load)
    if offset < 0:
        raise ImageError(
            f"Multiboot: load_addr {told.load:#x} would be {-offset} bytes before the file begins"
        )
    load_end = told.load_end or told.load + len(image) - offset
    if load_end < told.load:
        raise ImageError(
            f"Multiboot: load_end_addr {load_end:#x} is below load_addr {told.load:#x}"
        )
    size = load_end - told.load
    if offset + size > len(image):
        raise ImageError(
            f"Multiboot: load_end_addr {load_end:#x} is beyond the end of the file: it is truncated"
        )
    end = told.bss_end or load_end
    if end < load_end:
        raise ImageError(f"Multiboot: bss_end_addr {end:#x} is below the end of the data")
    content = memoryview(image)[offset : offset + size]
    return Piece(told.load, content, end - told.load, "the kernel")
