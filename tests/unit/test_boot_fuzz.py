"""Any bytes at all are either an image that lies in RAM or an `ImageError` of one line."""

from __future__ import annotations

import struct
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm.boot import Module, boot_image
from pykvm.boot.e820 import ACPI, Range
from pykvm.boot.state import BootState
from pykvm.errors import ImageError
from pykvm.layout import GIB, HIGH_RAM_BASE, KIB, LOW_RAM_END, MIB
from pykvm.x86 import Mode
from tests.unit.elf_builder import PT_NOTE, Elf, Load, Section
from tests.unit.linux_builder import BzImage
from tests.unit.multiboot_builder import ADDRESSES, VIDEO, header

RAMS = st.sampled_from([64 * KIB, MIB, 16 * MIB, 3 * GIB, 5 * GIB])
LOADS = [Load(0x8000, b"\xf4" * 32), Load(0x9000, b"data", memsz=0x800)]
CODE = b"\xf4" * 32
VALID = {bits: Elf(bits, LOADS, 0x8000).build() for bits in (32, 64)}


class Format(NamedTuple):
    """A valid file, and the part of it that says how it is loaded."""

    image: bytes
    start: int
    end: int


def _kernels() -> dict[str, Format]:
    xen = struct.pack("<3I4sI", 4, 4, 18, b"Xen\0", 0x8010)
    sections = [Section(0), Section(2, b"symbols"), Section(3, b"\0names\0")]
    marked = [Load(0x8000, header(VIDEO, *[0] * 9) + CODE, memsz=0x900)]
    flat = header(ADDRESSES, 0x8000, 0x8000, 0x8040, 0x9000, 0x8020) + CODE
    linux = [Load(0x8000, b"Linux version 6.1.0 (" + CODE)]
    pvh = [LOADS[0], Load(0, xen, type=PT_NOTE), LOADS[1]]
    small = {"pref_address": 0x8000, "kernel_alignment": 0x1000, "init_size": 0x2000}
    found = {
        "Multiboot": Format(flat, 0, 32),
        "Linux": Format(BzImage(fields=small).build(), 0x1F1, 0x26C),
    }
    for bits, size in ((32, 52 + 2 * 32), (64, 64 + 2 * 56)):
        found |= {
            f"ELF{bits}": Format(VALID[bits], 4, size),
            f"PVH{bits}": Format(Elf(bits, pvh, 0x8000).build(), 4, size + 100),
            f"vmlinux{bits}": Format(Elf(bits, linux, 0x800F).build(), 4, size - 32),
        }
        elf = Elf(bits, marked, 0x8030, sections=sections).build()
        table = 3 * {32: 40, 64: 64}[bits]
        found[f"Multiboot, ELF{bits}"] = Format(elf, 4, size)
        found[f"Multiboot, sections of ELF{bits}"] = Format(elf, len(elf) - table, len(elf))
    return found


FORMATS = _kernels()

EDGES = [0, 1, 2, 7, 8, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x1_0000]
EDGES += [1 << 31, (1 << 32) - 1, 1 << 32, 1 << 63, (1 << 64) - 8, (1 << 64) - 1]
EDGES += [LOW_RAM_END, HIGH_RAM_BASE]
sharp = st.sampled_from(EDGES)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid file with some fields of its headers overwritten, and perhaps cut."""
    form = draw(st.sampled_from(list(FORMATS.values())))
    image = bytearray(form.image)
    for _ in range(draw(st.integers(1, 4))):
        size = draw(st.sampled_from([1, 2, 4, 8]))
        at = draw(st.integers(form.start, max(form.end - 8, form.start)))
        value = draw(sharp | st.integers(0, (1 << 64) - 1)) & ((1 << 8 * size) - 1)
        image[at : at + size] = value.to_bytes(size, "little")
    length = draw(st.just(len(image)) | st.integers(0, len(image)))
    return bytes(image[:length])


@st.composite
def by_addresses(draw: st.DrawFn) -> bytes:
    """A Multiboot kernel without ELF headers, its addresses anywhere."""
    place = st.integers(0x7000, 0x9000) | sharp | st.integers(0, (1 << 32) - 1)
    fields = [draw(place) & 0xFFFF_FFFF for _ in range(5)]
    before = bytes(4 * draw(st.integers(0, 8)))
    return before + header(ADDRESSES, *fields) + draw(st.binary(max_size=64))


RESERVED = st.lists(
    st.builds(
        Range,
        st.sampled_from([0, 0x8000, 0xA000, 0xE_0000, 0xF_0000, MIB, 16 * MIB - 0x2000, 4 * GIB]),
        st.sampled_from([0x1000, 0x2000, 0x1_0000]),
        st.just(ACPI),
    ),
    max_size=2,
    unique_by=lambda r: r.base >> 16,
)
MODULES = st.lists(
    st.builds(
        Module, st.just("module"), st.sampled_from([b"x", bytes(4097), bytes(MIB)]), st.text("a\0")
    ),
    max_size=3,
)


@st.composite
def plausible(draw: st.DrawFn) -> bytes:
    """A file whose segments lie anywhere, mostly at places that matter."""
    bits = draw(st.sampled_from([32, 64]))
    top = (1 << bits) - 1
    place = (st.integers(0, 0x1_0000) | sharp | st.integers(0, top)).map(lambda v: v & top)
    loads = [
        Load(
            draw(place),
            draw(st.binary(max_size=64)),
            vaddr=draw(st.none() | place),
            memsz=draw(st.none() | place),
            offset=draw(st.none() | st.none() | place),
            type=draw(st.sampled_from([1, 1, 1, 1, 3, 4])),
        )
        for _ in range(draw(st.integers(0, 4)))
    ]
    entry = draw(st.sampled_from([load.paddr for load in loads]) | place if loads else place)
    return Elf(bits, loads, entry).build()


def check(image: bytes, ram: int, state: BootState, reserved: list[Range] | None = None) -> None:
    """The state is one that a machine with so much RAM can take."""
    end = 0
    for piece in sorted(state.pieces, key=lambda p: p.gpa):
        assert len(piece.data) <= piece.size
        assert piece.gpa >= end, "overlap"
        end = piece.gpa + piece.size
        low = min(ram, LOW_RAM_END)
        high = HIGH_RAM_BASE + ram - low
        assert end <= low or HIGH_RAM_BASE <= piece.gpa < end <= high, "outside of RAM"
        kept = [r for r in reserved or () if r.base < piece.end and piece.gpa < r.end]
        assert not kept or not piece.size, "what firmware keeps"
    assert any(p.gpa <= state.entry < p.end for p in state.pieces)
    reach = {Mode.REAL: MIB, Mode.PROTECTED: 1 << 32, Mode.LONG: 1 << 47}[state.mode]
    assert 0 <= state.entry < reach
    assert 0 <= state.rsp <= reach
    loaded = b"".join(bytes(p.data) for p in state.pieces if not p.name.startswith("the boot "))
    assert loaded in image or state.mode is not Mode.REAL


def boots(image: bytes, ram: int, **setting: object) -> None:
    """Boot it: a good state, or an error of one line."""
    told = ""
    try:
        state = boot_image(image, ram, **setting)  # type: ignore[arg-type]
        check(image, ram, state, setting.get("reserved"))  # type: ignore[arg-type]
    except ImageError as error:
        told = str(error)
    assert "\n" not in told


settled = settings(max_examples=400)


@settled
@given(
    image=mutated() | by_addresses(),
    ram=RAMS,
    cmdline=st.text(),
    modules=MODULES,
    reserved=RESERVED,
    mode=st.none() | st.none() | st.sampled_from(Mode),
)
def test_a_mutated_kernel(image: bytes, ram: int, **setting: object) -> None:
    boots(image, ram, **setting)


@settled
@given(image=mutated() | by_addresses(), ram=RAMS)
def test_a_mutated_kernel_alone(image: bytes, ram: int) -> None:
    """Flat images and plain ELF files take no more."""
    boots(image, ram)


@settled
@given(image=plausible(), ram=RAMS)
def test_an_elf_file_with_segments_anywhere(image: bytes, ram: int) -> None:
    boots(image, ram)


@settled
@given(
    image=st.binary(max_size=600)
    | st.binary().map(lambda b: b"\x7fELF" + b)
    | st.binary().map(lambda b: b"\0" * 0x1FE + b"\x55\xaa\xeb\x6aHdrS" + b)
    | st.builds(lambda flags, b: header(flags) + b, st.integers(0, (1 << 32) - 1), st.binary()),
    ram=RAMS,
)
def test_random_bytes(image: bytes, ram: int) -> None:
    boots(image, ram)


@settled
@given(
    image=st.binary(max_size=100) | st.sampled_from([form.image for form in FORMATS.values()]),
    ram=RAMS,
    mode=st.none() | st.sampled_from(Mode),
    load_address=st.none() | st.integers(-10, 1 << 33) | sharp,
    entry=st.none() | st.integers(-10, 1 << 33) | sharp | st.integers(0x1000, 0x1100),
)
def test_any_setting(
    image: bytes, ram: int, mode: Mode | None, load_address: int | None, entry: int | None
) -> None:
    boots(image, ram, mode=mode, load_address=load_address, entry=entry)


@pytest.mark.parametrize("name", FORMATS)
def test_the_valid_files_boot(name: str) -> None:
    """Else the tests above would see nothing but errors."""
    image = FORMATS[name].image
    check(image, 128 * KIB, boot_image(image, 128 * KIB))
    state = boot_image(image, 16 * MIB)
    assert bool(state.rax or state.rbx or state.rsi) == (not name.startswith("ELF"))
