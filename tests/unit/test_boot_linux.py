"""Linux by its boot protocol: registers, zero page, and room for the kernel to unpack itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from pykvm.boot import Module, boot_image
from pykvm.boot.e820 import ACPI, Range
from pykvm.boot.state import BootState
from pykvm.layout import GIB, MIB
from pykvm.x86 import Cr0, Mode, Rflags
from tests.svm.parts import find_guest_kernel
from tests.unit.boot_rig import assert_flat_protected, piece, ram_of, refuse
from tests.unit.linux_builder import FIELDS, KERNEL, BzImage, read_e820, read_zero_page

RAM = 64 * MIB
BOTH = pytest.mark.parametrize("mode", [Mode.PROTECTED, Mode.LONG])


def build(**fields: int) -> bytes:
    return BzImage(fields=fields).build()


def told(state: BootState) -> dict[str, int]:
    return read_zero_page(ram_of(state), state.rsi)


def test_the_32_bit_entry() -> None:
    state = boot_image(build(), RAM)
    assert_flat_protected(state, code=0x10, data=0x18)
    assert (state.rip, state.rbp, state.rdi, state.rbx) == (16 * MIB, 0, 0, 0)
    assert state.rsi == piece(state, "the zero page").gpa
    assert piece(state, "the kernel")[:3] == (16 * MIB, KERNEL, MIB)


def test_the_64_bit_entry() -> None:
    state = boot_image(build(), RAM, mode=Mode.LONG)
    assert state.mode is Mode.LONG
    assert (state.rip, state.rsi) == (16 * MIB + 0x200, piece(state, "the zero page").gpa)
    assert (state.cs.selector, state.data.selector, state.ss.selector) == (0x10, 0x18, 0x18)
    assert (state.cs.l, state.cs.db) == (1, 0)
    ram = ram_of(state)
    assert [ram.u64(state.gdt.base + at) for at in (0, 8)] == [0, 0]
    assert ram.u64(state.gdt.base + 0x10) == state.cs.descriptor()
    assert ram.u64(state.gdt.base + 0x18) == state.data.descriptor()
    assert state.cr0 & Cr0.PG
    assert not state.rflags & Rflags.IF


@BOTH
def test_the_zero_page(mode: Mode) -> None:
    modules = [Module("initrd", b"i" * 5000)]
    state = boot_image(build(), RAM, mode=mode, cmdline="a b", modules=modules, rsdp=0xE_0000)
    page = told(state)
    header = dict.fromkeys(FIELDS, 0) | {
        name: int.from_bytes(build()[at : at + size], "little")
        for name, (at, size) in FIELDS.items()
    }
    changed = {name for name in FIELDS if page[name] != header[name]}
    assert changed == {
        *("vid_mode", "type_of_loader", "loadflags", "code32_start", "heap_end_ptr"),
        *("ramdisk_image", "ramdisk_size", "cmd_line_ptr"),
    }
    assert page["vid_mode"] == 0xFFFF
    assert page["type_of_loader"] == 0xFF
    assert page["loadflags"] == 0x81
    assert page["code32_start"] == 16 * MIB
    assert page["acpi_rsdp_addr"] == 0xE_0000
    assert page["sentinel"] == page["ext_cmd_line_ptr"] == 0
    ram = ram_of(state)
    assert ram.string(page["cmd_line_ptr"]) == b"a b"
    assert page["cmd_line_ptr"] < 0xA_0000
    assert ram.read(page["ramdisk_image"], page["ramdisk_size"]) == b"i" * 5000
    assert page["ramdisk_image"] % 4096 == 0
    assert (page["ext_ramdisk_image"], page["ext_ramdisk_size"]) == (0, 0)


def test_what_is_behind_the_header_in_the_file_stays_there() -> None:
    """The header ends where its jump goes; the loader's page is clean behind it."""
    image = bytearray(build())
    image[0x26C:0x280] = b"\xaa" * 20
    state = boot_image(bytes(image), RAM)
    assert ram_of(state).read(state.rsi + 0x26C, 0x290 - 0x26C) == bytes(0x24)


def test_nothing_given() -> None:
    state = boot_image(build(), RAM)
    page = told(state)
    assert (page["ramdisk_image"], page["ramdisk_size"], page["acpi_rsdp_addr"]) == (0, 0, 0)
    assert ram_of(state).string(page["cmd_line_ptr"]) == b""


def test_the_memory_map() -> None:
    kept = (Range(RAM - 0x2000, 0x2000, ACPI),)
    state = boot_image(build(), RAM, reserved=kept)
    assert read_e820(ram_of(state), state.rsi)[:4] == [
        (0, 0x9_FC00, 1),
        (0x9_FC00, 0x6_0400, 2),
        (MIB, RAM - MIB - 0x2000, 1),
        (RAM - 0x2000, 0x2000, 3),
    ]
    assert all(p.end <= RAM - 0x2000 for p in state.pieces)


def test_modules_are_one_initrd_each_at_a_multiple_of_4() -> None:
    modules = [Module("a", b"aaaaa"), Module("b", b"bbbb"), Module("c", b"c")]
    state = boot_image(build(), RAM, modules=modules)
    page = told(state)
    initrd = ram_of(state).read(page["ramdisk_image"], page["ramdisk_size"])
    assert initrd == b"aaaaa\0\0\0bbbbc\0\0\0"
    assert told(boot_image(build(), RAM, modules=modules[:1]))["ramdisk_size"] == 5


def test_the_initrd_is_as_high_as_the_kernel_reaches() -> None:
    initrd = [Module("initrd", bytes(MIB))]
    page = told(boot_image(build(), 4 * GIB, modules=initrd))
    assert page["ramdisk_image"] == 2 * GIB - MIB
    page = told(boot_image(build(initrd_addr_max=0x2FF_FFFE), RAM, modules=initrd))
    assert page["ramdisk_image"] == 47 * MIB - 0x1000
    image = build(initrd_addr_max=17 * MIB + 0x10_0FFF)
    assert told(boot_image(image, RAM, modules=initrd))["ramdisk_image"] == 17 * MIB + 0x1000
    image = build(initrd_addr_max=17 * MIB + 0xF_FFFE, xloadflags=1)
    refuse(image, "Linux: the initrd: there is no room for 1048576 bytes", RAM, modules=initrd)


def test_an_initrd_may_lie_beyond_where_the_flags_say_so() -> None:
    initrd = [Module("initrd", bytes(MIB))]
    image = build(initrd_addr_max=0x100_0000, xloadflags=0x3)
    page = told(boot_image(image, 4 * GIB, modules=initrd))
    assert page["ramdisk_image"] | page["ext_ramdisk_image"] << 32 == 5 * GIB - MIB
    refuse(build(initrd_addr_max=0x100_0000, xloadflags=1), "no room", 4 * GIB, modules=initrd)


@pytest.mark.parametrize("size", [0, 10, 2047])
def test_the_command_line_is_as_long_as_the_kernel_takes(size: int) -> None:
    boot_image(build(cmdline_size=size), RAM, cmdline="x" * size)
    words = f"command line has {size + 1} bytes; this kernel takes at most {size}"
    refuse(build(cmdline_size=size), words, RAM, cmdline="x" * (size + 1))
    refuse(build(), "the command line has a zero byte", RAM, cmdline="\0")


@BOTH
@pytest.mark.parametrize(
    ("fields", "load", "span"),
    [
        ({}, 16 * MIB, MIB),
        ({"pref_address": 0}, 2 * MIB, MIB),
        ({"pref_address": 0x110_0000}, 18 * MIB, MIB),
        ({"kernel_alignment": 0x200_0000}, 32 * MIB, MIB),
        ({"init_size": 0}, 16 * MIB, 3 * len(KERNEL)),
        ({"init_size": 16}, 16 * MIB, len(KERNEL)),
        ({"init_size": 46 * MIB}, 16 * MIB, 46 * MIB),
        ({"relocatable_kernel": 0}, MIB, 16 * MIB),
        ({"relocatable_kernel": 0, "pref_address": MIB}, MIB, MIB),
        ({"relocatable_kernel": 0, "kernel_alignment": 3}, MIB, 16 * MIB),
    ],
)
def test_the_kernel_has_room_to_unpack_itself(
    mode: Mode, fields: dict[str, int], load: int, span: int
) -> None:
    state = boot_image(build(**fields), RAM, mode=mode)
    assert piece(state, "the kernel")[:3] == (load, KERNEL, span)
    assert state.rip == load + (0x200 if mode is Mode.LONG else 0)
    assert told(state)["code32_start"] == load


def test_a_kernel_that_unpacks_below_where_it_is_loaded() -> None:
    fields = {"relocatable_kernel": 0, "pref_address": 0x1_0000, "init_size": 0x2000}
    state = boot_image(build(**fields), 8 * MIB)
    assert piece(state, "the kernel")[:3] == (MIB, KERNEL, len(KERNEL))
    assert piece(state, "room for the kernel")[:3] == (0x1_0000, b"", 0x2000)
    assert state.rsi >= 0x1_2000
    fields["init_size"] = 0x9_0000
    refuse(build(**fields), "needs 961 KiB of free RAM at 0x10000", 8 * MIB)


def test_where_its_address_is_taken_it_goes_higher() -> None:
    kept = (Range(16 * MIB + 0x8_0000, 0x1000, ACPI),)
    state = boot_image(build(), RAM, reserved=kept)
    assert state.rip == 18 * MIB
    refuse(
        build(relocatable_kernel=0), "needs 16384 KiB of free RAM at 0x100000", RAM, reserved=kept
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"init_size": RAM},
        {"init_size": 48 * MIB},
        {"init_size": 0xFFFF_FFFF},
        {"pref_address": RAM},
        {"pref_address": (1 << 64) - 1},
        {"pref_address": 5 * GIB, "relocatable_kernel": 0},
        {"kernel_alignment": 1 << 31},
    ],
)
def test_a_kernel_that_has_no_room_is_refused(fields: dict[str, int]) -> None:
    refuse(build(**fields), "Linux: the kernel needs .* of free RAM at 0x.* to unpack itself", RAM)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"version": 0x205}, "boot protocol 2.05 is too old: 2.06"),
        ({"version": 0x100}, "boot protocol 1.00 is too old"),
        ({"version": 0}, "setup header is truncated"),
        ({"loadflags": 0}, "a zImage"),
        ({"jump": 0x00EB}, "the setup header is truncated"),
        ({"jump": 0x61EB}, "the setup header is truncated"),
        ({"syssize": len(KERNEL) // 16 + 1}, "the file ends before the kernel does"),
        ({"syssize": 0xFFFF_FFFF}, "the file ends before the kernel does"),
        ({"kernel_alignment": 0}, "an alignment of 0x0, which is no power of two"),
        ({"kernel_alignment": 0x30_0000}, "an alignment of 0x300000"),
    ],
)
def test_a_header_that_lies_is_refused(fields: dict[str, int], words: str) -> None:
    if fields == {"version": 0}:
        fields = {"version": 0, "jump": 0x61EB}
        words = "boot protocol 0.00 is too old|truncated"
    refuse(build(**fields), f"Linux: .*{words}", RAM)


def test_every_truncation_is_refused() -> None:
    whole = build()
    for length in (*range(0x206, 0x300), 0x5FF, 0x600, len(whole) - 16):
        refuse(whole[:length], "Linux: .* truncated", RAM)


def test_older_protocols_lack_fields() -> None:
    """What a field holds that its version does not have means nothing."""
    fields = {"version": 0x206, "jump": 0x3AEB, "init_size": 0xFFFF_FFFF, "pref_address": 1 << 63}
    state = boot_image(build(**fields), RAM)
    assert piece(state, "the kernel")[:3] == (2 * MIB, KERNEL, 3 * len(KERNEL))
    refuse(build(version=0x20B), "Linux: this kernel has no 64-bit entry", RAM, mode=Mode.LONG)


def test_the_size_may_be_rounded_up() -> None:
    boot_image(BzImage(KERNEL[:-15], {"syssize": len(KERNEL) // 16}).build(), RAM)
    image = BzImage(KERNEL[:-16], {"syssize": len(KERNEL) // 16}).build()
    refuse(image, "Linux: the file ends before the kernel does", RAM)
    boot_image(BzImage(KERNEL[:1], {"syssize": 0}).build(), RAM)


def test_no_setup_sectors_means_four() -> None:
    state = boot_image(build(setup_sects=0), RAM)
    assert bytes(piece(state, "the kernel").data) == KERNEL


def test_contradictions_are_refused() -> None:
    refuse(build(), "entered in protected or long mode, not real mode", RAM, mode=Mode.REAL)
    refuse(build(xloadflags=0), "this kernel has no 64-bit entry point", RAM, mode=Mode.LONG)
    refuse(build(), "Linux: it says itself where it is loaded", RAM, load_address=MIB)
    refuse(build(), "Linux: the boot protocol says where it is entered", RAM, entry=16 * MIB)


def test_a_setup_header_needs_both_marks() -> None:
    for fields in ({"header": 0}, {"boot_flag": 0}):
        assert boot_image(build(**fields), RAM).mode is Mode.REAL


FETCHED = find_guest_kernel(fetch=False)
KERNELS = [*Path("/boot").glob("vmlinuz-*"), *([FETCHED] if FETCHED else [])]


@pytest.mark.skipif(not KERNELS, reason="no kernel in /boot, and `make test-svm` fetched none")
@BOTH
def test_kernels_that_are_at_hand(mode: Mode) -> None:
    for path in KERNELS:
        page = told(boot_image(path.read_bytes(), GIB, mode=mode, cmdline="quiet"))
        assert page["version"] >= 0x206
