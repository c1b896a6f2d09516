"""Any bytes at all are either an image that lies in RAM or an `ImageError` of one line."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from pykvm.boot import boot_image
from pykvm.boot.state import BootState
from pykvm.errors import ImageError
from pykvm.layout import GIB, HIGH_RAM_BASE, KIB, LOW_RAM_END, MIB
from pykvm.x86 import Mode
from tests.unit.elf_builder import Elf, Load

RAMS = st.sampled_from([64 * KIB, MIB, 16 * MIB, 3 * GIB, 5 * GIB])
LOADS = [Load(0x8000, b"\xf4" * 32), Load(0x9000, b"data", memsz=0x800)]
VALID = {bits: Elf(bits, LOADS, 0x8000).build() for bits in (32, 64)}
HEADERS = {32: 52 + 2 * 32, 64: 64 + 2 * 56}

EDGES = [0, 1, 2, 7, 8, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x1_0000]
EDGES += [1 << 31, (1 << 32) - 1, 1 << 32, 1 << 63, (1 << 64) - 8, (1 << 64) - 1]
EDGES += [LOW_RAM_END, HIGH_RAM_BASE]
sharp = st.sampled_from(EDGES)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid file with some fields of its headers overwritten, and perhaps cut."""
    bits = draw(st.sampled_from([32, 64]))
    image = bytearray(VALID[bits])
    for _ in range(draw(st.integers(1, 4))):
        size = draw(st.sampled_from([1, 2, 4, 8]))
        at = draw(st.integers(4, HEADERS[bits] - 8))
        value = draw(sharp | st.integers(0, (1 << 64) - 1)) & ((1 << 8 * size) - 1)
        image[at : at + size] = value.to_bytes(size, "little")
    length = draw(st.just(len(image)) | st.integers(0, len(image)))
    return bytes(image[:length])


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


def check(image: bytes, ram: int, state: BootState) -> None:
    """The state is one that a machine with so much RAM can take."""
    end = 0
    for piece in sorted(state.pieces, key=lambda p: p.gpa):
        assert len(piece.data) <= piece.size
        assert piece.gpa >= end, "overlap"
        end = piece.gpa + piece.size
        low = min(ram, LOW_RAM_END)
        high = HIGH_RAM_BASE + ram - low
        assert end <= low or HIGH_RAM_BASE <= piece.gpa < end <= high, "outside of RAM"
    assert any(p.gpa <= state.entry < p.end for p in state.pieces)
    reach = {Mode.REAL: MIB, Mode.PROTECTED: 1 << 32, Mode.LONG: 1 << 47}[state.mode]
    assert 0 <= state.entry < reach
    assert 0 <= state.rsp <= reach
    loaded = b"".join(bytes(p.data) for p in state.pieces if not p.name.startswith("the boot "))
    assert loaded in image or state.mode is not Mode.REAL


def boots(image: bytes, ram: int, **setting: int | Mode | None) -> None:
    """Boot it: a good state, or an error of one line."""
    told = ""
    try:
        check(image, ram, boot_image(image, ram, **setting))  # type: ignore[arg-type]
    except ImageError as error:
        told = str(error)
    assert "\n" not in told


settled = settings(deadline=None, max_examples=400)


@settled
@given(image=mutated(), ram=RAMS)
def test_a_mutated_elf_file(image: bytes, ram: int) -> None:
    boots(image, ram)


@settled
@given(image=plausible(), ram=RAMS)
def test_an_elf_file_with_segments_anywhere(image: bytes, ram: int) -> None:
    boots(image, ram)


@settled
@given(image=st.binary(max_size=600) | st.binary().map(lambda b: b"\x7fELF" + b), ram=RAMS)
def test_random_bytes(image: bytes, ram: int) -> None:
    boots(image, ram)


@settled
@given(
    image=st.binary(max_size=100) | st.sampled_from(list(VALID.values())),
    ram=RAMS,
    mode=st.none() | st.sampled_from(Mode),
    load_address=st.none() | st.integers(-10, 1 << 33) | sharp,
    entry=st.none() | st.integers(-10, 1 << 33) | sharp | st.integers(0x1000, 0x1100),
)
def test_any_setting(
    image: bytes, ram: int, mode: Mode | None, load_address: int | None, entry: int | None
) -> None:
    boots(image, ram, mode=mode, load_address=load_address, entry=entry)


def test_the_valid_files_boot() -> None:
    for image in VALID.values():
        check(image, MIB, boot_image(image, MIB))
