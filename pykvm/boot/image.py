"""From a file to a BootState: what kind of image it is, and whether it fits its machine."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pykvm.boot.flat import boot_flat, boot_sector, is_boot_sector
from pykvm.boot.kinds import MULTIBOOT_SEARCHED, is_kernel
from pykvm.boot.pieces import check_pieces
from pykvm.boot.request import Module, Request
from pykvm.boot.state import BootState
from pykvm.errors import ImageError
from pykvm.files import open_regular
from pykvm.layout import MIB
from pykvm.named import TYPE_CHECKING
from pykvm.x86 import Mode

if TYPE_CHECKING:
    from pykvm.boot.e820 import Range

UNLOADED_MAX = 256 * MIB
"""How much larger than RAM a file may be: symbols and debug information are not loaded."""


def read_image(path: str | os.PathLike[str], ram: int) -> bytes:
    """The bytes of an image file.

    Args:
        path: a regular file.
        ram: bytes of RAM of the machine it is for.

    Raises:
        ImageError: it cannot be read, is empty, or could never fit.
    """
    name = os.fspath(path)
    try:
        fd, size = open_regular(name)
        with open(fd, "rb") as file:
            if size > ram + UNLOADED_MAX:
                raise ImageError(
                    f"{name}: {size} bytes are too large for {ram} bytes of guest memory (more: -m)"
                )
            image = file.read()
    except MemoryError:
        raise ImageError(f"{name}: this host has not the memory to read it") from None
    except OSError as error:
        raise ImageError(f"{name}: {error.strerror}") from error
    except ValueError as error:
        raise ImageError(f"{name!r}: {error}") from error
    if not image:
        raise ImageError(f"{name}: the file is empty")
    return image


def read_start(path: str | os.PathLike[str]) -> tuple[bytes, int]:
    """The first bytes of an image file, as many as say what it is, and its size.

    Nothing for what `read_image` will refuse, in its own words.
    """
    try:
        fd, size = open_regular(path)
        with open(fd, "rb") as file:
            return file.read(MULTIBOOT_SEARCHED), size
    except (OSError, ValueError):
        return b"", 0


def mode_by_name(name: str) -> Mode | None:
    """How the file name's ending says that a flat image is entered, if it does.

    ".bin32" is protected mode, ".bin64" long mode: a flat image itself cannot tell.
    """
    if name.endswith(".bin32"):
        return Mode.PROTECTED
    return Mode.LONG if name.endswith(".bin64") else None


def boot_image(
    image: bytes,
    ram: int,
    *,
    name: str = "",
    mode: Mode | None = None,
    load_address: int | None = None,
    entry: int | None = None,
    cmdline: str = "",
    modules: Sequence[Module] = (),
    rsdp: int = 0,
    reserved: Sequence[Range] = (),
) -> BootState:
    """How to start `image` on a machine with `ram` bytes of RAM.

    What the image is, it says itself; the first of these that fits:

    1. a Multiboot header: Multiboot, in protected mode;
    2. a Linux setup header: the Linux/x86 boot protocol, 32-bit, or 64-bit with Mode.LONG;
    3. an ELF file: PVH where a note says so, else at its entry point in the mode of its class;
    4. without a mode or an address, whole sectors whose first one ends in 55 AA: a boot sector;
    5. a flat image, entered as told, else by its name's ending, else in real mode.

    Args:
        image: the file's bytes.
        ram: bytes of RAM.
        name: the file's name, if it has one.
        mode: how to enter it; None for what the image itself says.
        load_address: where to load a flat image (guest-physical).
        entry: where to enter (guest-physical).
        cmdline: the kernel's command line.
        modules: what is loaded beside the kernel; for Linux, one behind the other, the initrd.
        rsdp: guest-physical address of the ACPI root pointer (RSDP); 0 for none.
        reserved: what firmware keeps: it is free of pieces, and part of the guest's memory map.

    Raises:
        ImageError: the image is malformed, contradicts the arguments, or does not fit into RAM.
    """
    request = Request(ram, entry, cmdline, tuple(modules), rsdp, tuple(reserved))
    if is_kernel(image):
        from pykvm.boot.kernel import boot_kernel

        state = boot_kernel(image, request, mode, load_address)
    else:
        request.refuse_extras("a flat image", "it knows no boot protocol")
        told = mode or mode_by_name(name)
        if told is None and load_address is None and entry is None and is_boot_sector(image):
            state = boot_sector(image)
        else:
            state = boot_flat(
                image,
                ram,
                told or Mode.REAL,
                load_address=load_address,
                entry=entry,
                reserved=request.reserved,
            )
    check_pieces(state.pieces, ram, request.reserved)
    return state
