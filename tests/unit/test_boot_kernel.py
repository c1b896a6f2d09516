"""Which protocol an image is booted by, and what images without one cannot be given."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from pykvm.boot import Module, boot_image
from pykvm.boot.e820 import ACPI, Range
from pykvm.boot.firmware_tables import FirmwareTables, firmware_tables, tables_for
from pykvm.boot.module_file import ModuleFile, parse_module
from pykvm.boot.pieces import check_pieces
from pykvm.boot.platform import Platform
from pykvm.boot.state import BootState
from pykvm.boot.vmlinux import is_vmlinux
from pykvm.errors import ImageError
from pykvm.layout import GIB, KIB, MIB
from pykvm.x86 import Mode
from tests.unit.boot_rig import ram_of, refuse
from tests.unit.elf_builder import PT_NOTE, Elf, Load
from tests.unit.linux_builder import BzImage, read_e820, read_zero_page
from tests.unit.multiboot_builder import header

RAM = 64 * MIB
CODE = b"\xf4" * 64
BANNER = b"Linux version 6.1.0 (nobody@nowhere)\0"
XEN = struct.pack("<3I4sI", 4, 4, 18, b"Xen\0", MIB + 80)
BOTH = pytest.mark.parametrize("bits", [32, 64])
EXTRAS = pytest.mark.parametrize(
    ("extras", "words"),
    [
        ({"cmdline": "x"}, "a command line"),
        ({"modules": [Module("m", b"x")]}, "modules"),
        ({"cmdline": "x", "modules": [Module("m", b"x")]}, "a command line"),
    ],
)


def elf(bits: int = 64, content: bytes = b"", notes: bytes = b"") -> bytes:
    """An ELF file entered behind `content`."""
    content = content.ljust(80, b"\0")
    loads = [Load(MIB, content + CODE)]
    loads += [Load(0, notes, type=PT_NOTE)] if notes else []
    return Elf(bits, loads, MIB + len(content)).build()


def is_multiboot(state: BootState) -> bool:
    return state.rax == 0x2BADB002


def test_a_multiboot_header_comes_first() -> None:
    assert is_multiboot(boot_image(elf(64, header() + BANNER, XEN), RAM))
    image = bytearray(BzImage().build())
    mark = header(1 << 16, MIB + 16, MIB, 0, 0, MIB)
    image[16 : 16 + len(mark)] = mark
    assert is_multiboot(boot_image(bytes(image), RAM))


def test_a_linux_header_comes_before_elf() -> None:
    image = bytearray(BzImage().build())
    image[:4] = b"\x7fELF"
    assert boot_image(bytes(image), RAM).rip == 16 * MIB


def test_pvh_comes_before_a_plain_entry() -> None:
    assert boot_image(elf(64, notes=XEN), RAM).mode is Mode.PROTECTED
    assert boot_image(elf(64), RAM).mode is Mode.LONG


@EXTRAS
def test_flat_images_take_nothing(extras: dict[str, object], words: str) -> None:
    sector = bytes(510) + b"\x55\xaa"
    for image, mode in ((b"\xf4", None), (b"\xf4", Mode.LONG), (sector, None)):
        told = f"a flat image: it knows no boot protocol: it cannot be given {words}"
        refuse(image, told, RAM, mode=mode, **extras)


@BOTH
@EXTRAS
def test_plain_elf_files_take_nothing(bits: int, extras: dict[str, object], words: str) -> None:
    told = f"ELF: it has neither a Multiboot header nor a PVH note: it cannot be given {words}"
    refuse(elf(bits), told, RAM, **extras)


def multiboot2(*, architecture: int = 0, checksum: int = 0) -> bytes:
    magic, length = 0xE852_50D6, 24
    checksum += -(magic + architecture + length)
    return struct.pack("<4I2HI", magic, architecture, length, checksum & 0xFFFF_FFFF, 0, 0, 8)


@BOTH
def test_multiboot2_alone_is_refused_unless_the_mode_is_given(bits: int) -> None:
    at = {32: 52 + 32, 64: 64 + 56}[bits]
    mark = bytes(-at % 8) + multiboot2()
    mode = {32: Mode.PROTECTED, 64: Mode.LONG}[bits]
    refuse(elf(bits, mark), f"has a Multiboot2 header.*--mode {mode.value}: enter it", RAM)
    assert boot_image(elf(bits, mark), RAM, mode=mode).mode is mode
    assert boot_image(elf(bits, mark + multiboot2()[:20], XEN), RAM).rip == MIB + 80
    assert boot_image(elf(bits, bytes(-at % 8) + multiboot2(checksum=1)), RAM).mode is mode
    both = bytes(-at % 8) + multiboot2() + header()
    assert is_multiboot(boot_image(elf(bits, both), RAM))


@BOTH
def test_a_vmlinux_gets_a_zero_page(bits: int) -> None:
    modules = [Module("a", b"aaaaa"), Module("b", b"b")]
    state = boot_image(elf(bits, BANNER), RAM, cmdline="quiet", modules=modules, rsdp=0xF_0000)
    assert state.mode is {32: Mode.PROTECTED, 64: Mode.LONG}[bits]
    assert state.rip == MIB + 80
    assert (state.cs.selector, state.data.selector) == (0x10, 0x18)
    assert (state.rbp, state.rdi, state.rbx) == (0, 0, 0)
    ram = ram_of(state)
    page = read_zero_page(ram, state.rsi)
    assert ram.string(page["cmd_line_ptr"]) == b"quiet"
    assert ram.read(page["ramdisk_image"], page["ramdisk_size"]) == b"aaaaa\0\0\0b\0\0\0"
    assert page["acpi_rsdp_addr"] == 0xF_0000
    assert (page["boot_flag"], page["header"]) == (0xAA55, 0x5372_6448)
    assert page["version"] >= 0x20C
    assert page["type_of_loader"] == 0xFF
    assert read_e820(ram, state.rsi)[2] == (MIB, RAM - MIB, 1)
    words = "command line has 2048 bytes; this kernel takes at most 2047"
    refuse(elf(bits, BANNER), words, RAM, cmdline="x" * 2048)
    refuse(
        elf(bits, BANNER), "the initrd: there is no room", RAM, modules=[Module("m", bytes(RAM))]
    )


def test_a_vmlinux_with_a_note_is_booted_by_pvh_with_one_initrd() -> None:
    modules = [Module("a", b"aaaaa"), Module("b", b"b")]
    state = boot_image(elf(64, BANNER, XEN), RAM, modules=modules)
    ram = ram_of(state)
    assert state.mode is Mode.PROTECTED
    assert ram.u32(state.rbx + 12) == 1
    modlist = ram.u64(state.rbx + 16)
    assert ram.read(ram.u64(modlist), ram.u64(modlist + 8)) == b"aaaaa\0\0\0b\0\0\0"
    long = boot_image(elf(64, BANNER, XEN), RAM, modules=modules, mode=Mode.LONG)
    assert long.rip == MIB + 80
    assert read_zero_page(ram_of(long), long.rsi)["ramdisk_size"] == 12


KERNELS = {
    "multiboot": elf(32, header()),
    "pvh": elf(64, notes=XEN),
    "bzimage": BzImage().build(),
    "vmlinux": elf(64, BANNER),
}


@pytest.mark.parametrize("name", KERNELS)
def test_the_bios_data_area_is_there(name: str) -> None:
    """A serial port, the extended area's segment, the equipment, the size of base memory."""
    ram = ram_of(boot_image(KERNELS[name], RAM))
    words = [int.from_bytes(ram.read(at, 2), "little") for at in (0x400, 0x40E, 0x410, 0x413)]
    assert words == [0x3F8, 0x9FC0, 0x202, 639]
    assert ram.read(0x402, 12) == bytes(12)


def test_the_bios_data_area_of_a_small_machine() -> None:
    flat = header(1 << 16, 0x8000, 0x8000, 0, 0, 0x8020) + CODE
    ram = ram_of(boot_image(flat.ljust(100), 128 * KIB))
    assert (ram.read(0x40E, 2), ram.read(0x413, 2)) == (b"\0\0", b"\x80\0")


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("ram", [RAM, 5 * GIB])
def test_firmware_s_tables_have_their_place(name: str, ram: int) -> None:
    tables = tables_for(KERNELS[name], Platform(2), ram)
    assert tables == firmware_tables(Platform(2), ram)
    assert tables.rsdp
    state = boot_image(KERNELS[name], ram, rsdp=tables.rsdp, reserved=tables.reserved)
    check_pieces(state.pieces + tables.pieces, ram)


def test_a_flat_image_gets_no_tables() -> None:
    assert tables_for(CODE, Platform(2), RAM) == FirmwareTables(rsdp=0, pieces=())


def test_the_boot_tables_of_1_mib_leave_room_for_firmware_s() -> None:
    tables = firmware_tables(Platform(), MIB)
    for mode in (Mode.PROTECTED, Mode.LONG):
        state = boot_image(CODE, MIB, mode=mode, reserved=tables.reserved)
        check_pieces(state.pieces + tables.pieces, MIB)


@pytest.mark.parametrize("name", KERNELS)
def test_the_bios_data_area_gives_way(name: str) -> None:
    kept = (Range(0x4FF, 1, ACPI),)
    state = boot_image(KERNELS[name], RAM, reserved=kept)
    assert min(p.gpa for p in state.pieces) >= 0x500
    low = header(1 << 16, 0x4F0, 0x4F0, 0, 0, 0x510) + CODE
    assert min(p.gpa for p in boot_image(low, RAM).pieces) == 0x4F0


@pytest.mark.parametrize(
    ("text", "path", "cmdline"),
    [
        ("a/b.img", "a/b.img", "a/b.img"),
        ("b.img,", "b.img", ""),
        ("b.img,one two,three", "b.img", "one two,three"),
        ("a,,b.img", "a,b.img", "a,b.img"),
        ("a,,b.img,x,,y", "a,b.img", "x,,y"),
    ],
)
def test_a_module_as_it_is_written(text: str, path: str, cmdline: str) -> None:
    assert parse_module(text) == ModuleFile(path, cmdline)


def test_a_module_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.img").write_bytes(b"content")
    file = ModuleFile(str(tmp_path / "m.img"), "one")
    assert file.read(MIB) == Module("m.img", b"content", "one")
    with pytest.raises(ImageError, match=r"n\.img: No such file"):
        ModuleFile(str(tmp_path / "n.img"), "").read(MIB)


@pytest.mark.parametrize(
    ("text", "linux"),
    [
        (b"Linux version 6.1.0 (nobody@nowhere)", True),
        (b"Linux version 6.12.3-rc1+ (me@here) (gcc ...) #1 SMP", True),
        (b"Linux version %s", False),
        (b"it prints Linux version 6.1.0", False),
    ],
)
def test_a_linux_kernel_is_known_by_its_banner(text: bytes, linux: bool) -> None:
    assert is_vmlinux(b"\x7fELF" + text + b"\0") is linux
