"""Flat images and boot sectors: where they lie, where they start, on which stack."""

from __future__ import annotations

import pytest

from pykvm.boot import boot_image
from pykvm.boot.flat import is_boot_sector
from pykvm.boot.state import BootState
from pykvm.errors import ImageError
from pykvm.layout import GIB, HIGH_RAM_BASE, KIB, MIB
from pykvm.x86 import Cr0, DescriptorTable, Mode, Segment

RAM = 16 * MIB
IMAGE = b"\xf4" * 100
SECTOR = b"\xf4" * 510 + b"\x55\xaa"


def placed(state: BootState) -> tuple[int, bytes]:
    """Where the image is, and its bytes."""
    return state.pieces[0].gpa, bytes(state.pieces[0].data)


def test_without_a_word_it_is_real_mode_at_1000() -> None:
    state = boot_image(IMAGE, RAM)
    assert state.mode is Mode.REAL
    assert placed(state) == (0x1000, IMAGE)
    assert (state.cs.selector, state.cs.base, state.rip) == (0, 0, 0x1000)
    assert (state.data.selector, state.rsp) == (0, 0x1000)
    assert state.entry == 0x1000
    assert len(state.pieces) == 1


def test_real_mode_is_as_reset_leaves_it() -> None:
    state = boot_image(IMAGE, RAM)
    assert (state.cr0, state.cr3, state.cr4, state.efer) == (Cr0.ET, 0, 0, 0)
    assert state.idt == DescriptorTable(0, 0x3FF)
    assert (state.rflags, state.rdx) == (2, 0)
    code, data = state.cs, state.data
    assert code == Segment(type=0xB, limit=0xFFFF, present=1, s=1)
    assert data == Segment(type=0x3, limit=0xFFFF, present=1, s=1)


@pytest.mark.parametrize("sectors", [1, 2, 40])
def test_a_boot_sector_starts_as_a_bios_starts_it(sectors: int) -> None:
    image = SECTOR + b"\x90" * 512 * (sectors - 1)
    state = boot_image(image, RAM)
    assert state.mode is Mode.REAL
    assert placed(state) == (0x7C00, image)
    assert (state.cs.base, state.rip, state.rsp) == (0, 0x7C00, 0x7C00)
    assert state.rdx & 0xFF == 0x80


@pytest.mark.parametrize(
    "image",
    [
        b"",
        SECTOR[:511],
        SECTOR + b"\0",
        SECTOR[:510] + b"\xaa\x55",
        SECTOR[:510] + b"\x55\0",
        bytes(512) + SECTOR,
    ],
)
def test_what_is_no_boot_sector(image: bytes) -> None:
    assert not is_boot_sector(image)


@pytest.mark.parametrize(
    "setting", [{"mode": Mode.REAL}, {"load_address": 0x1000}, {"entry": 0x1000}]
)
def test_a_boot_sector_that_is_told_otherwise_is_a_flat_image(setting: dict[str, int]) -> None:
    state = boot_image(SECTOR, RAM, **setting)  # type: ignore[arg-type]
    assert placed(state)[0] == 0x1000
    assert state.rdx == 0


@pytest.mark.parametrize(
    ("load", "entry", "selector", "ip"),
    [
        (0, 0, 0, 0),
        (0x1000, 0x1063, 0, 0x1063),
        (0xFFF0, 0xFFFF, 0, 0xFFFF),
        (0xFFF0, 0x1_0000, 0x1000, 0),
        (0x1_0000, 0x1_0010, 0x1001, 0),
        (0x2_345A, 0x2_345F, 0x2345, 0xF),
        (0xF_FFF0, 0xF_FFFF, 0xFFFF, 0xF),
    ],
)
def test_real_mode_reaches_a_megabyte(load: int, entry: int, selector: int, ip: int) -> None:
    state = boot_image(IMAGE, RAM, mode=Mode.REAL, load_address=load, entry=entry)
    assert (state.cs.selector, state.rip) == (selector, ip)
    assert state.cs.base == state.data.base == selector * 16
    assert state.data.selector == selector
    assert state.entry == entry
    first_push = state.ss.base + ((state.rsp - 2) & 0xFFFF)
    assert not load <= first_push < load + len(IMAGE)
    assert first_push < 0x1_0000


@pytest.mark.parametrize("load", [0x10_0000, MIB + 16, 8 * MIB])
def test_real_mode_does_not_reach_further(load: int) -> None:
    with pytest.raises(ImageError, match=f"entry {load:#x} is out of real mode's reach"):
        boot_image(IMAGE, RAM, mode=Mode.REAL, load_address=load)


@pytest.mark.parametrize("mode", [Mode.PROTECTED, Mode.LONG])
def test_flat_modes_begin_with_a_stack_below_the_image(mode: Mode) -> None:
    state = boot_image(IMAGE, RAM, mode=mode, load_address=0x20_0000, entry=0x20_0010)
    assert state.mode is mode
    assert placed(state) == (0x20_0000, IMAGE)
    assert (state.cs.base, state.rip, state.rsp) == (0, 0x20_0010, 0x20_0000)


@pytest.mark.parametrize(
    ("mode", "load"), [(Mode.PROTECTED, 0), (Mode.LONG, 0), (Mode.LONG, HIGH_RAM_BASE)]
)
def test_where_no_ram_is_below_the_image_the_stack_is_below_the_tables(
    mode: Mode, load: int
) -> None:
    state = boot_image(IMAGE, 4 * GIB, mode=mode, load_address=load)
    assert state.rip == load
    assert state.rsp == min(piece.gpa for piece in state.pieces[1:])


def test_protected_mode_does_not_reach_beyond_4_gib() -> None:
    with pytest.raises(ImageError, match="out of protected mode's reach"):
        boot_image(IMAGE, 5 * GIB, mode=Mode.PROTECTED, load_address=HIGH_RAM_BASE + MIB)
    state = boot_image(IMAGE, 5 * GIB, mode=Mode.LONG, load_address=HIGH_RAM_BASE + MIB)
    assert state.rip == HIGH_RAM_BASE + MIB


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("entry", [0, 0xFFF, 0x1064, -1, 1 << 64])
def test_an_entry_outside_the_image_is_refused(mode: Mode, entry: int) -> None:
    with pytest.raises(ImageError, match=r"entry .* is outside the image, .* 0x1000-0x1063"):
        boot_image(IMAGE, RAM, mode=mode, entry=entry)


@pytest.mark.parametrize("mode", [None, *Mode])
def test_no_bytes_are_no_image(mode: Mode | None) -> None:
    with pytest.raises(ImageError, match="the image is empty"):
        boot_image(b"", RAM, mode=mode)


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("load", [-100, -1, 64 * KIB - 99, 64 * KIB, 1 << 32, (1 << 64) - 1])
def test_an_image_outside_of_ram_is_refused(mode: Mode, load: int) -> None:
    with pytest.raises(ImageError) as caught:
        boot_image(IMAGE, 64 * KIB, mode=mode, load_address=load)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "words"), [(Mode.PROTECTED, "the boot GDT"), (Mode.LONG, "the boot (GDT|page tables)")]
)
def test_an_image_over_the_tables_is_refused(mode: Mode, words: str) -> None:
    with pytest.raises(ImageError, match=f"{words} at .* overlaps the image"):
        boot_image(bytes(62 * KIB), 64 * KIB, mode=mode, load_address=0x100)


def test_an_image_that_fills_real_mode_ram() -> None:
    state = boot_image(bytes(60 * KIB), 64 * KIB)
    assert state.pieces[0].end == 64 * KIB
    with pytest.raises(ImageError, match=r"the image at 0x1000-0x10000 is not inside"):
        boot_image(bytes(60 * KIB + 1), 64 * KIB)
