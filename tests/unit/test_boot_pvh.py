"""PVH: the note that names the entry point, the registers there, and the start info."""

from __future__ import annotations

import struct

import pytest

from pykvm.boot import Module, boot_image
from pykvm.boot.e820 import ACPI, Range
from pykvm.boot.state import BootState
from pykvm.layout import GIB, HIGH_RAM_BASE, KIB, MIB
from pykvm.x86 import Mode
from tests.unit.boot_rig import assert_flat_protected, ram_of, refuse
from tests.unit.elf_builder import PT_NOTE, Elf, Load

RAM = 16 * MIB
CODE = b"\xf4" * 64
BOTH = pytest.mark.parametrize("bits", [32, 64])


def note(
    content: bytes, *, name: bytes = b"Xen\0", type_: int = 18, align: int = 4, **sizes: int
) -> bytes:
    """One note; `namesz` and `descsz` lie if they are given."""
    namesz, descsz = sizes.get("namesz", len(name)), sizes.get("descsz", len(content))
    head = struct.pack("<3I", namesz, descsz, type_) + name
    head += bytes(-len(head) % align)
    return head + content + bytes(-len(content) % align)


def build(
    *notes: bytes, bits: int = 64, entry: int = MIB, loads: list[Load] | None = None, align: int = 4
) -> bytes:
    loads = loads or [Load(MIB, CODE, memsz=0x3000)]
    loads = [*loads, *(Load(0, n, type=PT_NOTE, align=align) for n in notes)]
    return Elf(bits, loads, entry).build()


ENTRY = note((MIB + 16).to_bytes(4, "little"))


def start_info(state: BootState) -> dict[str, int]:
    """By the offsets of start_info.h."""
    ram, at = ram_of(state), state.rbx
    words = {"magic": 0, "version": 4, "flags": 8, "nr_modules": 12, "memmap_entries": 48}
    words |= {"reserved": 52}
    longs = {"modlist": 16, "cmdline": 24, "rsdp": 32, "memmap": 40}
    return {name: ram.u32(at + offset) for name, offset in words.items()} | {
        name: ram.u64(at + offset) for name, offset in longs.items()
    }


@BOTH
def test_the_note_s_entry_is_in_protected_mode(bits: int) -> None:
    state = boot_image(build(ENTRY, bits=bits), RAM)
    assert_flat_protected(state)
    assert state.rip == MIB + 16
    assert start_info(state)["magic"] == 0x336E_C578


@pytest.mark.parametrize("size", [4, 8])
@pytest.mark.parametrize("align", [4, 8])
def test_the_note_is_found_among_others(size: int, align: int) -> None:
    def aligned(content: bytes, **more: object) -> bytes:
        return note(content, align=align, **more)  # type: ignore[arg-type]

    others = [
        aligned(b"x", name=b"GNU\0", type_=18),
        aligned(b"linux\0", type_=6),
        aligned(b"", name=b""),
        aligned((MIB + 20).to_bytes(size, "little")),
        aligned(b"\xff" * 4),
    ]
    for notes in (others, [b"".join(others)]):
        assert boot_image(build(*notes, align=align), RAM).rip == MIB + 20


def test_the_start_info() -> None:
    modules = [Module("a", b"first", "one 1"), Module("b", b"s" * 6000)]
    kept = (Range(RAM - 0x2000, 0x2000, ACPI),)
    state = boot_image(
        build(ENTRY), RAM, cmdline="root=x", modules=modules, rsdp=0xE_0000, reserved=kept
    )
    info, ram = start_info(state), ram_of(state)
    assert (info["version"], info["flags"], info["reserved"]) == (1, 0, 0)
    assert info["rsdp"] == 0xE_0000
    assert ram.string(info["cmdline"]) == b"root=x"
    assert info["nr_modules"] == 2
    found = []
    for entry in (info["modlist"], info["modlist"] + 32):
        at, size, string, reserved = (ram.u64(entry + 8 * i) for i in range(4))
        assert at % 4096 == reserved == 0
        found.append((ram.read(at, size), ram.string(string)))
    assert found == [(b"first", b"one 1"), (b"s" * 6000, b"")]
    entries = [info["memmap"] + 24 * i for i in range(info["memmap_entries"])]
    ranges = [(ram.u64(e), ram.u64(e + 8), ram.u32(e + 16)) for e in entries]
    assert all(ram.u32(entry + 20) == 0 for entry in entries)
    assert ranges[:4] == [
        (0, 0x9_FC00, 1),
        (0x9_FC00, 0x6_0400, 2),
        (MIB, RAM - MIB - 0x2000, 1),
        (RAM - 0x2000, 0x2000, 3),
    ]
    assert all(p.end <= RAM - 0x2000 for p in state.pieces)


def test_nothing_given() -> None:
    info = start_info(state := boot_image(build(ENTRY), RAM))
    assert (info["nr_modules"], info["modlist"], info["rsdp"]) == (0, 0, 0)
    assert ram_of(state).string(info["cmdline"]) == b""


def test_the_smallest_machine() -> None:
    loads = [Load(0x8000, CODE)]
    state = boot_image(build(note(b"\0\x80\0\0"), loads=loads, entry=0x8000), 64 * KIB)
    assert (state.rip, start_info(state)["version"]) == (0x8000, 1)


@pytest.mark.parametrize(
    ("notes", "words"),
    [
        ([note(b"")], "PVH: the note with the entry point has 0 bytes"),
        ([note(b"\0" * 5)], "PVH: the note with the entry point has 5 bytes"),
        ([note(bytes(4))], "the entry point 0x0 is outside all loaded segments"),
        ([note(b"\xff" * 4)], "the entry point 0xffffffff is outside"),
        ([note(b"\xff" * 8)], "the entry point 0xffffffffffffffff is outside"),
    ],
)
def test_an_entry_that_is_none_is_refused(notes: list[bytes], words: str) -> None:
    refuse(build(*notes), words, RAM)


def test_an_entry_beyond_32_bits_is_refused() -> None:
    high = HIGH_RAM_BASE + MIB
    image = build(note(high.to_bytes(8, "little")), loads=[Load(high, CODE)], entry=high)
    refuse(image, f"PVH: the entry point {high:#x} is out of reach of 32-bit code", 5 * GIB)


@pytest.mark.parametrize(
    "damaged",
    [
        ENTRY[:15],
        ENTRY[:-1],
        b"",
        note(b"\0" * 4, descsz=0xFFFF_FFFF),
        note(b"\0" * 4, namesz=0xFFFF_FFFF),
        note(b"\0" * 4, namesz=0xFFFF_FFFC, descsz=0xFFFF_FFFC),
        note(b"\0" * 4, name=b"xen\0"),
        note(b"\0" * 4, name=b"Xen"),
        note(b"\0" * 4, type_=17),
    ],
)
def test_what_is_no_such_note_is_passed_over(damaged: bytes) -> None:
    state = boot_image(build(damaged), RAM)
    assert (state.mode, state.rip, state.rbx) == (Mode.LONG, MIB, 0)


def test_notes_outside_of_the_file_are_none() -> None:
    loads = [Load(MIB, CODE), Load(0, b"", type=PT_NOTE, offset=1 << 40, filesz=1 << 40)]
    assert boot_image(build(loads=loads), RAM).mode is Mode.LONG


def test_headers_that_share_their_notes_end_the_search() -> None:
    many = note(b"", name=b"") * 5000
    loads = [Load(MIB, CODE), Load(0, many, type=PT_NOTE)]
    at = 64 + 56 * 1002
    loads += [Load(0, b"", type=PT_NOTE, offset=at + 64, filesz=len(many))] * 999
    assert boot_image(build(ENTRY, loads=loads), RAM).mode is Mode.LONG


def test_modes() -> None:
    image = build(ENTRY)
    assert boot_image(image, RAM, mode=Mode.PROTECTED).rip == MIB + 16
    state = boot_image(image, RAM, mode=Mode.LONG)
    assert (state.mode, state.rip, state.rbx) == (Mode.LONG, MIB, 0)
    refuse(image, "its class asks for long mode, not real mode", RAM, mode=Mode.REAL)
    refuse(build(), "its class asks for long mode, not protected mode", RAM, mode=Mode.PROTECTED)
    refuse(image, "it says itself where it is loaded", RAM, load_address=MIB)
    assert boot_image(image, RAM, entry=MIB + 3).rip == MIB + 3


def test_a_position_independent_kernel_is_loaded_as_it_is_linked() -> None:
    loads = [Load(MIB, CODE), Load(0, ENTRY, type=PT_NOTE)]
    image = Elf(64, loads, MIB, {"e_type": 3}).build()
    assert boot_image(image, RAM).rip == MIB + 16
    refuse(image, "type 3 is not a static executable", RAM, mode=Mode.LONG)


def test_what_does_not_fit_is_named() -> None:
    modules = [Module("disk.img", bytes(RAM))]
    refuse(build(ENTRY), "disk.img: there is no room for 16777216 bytes", RAM, modules=modules)
    refuse(build(ENTRY), "PVH: the start info: there is no room", RAM, cmdline="x" * RAM)
    full = [Load(0, bytes(MIB) + CODE, memsz=RAM - 0x1000)]
    refuse(build(ENTRY, loads=full), "PVH: the start info: there is no room", RAM)
    refuse(build(ENTRY, loads=[Load(MIB, CODE, memsz=RAM)]), "segment 0 .* is not inside", RAM)
