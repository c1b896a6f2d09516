"""Disk images: raw files of 512-byte sectors, and the drive numbers that a BIOS gives them."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import NamedTuple

from pykvm.bios.geometry import (
    SECTOR,
    FloppyFormat,
    Geometry,
    floppy_format,
    hard_disk_geometry,
)
from pykvm.errors import DiskError
from pykvm.files import open_regular

FIRST_HARD_DISK = 0x80
MAX_DISKS = 16


class Disk:
    """A raw image file.  What is written goes to the file at once; nothing is cached here.

    A file that ends within a sector reads as if zeros followed, and grows to a whole sector when
    that one is written.

    Args:
        path: a regular file.
        readonly: the guest cannot write it; it is opened for reading only.

    Attributes:
        path, readonly: as given.
        sectors: its size in sectors, at least 1.

    Raises:
        DiskError: it cannot be opened, is not a regular file, or is empty.
    """

    def __init__(self, path: str | os.PathLike[str], *, readonly: bool = False) -> None:
        self.path = os.fspath(path)
        self.readonly = readonly
        self._fd = -1
        try:
            self._fd, self._size = open_regular(self.path, os.O_RDONLY if readonly else os.O_RDWR)
        except (OSError, ValueError) as error:
            raise DiskError(f"disk image {self.path}: {_why(error, readonly=readonly)}") from error
        if not self._size:
            self.close()
            raise DiskError(f"disk image {self.path}: it is empty")
        self.sectors = -(-self._size // SECTOR)

    def read(self, lba: int, target: memoryview) -> None:
        """Read whole sectors from `lba` on into `target`, whose length is a multiple of 512.

        Raises:
            OSError: the host could not, or the file has become shorter; EINVAL: they are beyond
                the disk's end.
        """
        offset = self._check(lba, len(target))
        available = min(len(target), self._size - offset)
        done = 0
        while done < available:
            got = os.preadv(self._fd, [target[done:available]], offset + done)
            if not got:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            done += got
        target[available:] = bytes(len(target) - available)

    def write(self, lba: int, source: memoryview) -> None:
        """Write whole sectors from `lba` on.

        Raises:
            OSError: the host could not, in part perhaps; EROFS: it is read-only; EINVAL: they
                are beyond the disk's end.
        """
        if self.readonly:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        offset = self._check(lba, len(source))
        done = 0
        while done < len(source):
            done += os.pwrite(self._fd, source[done:], offset + done)
            self._size = max(self._size, offset + done)

    def _check(self, lba: int, length: int) -> int:
        """The offset in the file."""
        if length % SECTOR or lba < 0 or lba + length // SECTOR > self.sectors:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return lba * SECTOR

    def close(self) -> None:
        """Close the file.  Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> Disk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _why(error: OSError | ValueError, *, readonly: bool) -> str:
    if not isinstance(error, OSError):
        return str(error)
    if error.errno in (errno.EACCES, errno.EROFS) and not readonly:
        return f"{error.strerror}: to open it for reading only, say that it is read-only"
    return f"{error.strerror}"


class Drive(NamedTuple):
    """A disk as a BIOS drive.

    Attributes:
        disk: the image.
        geometry: as INT 13h counts.
        floppy: its format, if it is in a floppy drive.
    """

    disk: Disk
    geometry: Geometry
    floppy: FloppyFormat | None = None


def assign_drives(disks: Sequence[Disk]) -> dict[int, Drive]:
    """Drives by number: hard disks from 0x80 on, in the order given.

    The first disk, the one that is booted from, is floppy drive 0x00 instead if it has the size
    of a floppy.

    Raises:
        DiskError: there are more than 16, or one cannot be read.
    """
    if len(disks) > MAX_DISKS:
        raise DiskError(f"{len(disks)} disks are too many: at most {MAX_DISKS} can be had")
    drives: dict[int, Drive] = {}
    number = FIRST_HARD_DISK
    for place, disk in enumerate(disks):
        floppy = floppy_format(disk.sectors * SECTOR) if place == 0 else None
        if floppy is not None:
            drives[0] = Drive(disk, floppy.geometry, floppy)
            continue
        drives[number] = Drive(disk, hard_disk_geometry(disk.sectors, _boot_sector(disk)))
        number += 1
    return drives


def _boot_sector(disk: Disk) -> bytes:
    first = bytearray(SECTOR)
    try:
        disk.read(0, memoryview(first))
    except OSError as error:
        raise DiskError(f"disk image {disk.path}: {error.strerror}") from error
    return bytes(first)
