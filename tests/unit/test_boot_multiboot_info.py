"""What a Multiboot kernel is told, and where it lies: in RAM, apart from all else."""

from __future__ import annotations

import pytest

from pykvm.boot import Module, boot_image
from pykvm.boot.state import BootState
from pykvm.layout import GIB, KIB, MIB
from tests.unit.boot_rig import ram_of, refuse
from tests.unit.elf_builder import SHDR_SIZE, Elf, Load, Section
from tests.unit.multiboot_builder import MEMORY, PAGE_ALIGN, VIDEO, Info, header, read_info

RAM = 16 * MIB
CODE = b"\xf4" * 16
BOTH = pytest.mark.parametrize("bits", [32, 64])
SYMTAB, STRTAB, NOBITS, PROGBITS = 2, 3, 8, 1
SHF_ALLOC = 2


def kernel(flags: int = PAGE_ALIGN | MEMORY, *, memsz: int = 0x3000, paddr: int = MIB) -> bytes:
    mark = header(flags, *([0] * 9 if flags & VIDEO else []))
    return Elf(32, [Load(paddr, mark + CODE, memsz=memsz)], paddr + 12).build()


def info_of(state: BootState) -> Info:
    return read_info(ram_of(state), state.rbx)


def test_everything_there_is_to_know() -> None:
    modules = [Module("a", b"first", "one 1"), Module("b", b"second" * 1000)]
    info = info_of(boot_image(kernel(), RAM, cmdline="root=x  y", modules=modules))
    assert info.flags == 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9
    assert info.mem == (639, 15 * 1024)
    assert info.cmdline == b"root=x  y"
    assert info.loader == b"pykvm"
    assert info.modules is not None
    assert [m[1:] for m in info.modules] == [(b"first", b"one 1"), (b"second" * 1000, b"")]
    assert info.mmap is not None
    assert info.mmap[:3] == [(0, 0x9_FC00, 1), (0x9_FC00, 0x6_0400, 2), (MIB, 15 * MIB, 1)]


def test_nothing_given_is_an_empty_line_and_no_modules() -> None:
    info = info_of(boot_image(kernel(0), RAM))
    assert (info.cmdline, info.modules) == (b"", [])
    assert (info.boot_device, info.symbols, info.framebuffer) == (None, None, None)


def test_memory_above_the_hole_is_in_the_map_alone() -> None:
    info = info_of(boot_image(kernel(), 5 * GIB))
    assert info.mem == (639, 3 * 1024 * 1024 - 1024)
    assert info.mmap is not None
    assert info.mmap[-1] == (4 * GIB, 2 * GIB, 1)


def test_a_kernel_that_asks_for_video_is_told_of_text_mode() -> None:
    info = info_of(boot_image(kernel(VIDEO), RAM))
    assert info.framebuffer == (0xB_8000, 160, 80, 25, 16, 2)


@pytest.mark.parametrize("flags", [0, PAGE_ALIGN])
def test_modules_are_whole_pages_behind_the_kernel_s_bss(flags: int) -> None:
    modules = [Module(str(n), bytes([n]) * (n * 3000 + 1)) for n in range(4)]
    state = boot_image(kernel(flags, memsz=0x2_3456), RAM, modules=modules)
    found = info_of(state).modules
    assert found is not None
    assert [m.start for m in found] == [MIB + 0x2_4000 + page * 0x1000 for page in (0, 1, 2, 4)]
    assert [m.data for m in found] == [m.data for m in modules]


def test_the_information_is_in_low_memory_unless_the_kernel_is() -> None:
    assert 0x1_0000 <= boot_image(kernel(), RAM).rbx < 0x9_FC00
    low = boot_image(kernel(paddr=0x1000, memsz=0x9_EC00), RAM)
    assert MIB <= low.rbx < RAM
    between = boot_image(kernel(paddr=0x1_0000, memsz=0x8_0000), RAM)
    assert between.rbx == 0x9_0000


def test_modules_go_below_a_kernel_at_the_top_of_ram() -> None:
    top = RAM - 0x1_0000
    state = boot_image(kernel(paddr=top, memsz=0xF000), RAM, modules=[Module("m", b"x" * 0x8000)])
    found = info_of(state).modules
    assert found is not None
    assert found[0].start < top


def test_what_does_not_fit_is_named() -> None:
    large = [Module("disk.img", bytes(15 * MIB))]
    refuse(kernel(), "disk.img: there is no room for 15728640 bytes", RAM, modules=large)
    full = kernel(paddr=0, memsz=RAM - 0x1000)
    refuse(full, "Multiboot: the boot information: there is no room", RAM)
    refuse(kernel(), "there is no room for", RAM, cmdline="x" * RAM)


def test_strings_must_be_strings() -> None:
    refuse(kernel(), "the command line has a zero byte inside", RAM, cmdline="a\0b")
    refuse(kernel(), "command line of m has a zero", RAM, modules=[Module("m", b"x", "\0")])
    refuse(kernel(), "the command line has characters that are no text", RAM, cmdline="\ud800")
    info = info_of(boot_image(kernel(), RAM, cmdline="\udcff\N{EURO SIGN}"))
    assert info.cmdline == b"\xff\xe2\x82\xac"


def with_sections(bits: int, **fields: int) -> bytes:
    sections = [
        Section(0),
        Section(PROGBITS, CODE, {"sh_flags": SHF_ALLOC, "sh_addr": 0xC010_0000}),
        Section(NOBITS, b"", {"sh_size": 1 << 31, "sh_addr": 0xC020_0000, "sh_flags": SHF_ALLOC}),
        Section(STRTAB, b"\0kernel\0" * 100 + b"!"),
        Section(SYMTAB, b"symbols", {"sh_addralign": 16, "sh_link": 3}),
        Section(STRTAB, b"\0.names\0"),
    ]
    loads = [Load(MIB, header() + CODE)]
    return Elf(bits, loads, MIB + 12, fields, sections=sections).build()


@BOTH
def test_symbols_are_loaded_and_their_headers_say_where(bits: int) -> None:
    state = boot_image(with_sections(bits), RAM)
    ram = ram_of(state)
    symbols = info_of(state).symbols
    assert symbols is not None
    count, size, table, names = symbols
    assert (count, size, names) == (6, SHDR_SIZE[bits], 5)
    assert table > MIB
    word = ram.u32 if bits == 32 else ram.u64
    offset = {32: 12, 64: 16}[bits]
    at = [word(table + number * size + offset) for number in range(count)]
    assert at[:3] == [0, 0xC010_0000, 0xC020_0000]
    assert ram.read(at[3], 801) == b"\0kernel\0" * 100 + b"!"
    assert ram.read(at[4], 7) == b"symbols"
    assert at[4] % 16 == 0
    assert ram.string(at[5] + 1) == b".names"


@BOTH
@pytest.mark.parametrize(
    "header_fields",
    [
        {"e_shnum": 0},
        {"e_shnum": 0xFF00},
        {"e_shnum": 7},
        {"e_shentsize": 4},
        {"e_shstrndx": 6},
        {"e_shoff": 0},
        {"e_shoff": 1 << 31},
    ],
)
def test_damaged_section_headers_are_none(bits: int, header_fields: dict[str, int]) -> None:
    info = info_of(boot_image(with_sections(bits, **header_fields), RAM))
    assert info.symbols is None


@BOTH
@pytest.mark.parametrize(
    "sections",
    [
        [Section(STRTAB, b"x", {"sh_size": 1 << 31})],
        [Section(STRTAB, b"x", {"sh_offset": 1 << 31})],
        [Section(STRTAB, b"", {"sh_offset": 0, "sh_size": 1000})] * 1000,
    ],
)
def test_sections_that_the_file_cannot_hold_are_none(bits: int, sections: list[Section]) -> None:
    loads = [Load(MIB, header() + CODE)]
    image = Elf(bits, loads, MIB + 12, sections=sections).build()
    assert info_of(boot_image(image, RAM)).symbols is None


def test_symbols_that_do_not_fit_are_left_out() -> None:
    sections = [Section(STRTAB, bytes(40 * KIB))]
    image = Elf(32, [Load(0x1000, header() + CODE)], 0x100C, sections=sections).build()
    assert info_of(boot_image(image, 256 * KIB)).symbols is not None
    assert info_of(boot_image(image, 48 * KIB)).symbols is None


def test_modules_fill_ram_up_to_the_stack() -> None:
    base = MIB + 0x3000
    room = RAM - 0x1000 - 0x1000 - base
    state = boot_image(kernel(), RAM, modules=[Module("m", b"m" * room)])
    found = info_of(state).modules
    assert found is not None
    assert found[0].start + room == RAM - 0x2000
    refuse(kernel(), "m: there is no room", RAM, modules=[Module("m", b"m" * (room + 1))])
