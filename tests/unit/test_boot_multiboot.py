"""Multiboot headers: what is loaded where, and every way a header can ask for too much."""

from __future__ import annotations

import pytest

from pykvm.boot import boot_image
from pykvm.boot.e820 import ACPI, Range
from pykvm.layout import GIB, KIB, MIB
from pykvm.x86 import Mode
from tests.unit.boot_rig import assert_flat_protected, piece, ram_of, refuse
from tests.unit.elf_builder import Elf, Load
from tests.unit.multiboot_builder import ADDRESSES, MAGIC, VIDEO, header, read_info

RAM = 16 * MIB
CODE = b"\xf4" * 16


def elf(bits: int = 32, mark: bytes | None = None, **fields: int) -> bytes:
    """An ELF file at 1 MiB with a header, entered behind it."""
    mark = header() if mark is None else mark
    entry = fields.pop("e_entry", MIB + len(mark))
    return Elf(bits, [Load(MIB, mark + CODE, memsz=0x3000)], entry, fields).build()


def kludge(
    *,
    at: int = 0,
    header_addr: int = MIB,
    load: int = MIB,
    load_end: int = 0,
    bss_end: int = 0,
    entry: int = MIB + 32,
) -> bytes:
    """A flat file with the header `at` that offset; its addresses as given."""
    mark = header(ADDRESSES, header_addr, load, load_end, bss_end, entry)
    return b"\xcc" * at + mark + CODE


@pytest.mark.parametrize("bits", [32, 64])
def test_an_elf_kernel_is_entered_in_protected_mode(bits: int) -> None:
    state = boot_image(elf(bits), RAM)
    assert_flat_protected(state)
    assert state.rip == MIB + 12
    assert state.rax == 0x2BADB002
    assert piece(state, "segment 0")[:3] == (MIB, header() + CODE, 0x3000)
    assert read_info(ram_of(state), state.rbx).loader == b"pykvm"
    assert MIB <= state.rsp <= RAM


def test_a_higher_half_kernel_is_entered_at_its_physical_address() -> None:
    high = 0xC000_0000
    image = Elf(32, [Load(MIB, header() + CODE, vaddr=high + MIB)], high + MIB + 12).build()
    assert boot_image(image, RAM).rip == MIB + 12


def test_a_64_bit_file_must_be_entered_below_4_gib() -> None:
    image = Elf(64, [Load(5 * GIB, header() + CODE)], 5 * GIB + 12).build()
    refuse(image, "Multiboot: the entry point 0x14000000c is out of 32-bit reach", 8 * GIB)


@pytest.mark.parametrize("at", [0, 4, 8192 - 12])
def test_the_header_is_found_at_any_multiple_of_4(at: int) -> None:
    image = elf(mark=b"\x90" * (at - 84) + header()) if at else kludge()
    assert boot_image(image.ljust(9000, b"\0"), RAM).rax == 0x2BADB002


@pytest.mark.parametrize("shift", [1, 2, 3])
def test_a_header_elsewhere_is_none(shift: int) -> None:
    for image in (b"\0" * shift + kludge(), b"\0" * (8192 - 8) + header(), b"\0" * 8192 + kludge()):
        assert boot_image(image, RAM).mode is Mode.REAL


def test_a_wrong_checksum_makes_no_header() -> None:
    wrong = header(ADDRESSES, MIB, MIB, 0, 0, MIB, checksum=1)
    assert boot_image(wrong + CODE, RAM).mode is Mode.REAL
    right = header(ADDRESSES, MIB, MIB - len(wrong), 0, 0, MIB + 32)
    state = boot_image(wrong + right + CODE, RAM)
    assert piece(state, "the kernel").gpa == MIB - len(wrong)


@pytest.mark.parametrize("bit", range(3, 16))
def test_unknown_requirements_are_refused(bit: int) -> None:
    refuse(
        elf(mark=header(1 << bit)), rf"requires what is not known here \(flags {1 << bit:#x}\)", RAM
    )


@pytest.mark.parametrize("bit", range(17, 32))
def test_unknown_wishes_are_passed_over(bit: int) -> None:
    assert boot_image(elf(mark=header(1 << bit)), RAM).rip == MIB + 12


def test_a_header_must_end_in_the_searched_part() -> None:
    words = "header at 0x1fe4 does not end within the file's first 8192 bytes"
    refuse(b"\0" * 0x1FE4 + header(ADDRESSES, 0, 0, 0, 0, 0) + CODE, words, RAM)
    for mark in (header(ADDRESSES, MIB, MIB, 0, 0)[:-1], header(VIDEO, *range(8))):
        refuse(mark, "does not end", RAM)


def test_addresses_say_where_the_kernel_is() -> None:
    image = kludge(at=8, header_addr=2 * MIB + 8, load=2 * MIB, entry=2 * MIB + 40)
    state = boot_image(image, RAM)
    assert_flat_protected(state)
    assert piece(state, "the kernel")[:3] == (2 * MIB, image, len(image))
    assert (state.rip, state.rax) == (2 * MIB + 40, 0x2BADB002)


def test_addresses_leave_out_what_is_before_and_behind() -> None:
    state = boot_image(kludge(at=8, load_end=MIB + 40, bss_end=MIB + 0x5000) + b"behind", RAM)
    assert piece(state, "the kernel")[:3] == (
        MIB,
        kludge(load_end=MIB + 40, bss_end=MIB + 0x5000)[:40],
        0x5000,
    )


def test_without_an_end_all_of_the_file_from_there_on_is_loaded() -> None:
    state = boot_image(kludge(at=8) + b"behind", RAM)
    assert piece(state, "the kernel")[:3] == (MIB, kludge() + b"behind", 32 + 16 + 6)


def test_addresses_win_over_elf_headers() -> None:
    mark = header(ADDRESSES, 2 * MIB, 2 * MIB, 2 * MIB + 48, 0, 2 * MIB + 32)
    state = boot_image(elf(mark=mark, e_type=4), RAM)
    assert bytes(piece(state, "the kernel").data) == mark + CODE
    assert state.rip == 2 * MIB + 32


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (kludge(load=MIB + 4), "load_addr 0x100004 is above header_addr 0x100000"),
        (kludge(load=MIB - 4), "load_addr 0xffffc would be 4 bytes before the file begins"),
        (kludge(load_end=MIB - 1), "load_end_addr 0xfffff is below load_addr 0x100000"),
        (kludge(load_end=MIB + 49), "load_end_addr 0x100031 is beyond the end of the file"),
        (kludge(load_end=0xFFFF_FFFF), "load_end_addr 0xffffffff is beyond the end"),
        (kludge(bss_end=MIB + 47), "bss_end_addr 0x10002f is below the end of the data"),
        (kludge(bss_end=0xFFFF_FFFF), "the kernel at 0x100000-.* is not inside the guest's"),
        (kludge(entry=MIB - 1), "the entry point 0xfffff is outside the kernel"),
        (kludge(entry=MIB + 48), "the entry point 0x100030 is outside the kernel"),
        (
            kludge(header_addr=RAM - 8, load=RAM - 8, entry=RAM - 4),
            "the kernel at .* is not inside",
        ),
        (header() + CODE, r"no ELF file, and its header has no addresses \(flag 16\)"),
        (elf(e_type=3), "ELF: type 3 is not a static executable: link it without -pie"),
        (elf(e_machine=0), "ELF: made for machine 0"),
        (elf(e_entry=2), "ELF: the entry point 0x2 is outside"),
    ],
)
def test_what_contradicts_itself_is_refused(image: bytes, words: str) -> None:
    refuse(image, words, RAM)


def test_a_kernel_larger_than_ram_is_refused() -> None:
    image = Elf(32, [Load(MIB, header() + CODE, memsz=RAM)], MIB).build()
    refuse(image, "segment 0 at 0x100000-0x10fffff is not inside the guest's 16384 KiB", RAM)


def test_the_caller_may_enter_elsewhere() -> None:
    assert boot_image(elf(), RAM, entry=MIB + 20).rip == MIB + 20
    assert boot_image(kludge(), RAM, entry=MIB + 40).rip == MIB + 40
    refuse(elf(), "entry point 0x1 is outside", RAM, entry=1)
    refuse(kludge(), "entry point 0x1 is outside", RAM, entry=1)


def test_only_protected_mode_and_its_own_address() -> None:
    for image in (elf(), elf(64), kludge()):
        assert boot_image(image, RAM, mode=Mode.PROTECTED).mode is Mode.PROTECTED
        for mode in (Mode.REAL, Mode.LONG):
            words = f"Multiboot: .* entered in protected mode, not {mode.value} mode"
            refuse(image, words, RAM, mode=mode)
        refuse(image, "Multiboot: it says itself where it is loaded", RAM, load_address=MIB)


def test_the_smallest_machine() -> None:
    image = kludge(header_addr=0x8000, load=0x8000, entry=0x8020)
    state = boot_image(image, 64 * KIB)
    info = read_info(ram_of(state), state.rbx)
    assert info.mem == (64, 0)
    assert info.mmap is not None
    assert info.mmap[0] == (0, 64 * KIB, 1)


def test_what_firmware_keeps_stays_free() -> None:
    kept = (Range(RAM - 0x4000, 0x4000, ACPI), Range(0x1_0000, 0x2000, ACPI))
    state = boot_image(elf(), RAM, reserved=kept)
    for lying in state.pieces:
        assert all(lying.end <= r.base or r.end <= lying.gpa for r in kept)
    info = read_info(ram_of(state), state.rbx)
    assert info.mem == (0x1_0000 // KIB, (15 * MIB - 0x4000) // KIB)
    over = (Range(MIB, 0x1000, ACPI),)
    refuse(
        elf(),
        "segment 0 at .* overlaps what firmware keeps at 0x100000-|keeps .* overlaps",
        RAM,
        reserved=over,
    )


def test_the_magic_alone_is_no_header() -> None:
    image = MAGIC.to_bytes(4, "little") + CODE
    assert boot_image(image, RAM).mode is Mode.REAL
