"""Linux: a bzImage by the Linux/x86 boot protocol.

Source: the kernel's Documentation/arch/x86/boot.rst, "32-bit Boot Protocol" and "64-bit Boot
Protocol".  The 16-bit code of a bzImage is not run: there is no BIOS for it to ask.
"""

from __future__ import annotations

from pykvm.boot.bios_data import put_bios_data
from pykvm.boot.e820 import memory_map
from pykvm.boot.request import Request, c_string
from pykvm.boot.room import REACH_32, Room
from pykvm.boot.setup_header import (
    BZIMAGE_ADDRESS,
    XLF_CAN_BE_LOADED_ABOVE_4G,
    XLF_KERNEL_64,
    SetupHeader,
    read_setup_header,
)
from pykvm.boot.state import BootState, Piece
from pykvm.boot.tables import LINUX_SELECTORS, long_state, protected_state, ram_end
from pykvm.boot.zero_page import SIZE, Parameters, zero_page
from pykvm.errors import ImageError
from pykvm.named import NamedTuple
from pykvm.x86 import PAGE_SIZE, Mode

_ENTRY_64 = 0x200


class Limits(NamedTuple):
    """What a kernel can take."""

    cmdline_size: int
    initrd_addr_max: int
    initrd_above_4g: bool


def boot_bzimage(image: bytes, request: Request, mode: Mode) -> BootState:
    """A bzImage at its 32-bit entry or, with Mode.LONG, at its 64-bit one.

    Raises:
        ImageError: the header is malformed, the kernel has no such entry, or something does not
            fit.
    """
    header = read_setup_header(image)
    if request.entry is not None:
        raise ImageError("Linux: the boot protocol says where it is entered: no entry, please")
    if mode is Mode.LONG and not header.xloadflags & XLF_KERNEL_64:
        raise ImageError("Linux: this kernel has no 64-bit entry point: protected mode is its own")
    new_state = long_state if mode is Mode.LONG else protected_state
    state = new_state(request.ram, (), 0, 0, reserved=request.reserved, selectors=LINUX_SELECTORS)
    room = Room(request, state.pieces, state.rsp)
    load, end = _put_kernel(header, memoryview(image)[header.kernel :], room)
    put_bios_data(room, request.ram)
    limits = Limits(
        header.cmdline_size,
        header.initrd_addr_max,
        bool(header.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G),
    )
    entry = load + _ENTRY_64 if mode is Mode.LONG else load
    state = state._replace(rip=entry)
    return hand_over(state, room, request, header.raw, limits, kernel=(load, end))


def _put_kernel(header: SetupHeader, kernel: memoryview, room: Room) -> tuple[int, int]:
    """Load it with room to unpack itself; returns where it is and where that ends.

    A relocatable kernel unpacks itself to where it is loaded, rounded up to its alignment, yet
    never below pref_address (arch/x86/boot/compressed/head_64.S and head_32.S compare with
    LOAD_PHYSICAL_ADDR), so to load it lower saves nothing.  One that is not relocatable is loaded
    at 1 MiB and unpacks itself at pref_address.
    """
    unpacked = header.pref_address
    if header.relocatable:
        unpacked += -unpacked % header.alignment
        size = max(len(kernel), header.init_size)
        if not _is_free(room, unpacked, unpacked + size):
            unpacked = room.lowest(size, align=header.alignment, start=unpacked) or unpacked
        load, end = unpacked, unpacked + size
    else:
        load = BZIMAGE_ADDRESS
        end = max(load + len(kernel), unpacked + header.init_size)
    below = max(min(load - unpacked, header.init_size), 0)
    if not _is_free(room, load, end) or not _is_free(room, unpacked, unpacked + below):
        start = min(load, unpacked)
        raise ImageError(
            f"Linux: the kernel needs {(end - start) >> 10} KiB of free RAM at {start:#x} "
            "to unpack itself (more: -m)"
        )
    if below:
        room.put(Piece(unpacked, b"", below, "room for the kernel"))
    room.put(Piece(load, kernel, end - load, "the kernel"))
    return load, end


def _is_free(room: Room, start: int, end: int) -> bool:
    return start == end or (end <= REACH_32 and room.is_free(start, end))


def hand_over(
    state: BootState,
    room: Room,
    request: Request,
    header: bytes,
    limits: Limits,
    *,
    kernel: tuple[int, int],
) -> BootState:
    """Put the initrd, the command line and the zero page into RAM, and RSI at the latter.

    Args:
        kernel: where the kernel is, and where what it needs to unpack itself ends.
    """
    load, end = kernel
    cmdline = c_string(request.cmdline, "Linux: the command line")
    if len(cmdline) - 1 > limits.cmdline_size:
        raise ImageError(
            f"Linux: the command line has {len(cmdline) - 1} bytes; this kernel takes at most "
            f"{limits.cmdline_size}"
        )
    initrd = request.initrd()
    initrd_at = _place_initrd(len(initrd), room, request.ram, limits, end) if initrd else 0
    if initrd:
        room.put(Piece(initrd_at, initrd, len(initrd), "the initrd"))
    cmdline_at = room.find_low(len(cmdline), "Linux: the command line")
    room.put(Piece(cmdline_at, cmdline, len(cmdline), "the command line"))
    zero_page_at = room.find_low(SIZE, "Linux: the zero page")
    parameters = Parameters(
        code32_start=load,
        cmdline=cmdline_at,
        initrd=initrd_at,
        initrd_size=len(initrd),
        rsdp=request.rsdp,
        ranges=memory_map(request.ram, request.reserved),
    )
    room.put(Piece(zero_page_at, zero_page(header, parameters), SIZE, "the zero page"))
    return state._replace(pieces=room.pieces, rsi=zero_page_at)


def _place_initrd(size: int, room: Room, ram: int, limits: Limits, kernel_end: int) -> int:
    """As high as the kernel can reach, so that it is out of the way of what unpacks there."""
    limit = min(limits.initrd_addr_max + 1, REACH_32)
    place = room.highest(size, align=PAGE_SIZE, start=kernel_end, end=limit)
    if place is None and limits.initrd_above_4g:
        place = room.highest(size, align=PAGE_SIZE, start=kernel_end, end=ram_end(ram))
    if place is None:
        raise room.too_small(size, "Linux: the initrd")
    return place
