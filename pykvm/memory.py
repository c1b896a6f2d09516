"""Guest RAM: an anonymous file, mapped once, with one checked way in.

The file (memfd) costs nothing until the guest touches a page, so RAM may be larger than the
host's, and another process or a snapshot can share it by descriptor.  Large RAM may be this
process's own memory instead, to which alone the host gives huge pages unless it is told otherwise.
"""

from __future__ import annotations

import mmap
import os
import struct
from contextlib import suppress
from errno import ENXIO

from pykvm.errors import GuestMemoryError
from pykvm.layout import MIB, ram_ranges
from pykvm.named import TYPE_CHECKING, NamedTuple
from pykvm.sizes import about_size
from pykvm.x86 import PAGE_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import NewType

    Gpa = NewType("Gpa", int)
else:
    Gpa = int
"""A guest-physical address."""

OVERCOMMIT = 8
"""RAM may be this many times the host's: lazily mapped, yet beyond it surely a slip of the pen."""

HUGE_PAGE = 2 * MIB
"""What is mapped at once where guest and host address are both aligned (SDM vol. 3A, 4.5.4)."""

HUGE_PAGES_FROM = 64 * MIB
"""RAM of this size and more is for kernels, which touch all of it."""

HUGE_PAGES_SHARE = 2
"""At most this part of the host's: beyond it RAM is there to be touched here and there."""

_MAP_NORESERVE = 0x4000
"""Of the x86 ABI (asm-generic/mman.h); the mmap module names it from Python 3.13 on only."""

_FORMATS = {1: "<B", 2: "<H", 4: "<I", 8: "<Q"}


def host_memory() -> int:
    """The host's RAM in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def wants_huge_pages(ram: int) -> bool:
    """Whether a machine with `ram` bytes of RAM asks its host for huge pages."""
    return HUGE_PAGES_FROM <= ram <= host_memory() // HUGE_PAGES_SHARE


class Region(NamedTuple):
    """A contiguous piece of RAM: where the guest sees it, where it is in the file, its bytes."""

    gpa: Gpa
    size: int
    offset: int
    view: memoryview

    @property
    def end(self) -> int:
        """The first guest-physical address behind it."""
        return self.gpa + self.size


class _Mapping(NamedTuple):
    """Pages of the host: where in them RAM starts, and how they are given back (madvise)."""

    pages: mmap.mmap
    start: int
    discard: int


def _map_file(fd: int, size: int, offset: int) -> _Mapping:
    return _Mapping(mmap.mmap(fd, size, offset=offset), 0, mmap.MADV_REMOVE)


def _map_huge(size: int) -> _Mapping:
    """Memory of this process, aligned as huge pages are, though none may come."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
    pages = mmap.mmap(-1, size + HUGE_PAGE, flags=flags)
    with suppress(OSError):  # a kernel without huge pages
        pages.madvise(mmap.MADV_HUGEPAGE)
    return _Mapping(pages, -_address(pages) % HUGE_PAGE, mmap.MADV_DONTNEED)


def _address(pages: mmap.mmap) -> int:
    from _cffi_backend import FFI  # there already where a guest runs; ctypes would be felt

    with FFI().from_buffer(pages) as start:
        return int(FFI().cast("uintptr_t", start))


class GuestMemory:
    """A machine's RAM.

    Args:
        size: bytes of RAM; a multiple of the page size (4096), at most eight times the host's.
        huge: ask the host for huge pages.  Each takes one fault instead of 512, which a kernel
            feels that touches all of its RAM; a small guest would pay for pages it never needs.

    Attributes:
        size: as given.
        fd: the memfd that holds it; -1 with `huge`.
        regions: one region, or two where RAM goes on above the hole below 4 GiB.
        on_view: called whenever the host comes in, as somebody may keep what he made of RAM.

    Raises:
        GuestMemoryError: such a size cannot be had.
    """

    def __init__(self, size: int, *, huge: bool = False) -> None:
        limit = OVERCOMMIT * host_memory()
        if size <= 0 or size % PAGE_SIZE:
            raise GuestMemoryError(
                f"guest memory of {size} bytes: must be a positive multiple of {PAGE_SIZE}"
            )
        if size > limit:
            raise GuestMemoryError(
                f"guest memory of {about_size(size)} is more than {OVERCOMMIT} times what this "
                f"host has; at most {about_size(limit)} can be given"
            )
        self.size = size
        self.on_view: Callable[[], None] | None = None
        self.regions: tuple[Region, ...] = ()
        self._maps: list[_Mapping] = []
        self.fd = -1
        try:
            if not huge:
                self.fd = os.memfd_create("pykvm-guest-ram", os.MFD_CLOEXEC)
                os.ftruncate(self.fd, size)
            offset = 0
            for start, length in ram_ranges(size):
                self._add_region(Gpa(start), length, offset)
                offset += length
        except (OSError, ValueError) as error:
            self.close()
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise GuestMemoryError(
                f"the host cannot map {about_size(size)} of guest memory: {why}"
            ) from error

    def _add_region(self, gpa: Gpa, size: int, offset: int) -> None:
        mapping = _map_file(self.fd, size, offset) if self.fd >= 0 else _map_huge(size)
        self._maps.append(mapping)
        view = memoryview(mapping.pages)[mapping.start : mapping.start + size]
        self.regions += (Region(gpa, size, offset, view),)

    @property
    def low_end(self) -> int:
        """The end of RAM below the hole."""
        return self.regions[0].end

    @property
    def end(self) -> int:
        """The first guest-physical address above all RAM."""
        return self.regions[-1].end

    def contains(self, gpa: int, length: int) -> bool:
        """Whether `length` bytes at `gpa` are RAM, without a gap."""
        return any(r.gpa <= gpa and gpa + length <= r.end for r in self.regions) and length >= 0

    def view(self, gpa: Gpa, length: int) -> memoryview:
        """The guest's bytes themselves, not a copy: what is written there the guest sees.

        A view keeps the mapping alive; release it before the memory is closed.

        Raises:
            GuestMemoryError: they are not all RAM.
        """
        if self.on_view is not None:
            self.on_view()
        for region in self.regions:
            if region.gpa <= gpa and gpa + length <= region.end and length >= 0:
                start = gpa - region.gpa
                return region.view[start : start + length]
        where = "inside guest RAM" if self.regions else "there any more: guest RAM is closed"
        raise GuestMemoryError(f"{length} bytes at {gpa:#x} are not {where}")

    def read(self, gpa: Gpa, length: int) -> bytes:
        """A copy of `length` bytes at `gpa`.

        Raises:
            GuestMemoryError: they are not all RAM.
        """
        return bytes(self.view(gpa, length))

    def write(self, gpa: Gpa, data: bytes | bytearray | memoryview) -> None:
        """Store `data` at `gpa`; nothing is stored when it does not fit.

        Raises:
            GuestMemoryError: it would not all be in RAM.
        """
        source = memoryview(data).cast("B")
        self.view(gpa, len(source))[:] = source

    def read_uint(self, gpa: Gpa, size: int) -> int:
        """The little-endian unsigned integer of `size` (1, 2, 4 or 8) bytes at `gpa`."""
        value: int = struct.unpack(_FORMATS[size], self.view(gpa, size))[0]
        return value

    def write_uint(self, gpa: Gpa, size: int, value: int) -> None:
        """Store `value` (0 to 2**(8 * size) - 1) little-endian in `size` bytes at `gpa`."""
        try:
            struct.pack_into(_FORMATS[size], self.view(gpa, size), 0, value)
        except struct.error:
            raise GuestMemoryError(f"{value:#x} does not fit into {size} bytes") from None

    def zero(self, gpa: Gpa, length: int) -> None:
        """Clear `length` bytes at `gpa`, giving whole pages back to the host.

        Raises:
            GuestMemoryError: they are not all RAM.
        """
        view = self.view(gpa, length)
        head = min(-gpa % PAGE_SIZE, length)
        pages = (length - head) // PAGE_SIZE * PAGE_SIZE
        if pages:
            mapping, start = self._place(Gpa(gpa + head))
            mapping.pages.madvise(mapping.discard, start, pages)
        view[:head] = bytes(head)
        view[head + pages :] = bytes(length - head - pages)

    def touched(self, region: Region) -> Iterator[tuple[int, int]]:
        """Where a region may hold anything but zeros: pairs of start and end within its view.

        Looking at a page that nobody has touched would make the host provide it.
        """
        if self.fd < 0:  # of a process's own memory, looking maps but a page of zeros
            yield 0, region.size
            return
        at, end = region.offset, region.offset + region.size
        while at < end:
            try:
                start = os.lseek(self.fd, at, os.SEEK_DATA)
            except OSError as error:
                if error.errno != ENXIO:
                    raise
                return  # there is nothing behind
            if start >= end:
                return
            at = min(os.lseek(self.fd, start, os.SEEK_HOLE), end)
            yield start - region.offset, at - region.offset

    def forget_mapping(self, page: Gpa) -> None:
        """Have the host forget its page table entry of the page at `page`, which stays as it is.

        KVM forgets its own with it, so the guest's next access has it map the page anew.

        Raises:
            GuestMemoryError: it is not RAM, or RAM with huge pages.
        """
        self.view(page, PAGE_SIZE).release()
        if self.fd < 0:
            raise GuestMemoryError("only RAM that is a file keeps a page that is not mapped")
        mapping, start = self._place(page)
        mapping.pages.madvise(mmap.MADV_DONTNEED, start, PAGE_SIZE)

    def _place(self, gpa: Gpa) -> tuple[_Mapping, int]:
        """The mapping that holds an address of RAM, and where in it that is."""
        index = next(i for i, r in enumerate(self.regions) if r.gpa <= gpa < r.end)
        mapping = self._maps[index]
        return mapping, mapping.start + gpa - self.regions[index].gpa

    def close(self) -> None:
        """Give the memory back.  A mapping that somebody still has a view of goes with it."""
        regions, self.regions = self.regions, ()
        maps, self._maps = self._maps, []
        # unmapping under a view that was given out would make it dangle: BufferError
        for region in regions:
            with suppress(BufferError):
                region.view.release()
        for mapping in maps:
            with suppress(BufferError):
                mapping.pages.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def __enter__(self) -> GuestMemory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
