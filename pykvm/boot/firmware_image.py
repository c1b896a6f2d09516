"""Firmware images, such as SeaBIOS: where they lie, and the processor's state after reset."""

from __future__ import annotations

import os
from collections.abc import Sequence

from pykvm.boot.state import BootState, Piece
from pykvm.errors import ImageError
from pykvm.files import open_regular
from pykvm.layout import FIRMWARE_END, FIRMWARE_LOWEST, KIB, MIB
from pykvm.named import NamedTuple
from pykvm.x86 import PAGE_SIZE, Cr0, DescriptorTable, Mode, real_segment

SEABIOS = (
    "/usr/share/seabios/bios-256k.bin",
    "/usr/share/seabios/bios.bin",
    "/usr/share/qemu/bios-256k.bin",
    "/usr/share/qemu/bios.bin",
)
"""Where distributions put it; the larger one is the one that is complete."""

SMALLEST = 64 * KIB
LARGEST = FIRMWARE_END - FIRMWARE_LOWEST

RESET_SELECTOR = 0xF000
RESET_BASE = 0xFFFF_0000
RESET_RIP = 0xFFF0
RESET_RDX = 0x600
"""The processor's signature, of which software knows family 6 at least."""


class FirmwareImage(NamedTuple):
    """An image, to be mapped and entered.

    Attributes:
        data: the image, whole pages; it needs memory of its own at `gpa`, since RAM ends below.
        gpa: where: it ends at 4 GiB.
        state: the processor after reset; its only piece is the copy below 1 MiB, in RAM.
    """

    data: bytes
    gpa: int
    state: BootState


def read_seabios(places: Sequence[str] = SEABIOS) -> bytes:
    """SeaBIOS, from where distributions put it.

    Raises:
        ImageError: it is in none of `places`; says what to install.
    """
    for place in places:
        if os.path.exists(place):
            return read_firmware(place)
    raise ImageError(
        "SeaBIOS is not installed (Debian, Ubuntu: apt-get install seabios; "
        "Fedora: dnf install seabios-bin); or name a firmware image yourself"
    )


def read_firmware(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a firmware image.

    Raises:
        ImageError: it cannot be read, or is larger than any that fits.
    """
    name = os.fspath(path)
    try:
        fd, _ = open_regular(name)
        with open(fd, "rb") as file:
            image = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise ImageError(f"{name}: {why}") from error
    _check(image, name)
    return image


def boot_firmware(image: bytes, *, name: str = "the firmware") -> FirmwareImage:
    """How to start a machine from a firmware image.

    The image ends at 4 GiB and is seen once more below 1 MiB: there it is a copy in RAM, which
    the firmware may write.  A PC's chip set shows only the last 128 KiB there, and larger firmware
    has its host bridge turn the rest into RAM before it copies itself; with no such bridge, it
    finds itself copied.  The first instruction is at F000:FFF0 with CS based at 0xFFFF0000 (SDM
    vol. 3A, 10.1.4 and table 10-1).

    Args:
        image: its bytes.
        name: how messages call it.

    Raises:
        ImageError: its size is not one of a firmware image, or there is no code at its end.
    """
    _check(image, name)
    return FirmwareImage(
        data=image,
        gpa=FIRMWARE_END - len(image),
        state=BootState(
            mode=Mode.REAL,
            pieces=(Piece(MIB - len(image), image, len(image), f"{name} below 1 MiB"),),
            rip=RESET_RIP,
            rsp=0,
            rdx=RESET_RDX,
            cs=real_segment(RESET_SELECTOR, code=True)._replace(base=RESET_BASE),
            gdt=DescriptorTable(limit=0xFFFF),
            idt=DescriptorTable(limit=0xFFFF),
            cr0=Cr0.CD | Cr0.NW | Cr0.ET,
        ),
    )


def _check(image: bytes, name: str) -> None:
    size = len(image)
    if not SMALLEST <= size <= LARGEST or size % PAGE_SIZE:
        shown = f"more than {LARGEST}" if size > LARGEST else f"{size}"
        raise ImageError(
            f"{name}: {shown} bytes are no firmware image: that has {SMALLEST >> 10} to "
            f"{LARGEST >> 10} KiB, a multiple of {PAGE_SIZE >> 10}"
        )
    if len(set(image[-16:])) == 1:
        raise ImageError(f"{name}: there is no code at the reset vector, its last 16 bytes")
