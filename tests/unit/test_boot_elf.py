"""ELF files: where the loader puts what, and every way a file can lie."""

from __future__ import annotations

import pytest

from pykvm.boot import boot_image
from pykvm.boot.state import BootState, Piece
from pykvm.errors import ImageError
from pykvm.layout import GIB, HIGH_RAM_BASE, KIB, LOW_RAM_END, MIB
from pykvm.x86 import Mode
from tests.unit.elf_builder import EHDR_SIZE, PHDR_SIZE, PT_INTERP, PT_NOTE, Elf, Load

RAM = 4 * MIB
CODE = b"\xf4" * 16
BOTH = pytest.mark.parametrize("bits", [32, 64])


def loaded(state: BootState) -> list[Piece]:
    """The pieces that come from the file."""
    return [piece for piece in state.pieces if piece.name.startswith("segment")]


def refuse(elf: Elf | bytes, words: str, ram: int = RAM) -> None:
    """The image is refused with one line that says `words`."""
    image = elf.build() if isinstance(elf, Elf) else elf
    with pytest.raises(ImageError, match=words) as caught:
        boot_image(image, ram)
    assert "\n" not in str(caught.value)


@BOTH
def test_segments_go_to_their_physical_addresses(bits: int) -> None:
    elf = Elf(bits, [Load(0x10_0000, CODE), Load(0x20_0000, b"data", memsz=0x1000)], 0x10_0004)
    state = boot_image(elf.build(), RAM)
    assert [(p.gpa, bytes(p.data), p.size) for p in loaded(state)] == [
        (0x10_0000, CODE, 16),
        (0x20_0000, b"data", 0x1000),
    ]
    assert state.rip == state.entry == 0x10_0004
    assert state.mode is {32: Mode.PROTECTED, 64: Mode.LONG}[bits]


@BOTH
def test_a_stack_is_there_below_the_tables(bits: int) -> None:
    state = boot_image(Elf(bits, [Load(0x10_0000, CODE)], 0x10_0000).build(), RAM)
    tables = [piece for piece in state.pieces if not piece.name.startswith("segment")]
    assert state.rsp == min(piece.gpa for piece in tables)
    assert max(piece.end for piece in tables) == RAM


@BOTH
def test_a_virtual_entry_is_taken_to_its_physical_address(bits: int) -> None:
    high = {32: 0xC010_0000, 64: 0xFFFF_FFFF_8010_0000}[bits]
    elf = Elf(bits, [Load(0x10_0000, CODE, vaddr=high)], high + 5)
    assert boot_image(elf.build(), RAM).rip == 0x10_0005


@BOTH
def test_a_physical_entry_wins_over_a_virtual_one(bits: int) -> None:
    loads = [Load(0x10_0000, CODE, vaddr=0x20_0000), Load(0x20_0000, CODE, vaddr=0x10_0000)]
    assert boot_image(Elf(bits, loads, 0x20_0001).build(), RAM).rip == 0x20_0001


@BOTH
def test_the_caller_may_enter_elsewhere(bits: int) -> None:
    image = Elf(bits, [Load(0x10_0000, CODE)], 0x10_0000).build()
    assert boot_image(image, RAM, entry=0x10_000F).rip == 0x10_000F
    for entry in (0xF_FFFF, 0x10_0010, -1, 1 << 64):
        with pytest.raises(ImageError, match=r"entry point .* is outside"):
            boot_image(image, RAM, entry=entry)


@BOTH
def test_other_headers_and_empty_segments_are_passed_over(bits: int) -> None:
    loads = [
        Load(0xFFFF_0000, CODE, type=PT_NOTE),
        Load(0, b"", memsz=0),
        Load(0x10_0000, CODE),
        Load(0x10_0008, b"", memsz=0),
    ]
    state = boot_image(Elf(bits, loads, 0x10_0000).build(), RAM)
    assert [(p.gpa, p.size, p.name) for p in loaded(state)] == [(0x10_0000, 16, "segment 2")]


@BOTH
def test_bss_needs_nothing_of_the_file(bits: int) -> None:
    """Its offset means nothing then: linkers put it anywhere, the file's end included."""
    loads = [Load(0x10_0000, CODE), Load(0x20_0000, b"", memsz=0x100, offset=0x7FFF_0000)]
    state = boot_image(Elf(bits, loads, 0x10_0000).build(), RAM)
    assert [(p.gpa, bytes(p.data), p.size) for p in loaded(state)][1] == (0x20_0000, b"", 0x100)


def test_a_64_bit_segment_may_lie_above_the_hole() -> None:
    elf = Elf(64, [Load(HIGH_RAM_BASE + MIB, CODE)], HIGH_RAM_BASE + MIB)
    assert boot_image(elf.build(), 4 * GIB).rip == HIGH_RAM_BASE + MIB


@BOTH
def test_every_truncation_is_refused(bits: int) -> None:
    whole = Elf(bits, [Load(0x10_0000, CODE), Load(0x20_0000, CODE)], 0x10_0000).build()
    boot_image(whole, RAM)
    for length in range(4, len(whole)):
        refuse(whole[:length], "ELF: ")


@BOTH
@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"e_type": 1}, "type 1 is not a static executable: link it"),
        ({"e_type": 3}, "type 3 is not a static executable: link it without -pie"),
        ({"e_type": 4}, "type 4 is not a static executable"),
        ({"e_machine": 183}, "made for machine 183"),
        ({"e_machine": 0}, "made for machine 0"),
        ({"e_phentsize": 0}, "program headers of 0 bytes"),
        ({"e_phentsize": 1}, "program headers of 1 bytes"),
        ({"e_phentsize": 0xFFFF}, "program headers of 65535 bytes"),
        ({"e_phnum": 2}, "beyond the end of the file"),
        ({"e_phnum": 0xFFFE}, "beyond the end of the file"),
        ({"e_phnum": 0xFFFF}, "65535 or more program headers"),
        ({"e_phnum": 0, "e_phentsize": 0}, "no PT_LOAD"),
        ({"e_phoff": 0xFFFF_FFF0}, "beyond the end of the file"),
        ({"e_entry": 0xF_FFFF}, "entry point 0xfffff is outside all loaded segments"),
        ({"e_entry": 0x10_0010}, "entry point 0x100010 is outside"),
        ({"e_entry": 0}, "entry point 0x0 is outside"),
    ],
)
def test_a_header_that_lies_is_refused(bits: int, header: dict[str, int], words: str) -> None:
    refuse(Elf(bits, [Load(0x10_0000, CODE)], 0x10_0000, header), words)


def test_a_class_that_belongs_to_another_machine_is_refused() -> None:
    load = [Load(0x10_0000, CODE)]
    refuse(Elf(32, load, 0x10_0000, {"e_machine": 62}), "machine 62, not for 32-bit x86")
    refuse(Elf(64, load, 0x10_0000, {"e_machine": 3}), "machine 3, not for 64-bit x86")


@BOTH
def test_headers_at_the_end_of_the_address_space_are_refused(bits: int) -> None:
    offset = (1 << bits) - PHDR_SIZE[bits]
    refuse(Elf(bits, [Load(0x10_0000, CODE)], 0x10_0000, {"e_phoff": offset}), "beyond the end")


@BOTH
@pytest.mark.parametrize(
    "ident",
    [b"\x7fELF\0\1\1", b"\x7fELF\3\1\1", b"\x7fELF\1\2\1", b"\x7fELF\2\2\1", b"\x7fELF\2\0\1"],
)
def test_another_class_or_byte_order_is_refused(bits: int, ident: bytes) -> None:
    elf = Elf(bits, [Load(0x10_0000, CODE)], 0x10_0000, ident=ident.ljust(16, b"\0"))
    refuse(elf, "neither a 32-bit nor a 64-bit little-endian file")


@BOTH
@pytest.mark.parametrize(
    ("load", "words"),
    [
        (Load(0x10_0000, CODE, filesz=17, memsz=17), "segment 1 .* truncated"),
        (Load(0x10_0000, CODE, offset=0xFFFF_FFFF), "segment 1 .* truncated"),
        (Load(0x10_0000, CODE, memsz=15), "segment 1 has more bytes in the file than in memory"),
        (Load(0x10_0000, CODE, memsz=0), "segment 1 has more bytes in the file than in memory"),
        (Load(RAM - 8, CODE), "segment 1 at 0x3ffff8-0x400007 is not inside"),
        (Load(RAM, CODE), "segment 1 at .* is not inside the guest's 4096 KiB of RAM"),
        (Load(0x10_0000, CODE, memsz=RAM), "segment 1 at .* is not inside"),
        (Load(0xFFFF_0000, CODE), "segment 1 at .* is not inside"),
        (Load(0x8_000F, CODE), "segment 1 at 0x8000f-.* overlaps segment 0 at 0x80000-"),
        (Load(0x7_FFF1, CODE), "segment 0 at 0x80000-.* overlaps segment 1 at 0x7fff1-"),
        (Load(0x8_0000, CODE), "segment [01] .* overlaps segment [01]"),
        (Load(0x7_0000, CODE, memsz=0x2_0000), "segment 0 .* overlaps segment 1"),
        (Load(0x1_0000, CODE, type=PT_INTERP), "wants a dynamic linker: link it with -static"),
        (Load(RAM - KIB, CODE), "overlaps|the boot"),
    ],
)
def test_a_segment_that_lies_is_refused(bits: int, load: Load, words: str) -> None:
    refuse(Elf(bits, [Load(0x8_0000, CODE), load], 0x8_0000), words)


@BOTH
@pytest.mark.parametrize("field", ["paddr", "vaddr"])
def test_a_segment_that_wraps_is_refused(bits: int, field: str) -> None:
    load = Load(0x10_0000, CODE, vaddr=0x10_0000)
    setattr(load, field, (1 << bits) - 8)
    refuse(Elf(bits, [Load(0x8_0000, CODE), load], 0x8_0000), "segment 1 wraps around the end")


def test_a_segment_in_the_hole_is_refused() -> None:
    for paddr in (LOW_RAM_END, LOW_RAM_END - 8, HIGH_RAM_BASE - 8):
        refuse(Elf(64, [Load(paddr, CODE)], paddr), "is not inside", ram=6 * GIB)


@BOTH
def test_a_size_that_wraps_is_refused(bits: int) -> None:
    huge = (1 << bits) - 1
    for load in (
        Load(0x10_0000, CODE, memsz=huge),
        Load(0x10_0000, CODE, filesz=huge, memsz=huge),
        Load(0x10_0000, CODE, offset=huge - 7),
    ):
        refuse(Elf(bits, [load], 0x10_0000), "ELF: segment 0")


@BOTH
def test_as_many_headers_as_can_be(bits: int) -> None:
    count = 0xFFFE
    loads = [Load(0x1_0000 + i, b"\xf4") for i in range(count)]
    state = boot_image(Elf(bits, loads, 0x1_0000).build(), RAM)
    assert len(loaded(state)) == count
    loads[7] = Load(0x1_0008, b"\xf4")
    refuse(Elf(bits, loads, 0x1_0000), "segment [78] .* overlaps segment [78]")


@BOTH
def test_65535_headers_are_refused_though_they_are_there(bits: int) -> None:
    """With e_phnum at PN_XNUM, the number is in a section header, which no executable needs."""
    loads = [Load(0x1_0000 + i, b"\xf4") for i in range(0xFFFF)]
    refuse(Elf(bits, loads, 0x1_0000), "65535 or more program headers")


@BOTH
def test_headers_may_overlap_what_they_load(bits: int) -> None:
    """As in files that a linker makes with its headers inside the first segment."""
    size = EHDR_SIZE[bits] + PHDR_SIZE[bits] + len(CODE)
    image = Elf(bits, [Load(0x10_0000, CODE, filesz=size, memsz=size, offset=0)], 0x10_0000).build()
    assert bytes(loaded(boot_image(image, RAM))[0].data) == image


def test_the_mode_must_be_the_files_own() -> None:
    image = Elf(64, [Load(0x10_0000, CODE)], 0x10_0000).build()
    assert boot_image(image, RAM, mode=Mode.LONG).mode is Mode.LONG
    with pytest.raises(ImageError, match="its class asks for long mode, not real mode"):
        boot_image(image, RAM, mode=Mode.REAL)
    with pytest.raises(ImageError, match="it says itself where it is loaded"):
        boot_image(image, RAM, load_address=0x10_0000)


def test_too_little_ram_for_the_tables_of_long_mode() -> None:
    refuse(Elf(64, [Load(0x1000, CODE)], 0x1000), "long mode needs .* for its tables", ram=16 * KIB)
