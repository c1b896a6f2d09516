"""The architecture's bits against the kernel's header, as the compiler sees it."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from pykvm.x86 import (
    CODE_TYPE,
    DATA_TYPE,
    Bits,
    Cr0,
    Cr4,
    Efer,
    Mode,
    Rflags,
    Segment,
    flat_code,
    flat_data,
    is_unmaskable,
    real_segment,
)

COMPILER = os.environ.get("CC", "gcc")
HEADER = "asm/processor-flags.h"


def preprocess(*arguments: str, text: str) -> str:
    """What the compiler's preprocessor makes of `text` with the header included."""
    command = [*COMPILER.split(), "-E", "-P", "-include", HEADER, *arguments, "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture(scope="module")
def header() -> dict[str, int]:
    """Every bit that the header defines, by its name without the prefix X86_."""
    if shutil.which(COMPILER.split()[0]) is None:
        pytest.skip(f"no compiler {COMPILER!r}")
    defined = [line.split()[1] for line in preprocess("-dM", text="").splitlines()]
    names = [
        name
        for name in defined
        if name.startswith(("X86_CR0_", "X86_CR4_", "X86_EFLAGS_")) and f"{name}_BIT" in defined
    ]
    expanded = preprocess(text="".join(f"{name}\n" for name in names)).splitlines()
    # ((1UL) << (31)) and the like
    values = (eval(line.replace("UL", "")) for line in expanded)
    return {name.removeprefix("X86_"): value for name, value in zip(names, values, strict=True)}


def bits(register: type[Bits]) -> dict[str, int]:
    """All named bits of a register."""
    return {name: value for name, value in vars(register).items() if isinstance(value, int)}


@pytest.mark.parametrize(("register", "prefix"), [(Cr0, "CR0"), (Cr4, "CR4"), (Rflags, "EFLAGS")])
def test_each_bit_is_the_kernels(header: dict[str, int], register: type[Bits], prefix: str) -> None:
    ours = bits(register)
    assert ours == {name: header.get(f"{prefix}_{name}") for name in ours}
    assert len(ours) >= 11


def test_all_of_cr0_is_named(header: dict[str, int]) -> None:
    assert {f"CR0_{name}" for name in bits(Cr0)} == {n for n in header if n.startswith("CR0_")}


def test_efer() -> None:
    """Userspace has no header for it: SDM vol. 3A, 2.2.1 and figure 2-4."""
    places = {name: bit.bit_length() - 1 for name, bit in bits(Efer).items()}
    assert places == {"SCE": 0, "LME": 8, "LMA": 10, "NX": 11}


def test_names_are_those_of_the_bits_that_are_set() -> None:
    assert Cr0.names(0) == []
    assert Cr0.names(1 << 31 | 1 << 29 | 1 << 28 | 1) == ["PE", "NW", "PG"]
    assert Rflags.names((1 << 64) - 1) == list(bits(Rflags))


def test_modes_have_their_operand_size() -> None:
    assert [mode.bits for mode in (Mode.REAL, Mode.PROTECTED, Mode.LONG)] == [16, 32, 64]


# the descriptors that every protected-mode tutorial types by hand
@pytest.mark.parametrize(
    ("segment", "descriptor"),
    [
        (flat_code(8, Mode.PROTECTED), 0x00CF_9B00_0000_FFFF),
        (flat_code(8, Mode.LONG), 0x00AF_9B00_0000_FFFF),
        (flat_data(16), 0x00CF_9300_0000_FFFF),
        (Segment(base=0x1234_5678, limit=0xABCDE, type=9, s=0, dpl=3), 0x120A_E934_5678_BCDE),
    ],
)
def test_known_descriptors(segment: Segment, descriptor: int) -> None:
    assert segment.descriptor() == descriptor


@pytest.mark.parametrize(("selector", "base"), [(0, 0), (0x1000, 0x1_0000), (0xFFFF, 0xF_FFF0)])
def test_real_mode_segments_begin_at_sixteen_times_their_selector(selector: int, base: int) -> None:
    for code in (False, True):
        segment = real_segment(selector, code=code)
        assert (segment.selector, segment.base, segment.limit) == (selector, base, 0xFFFF)
        assert segment.type == (CODE_TYPE if code else DATA_TYPE)
        assert (segment.g, segment.db, segment.l, segment.dpl, segment.present) == (0, 0, 0, 0, 1)


@pytest.mark.parametrize("mode", range(8))
@pytest.mark.parametrize("masked", [False, True])
def test_only_smi_nmi_and_init_are_unmaskable(mode: int, masked: bool) -> None:
    entry = 0xFF << 56 | masked << 16 | 1 << 15 | mode << 8 | 0x55
    assert is_unmaskable(entry) is (mode in (2, 4, 5) and not masked)
