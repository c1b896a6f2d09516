"""Multiboot headers, and the boot information as a kernel reads it; shares no code with pykvm.

Source: Multiboot Specification 0.6.96, 3.1 and 3.3.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from tests.unit.boot_rig import GuestRam

MAGIC = 0x1BADB002
PAGE_ALIGN, MEMORY, VIDEO, ADDRESSES = 1, 2, 4, 1 << 16


def header(flags: int = 0, *fields: int, checksum: int | None = None) -> bytes:
    """A header with further fields behind the first three."""
    if checksum is None:
        checksum = -(MAGIC + flags) & 0xFFFF_FFFF
    return struct.pack(f"<{3 + len(fields)}I", MAGIC, flags, checksum, *fields)


class Module(NamedTuple):
    """A module as the kernel finds it."""

    start: int
    data: bytes
    string: bytes


class Info(NamedTuple):
    """The information, with what it points to; None for what its flags say is not there."""

    flags: int
    mem: tuple[int, int] | None
    boot_device: int | None
    cmdline: bytes | None
    modules: list[Module] | None
    symbols: tuple[int, int, int, int] | None
    mmap: list[tuple[int, int, int]] | None
    loader: bytes | None
    framebuffer: tuple[int, int, int, int, int, int] | None


def read_info(ram: GuestRam, at: int) -> Info:
    """Read it as the specification lays it out, by offsets."""
    flags = ram.u32(at)

    def has(bit: int) -> bool:
        return bool(flags >> bit & 1)

    mmap = []
    entry, end = ram.u32(at + 48), ram.u32(at + 48) + ram.u32(at + 44)
    while has(6) and entry < end:
        mmap.append((ram.u64(entry + 4), ram.u64(entry + 12), ram.u32(entry + 20)))
        entry += ram.u32(entry) + 4
    assert not has(6) or entry == end
    return Info(
        flags,
        (ram.u32(at + 4), ram.u32(at + 8)) if has(0) else None,
        ram.u32(at + 12) if has(1) else None,
        ram.string(ram.u32(at + 16)) if has(2) else None,
        _modules(ram, at) if has(3) else None,
        (ram.u32(at + 28), ram.u32(at + 32), ram.u32(at + 36), ram.u32(at + 40))
        if has(5)
        else None,
        mmap if has(6) else None,
        ram.string(ram.u32(at + 64)) if has(9) else None,
        _framebuffer(ram, at) if has(12) else None,
    )


def _modules(ram: GuestRam, at: int) -> list[Module]:
    found = []
    for number in range(ram.u32(at + 20)):
        entry = ram.u32(at + 24) + 16 * number
        start, end, string, reserved = (ram.u32(entry + 4 * i) for i in range(4))
        assert reserved == 0
        found.append(Module(start, ram.read(start, end - start), ram.string(string)))
    return found


def _framebuffer(ram: GuestRam, at: int) -> tuple[int, int, int, int, int, int]:
    """Address, pitch, width, height, bits and type."""
    return (
        ram.u64(at + 88),
        *(ram.u32(at + 96), ram.u32(at + 100), ram.u32(at + 104)),
        *(ram.read(at + 108, 1)[0], ram.read(at + 109, 1)[0]),
    )
