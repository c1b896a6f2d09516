"""From a file to a BootState: what kind of image it is, and whether it fits its machine."""

from __future__ import annotations

import os
import stat

from pykvm.boot.flat import boot_flat, boot_sector, is_boot_sector
from pykvm.boot.state import BootState, Piece
from pykvm.errors import ImageError
from pykvm.layout import HIGH_RAM_BASE, LOW_RAM_END, MIB
from pykvm.x86 import Mode

ELF_MAGIC = b"\x7fELF"

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
        with open(name, "rb", opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(f"{name}: is not a regular file")
            if status.st_size > ram + UNLOADED_MAX:
                raise ImageError(
                    f"{name}: {status.st_size} bytes are too large for {ram} bytes of guest "
                    "memory (more: -m)"
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


def _open_without_waiting(name: str, flags: int) -> int:
    """Does not wait for a FIFO's writer."""
    return os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


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
) -> BootState:
    """How to start `image` on a machine with `ram` bytes of RAM.

    An ELF file is entered by its class.  Without a mode or an address, whole sectors whose first
    one ends in 55 AA are a boot sector.  Anything else is a flat image, entered as told, else by
    its name's ending, else in real mode.

    Args:
        image: the file's bytes.
        ram: bytes of RAM.
        name: the file's name, if it has one.
        mode: how to enter a flat image; None for what the image itself says.
        load_address: where to load a flat image (guest-physical).
        entry: where to enter (guest-physical).

    Raises:
        ImageError: the image is malformed, contradicts the arguments, or does not fit into RAM.
    """
    if image.startswith(ELF_MAGIC):
        from pykvm.boot.elf import boot_elf, elf_mode

        if mode not in (None, elf_mode(image)):
            raise ImageError(
                f"ELF: its class asks for {elf_mode(image).value} mode, not {mode.value} mode"
            )
        if load_address is not None:
            raise ImageError("ELF: it says itself where it is loaded: no load address, please")
        state = boot_elf(image, ram, entry=entry)
    else:
        told = mode or mode_by_name(name)
        if told is None and load_address is None and entry is None and is_boot_sector(image):
            state = boot_sector(image)
        else:
            flat_mode = told or Mode.REAL
            state = boot_flat(image, ram, flat_mode, load_address=load_address, entry=entry)
    check_pieces(state.pieces, ram)
    return state


def check_pieces(pieces: tuple[Piece, ...], ram: int) -> None:
    """Each piece in RAM, none over another.

    Raises:
        ImageError: naming the first piece that is not.
    """
    previous: Piece | None = None
    for piece in sorted(pieces, key=lambda p: p.gpa):
        if not _in_ram(piece, ram):
            raise ImageError(
                f"{piece.name} at {piece.gpa:#x}-{piece.end - 1:#x} is not inside the guest's "
                f"{ram >> 10} KiB of RAM (more: -m)"
            )
        if previous is not None and piece.gpa < previous.end:
            raise ImageError(
                f"{piece.name} at {piece.gpa:#x}-{piece.end - 1:#x} overlaps {previous.name} "
                f"at {previous.gpa:#x}-{previous.end - 1:#x}"
            )
        previous = piece


def _in_ram(piece: Piece, ram: int) -> bool:
    low = min(ram, LOW_RAM_END)
    high = HIGH_RAM_BASE + ram - low
    return 0 <= piece.gpa <= piece.end <= low or HIGH_RAM_BASE <= piece.gpa <= piece.end <= high
