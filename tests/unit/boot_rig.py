"""For tests of boot formats: RAM as the guest finds it, and what every kernel may rely on."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from pykvm.boot import boot_image
from pykvm.boot.state import BootState, Piece
from pykvm.errors import ImageError
from pykvm.x86 import Cr0, Mode, Rflags


class GuestRam(NamedTuple):
    """What a boot state puts into RAM; all else fails to be read."""

    pieces: tuple[Piece, ...]

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes, which must be in one piece."""
        for piece in self.pieces:
            if piece.gpa <= address and address + size <= piece.end:
                data = bytes(piece.data).ljust(piece.size, b"\0")
                return data[address - piece.gpa :][:size]
        raise AssertionError(f"nothing was put at {address:#x}")

    def u32(self, address: int) -> int:
        """A 32-bit number."""
        return int.from_bytes(self.read(address, 4), "little")

    def u64(self, address: int) -> int:
        """A 64-bit number."""
        return int.from_bytes(self.read(address, 8), "little")

    def string(self, address: int) -> bytes:
        """A zero-terminated string."""
        text = b""
        while (byte := self.read(address + len(text), 1)) != b"\0":
            text += byte
        return text


def ram_of(state: BootState) -> GuestRam:
    """The RAM of a state."""
    return GuestRam(state.pieces)


def piece(state: BootState, name: str) -> Piece:
    """The one piece of that name."""
    (found,) = [p for p in state.pieces if p.name == name]
    return found


def assert_flat_protected(state: BootState, *, code: int = 0x08, data: int = 0x10) -> None:
    """32-bit protected mode without paging, 4 GiB segments, their descriptors in the GDT."""
    assert state.mode is Mode.PROTECTED
    assert state.cr0 & (Cr0.PE | Cr0.PG) == Cr0.PE
    assert (state.cr4, state.efer, state.cr3) == (0, 0, 0)
    assert not state.rflags & (Rflags.IF | Rflags.VM | Rflags.TF | Rflags.DF)
    assert (state.cs.selector, state.data.selector, state.ss.selector) == (code, data, data)
    table = ram_of(state)
    for segment, kind in ((state.cs, 0xA), (state.data, 0x2), (state.ss, 0x2)):
        assert (segment.base, segment.limit, segment.db) == (0, 0xFFFF_FFFF, 1)
        assert segment.type & ~1 == kind
        assert segment.selector + 7 <= state.gdt.limit
        assert table.u64(state.gdt.base + segment.selector) == segment.descriptor()


def refuse(image: bytes, words: str, ram: int, **setting: object) -> None:
    """The image is refused with one line that says `words`."""
    with pytest.raises(ImageError, match=words) as caught:
        boot_image(image, ram, **setting)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
