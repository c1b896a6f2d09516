"""Names from an executable's symbol table, and files that have none to give."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pykvm.debug.symbols import LONGEST_NAME, Symbol, Symbols, read_symbols, require_symbols
from pykvm.errors import SymbolError
from tests.unit.elf_builder import Elf, Load, Section

pytest.importorskip("elftools")

NOTYPE, OBJECT, FUNC, SECTION, FILE = 0, 1, 2, 3, 4
LOCAL, GLOBAL, WEAK = 0, 1, 2
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_DYNSYM = 1, 2, 3, 11
TEXT, DATA, ABSOLUTE = 1, 2, 0xFFF1
ALLOC = 2

Entry = tuple[str, int, int, int, int, int]
"""Name, value, size, type, binding, section."""

USUAL: list[Entry] = [
    ("", 0x1000, 0, SECTION, LOCAL, TEXT),
    ("main.c", 0, 0, FILE, LOCAL, ABSOLUTE),
    ("start", 0x1000, 0, NOTYPE, LOCAL, TEXT),
    ("loop", 0x1008, 0, NOTYPE, LOCAL, TEXT),
    ("main", 0x1010, 0x20, FUNC, GLOBAL, TEXT),
    ("inner", 0x1018, 0, NOTYPE, LOCAL, TEXT),
    ("end_of_text", 0x1080, 0, NOTYPE, GLOBAL, TEXT),
    ("table", 0x2010, 0x10, OBJECT, LOCAL, DATA),
    ("COM1", 0x3F8, 0, NOTYPE, LOCAL, ABSOLUTE),
    ("elsewhere", 0, 0, NOTYPE, GLOBAL, 0),
]


def build(entries: list[Entry], bits: int = 64, kind: int = SHT_SYMTAB, **header: int) -> bytes:
    """An executable with .text at 0x1000, .data at 0x2000 and these symbols."""
    names, table = bytearray(1), bytearray({32: 16, 64: 24}[bits])
    for name, value, size, type, binding, section in entries:
        at = len(names) if name else 0
        names += name.encode() + b"\0"
        info = binding << 4 | type
        table += (
            struct.pack("<IIIBBH", at, value, size, info, 0, section)
            if bits == 32
            else struct.pack("<IBBHQQ", at, info, 0, section, value, size)
        )
    sections = [
        Section(0),
        Section(SHT_PROGBITS, fields={"sh_addr": 0x1000, "sh_size": 0x80, "sh_flags": ALLOC}),
        Section(SHT_PROGBITS, fields={"sh_addr": 0x2000, "sh_size": 0x80, "sh_flags": ALLOC}),
        Section(kind, bytes(table), {"sh_link": 4, "sh_entsize": {32: 16, 64: 24}[bits]}),
        Section(SHT_STRTAB, bytes(names)),
        Section(SHT_STRTAB, b"\0"),
    ]
    return Elf(bits, [Load(0x1000, b"\xf4")], 0x1000, sections=sections, header=header).build()


def put(folder: Path, content: bytes) -> Path:
    path = folder / "guest.elf"
    path.write_bytes(content)
    return path


@pytest.fixture(params=[32, 64])
def usual(request: pytest.FixtureRequest, tmp_path: Path) -> Symbols:
    symbols = read_symbols(put(tmp_path, build(USUAL, request.param)))
    assert symbols is not None
    return symbols


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (0xFFF, None),
        (0x1000, "start"),
        (0x1007, "start+0x7"),
        (0x1008, "loop"),
        (0x100F, "loop+0x7"),
        (0x1010, "main"),
        (0x1022, "main+0x12"),  # `inner` is a label in it
        (0x102F, "main+0x1f"),
        (0x107F, "inner+0x67"),
        (0x1080, None),
        (0x2000, None),  # `end_of_text` is before it, but in another section
        (0x2010, "table"),
        (0x201F, "table+0xf"),
        (0x2020, None),
        (0x3F8, None),
        (1 << 64, None),
    ],
)
def test_names_of_addresses(usual: Symbols, address: int, name: str | None) -> None:
    assert usual.name(address) == name


def test_addresses_of_names(usual: Symbols) -> None:
    assert usual.address("main") == 0x1010
    assert usual.address("COM1") == 0x3F8
    assert usual.address("end_of_text") == 0x1080
    assert usual.address("elsewhere") is None
    assert usual.address("main.c") is None
    assert usual.address("") is None


def test_of_several_names_the_most_public_is_told(tmp_path: Path) -> None:
    entries: list[Entry] = [
        ("global_label", 0x1000, 0, NOTYPE, GLOBAL, TEXT),
        ("exported", 0x1000, 8, FUNC, GLOBAL, TEXT),
        ("weak", 0x1000, 8, FUNC, WEAK, TEXT),
        ("local", 0x1000, 8, FUNC, LOCAL, TEXT),
        ("twice", 0x1010, 8, FUNC, GLOBAL, TEXT),
        ("twice", 0x1020, 8, FUNC, LOCAL, TEXT),
    ]
    symbols = require_symbols(put(tmp_path, build(entries)))
    assert symbols.name(0x1001) == "exported+0x1"
    assert symbols.address("twice") == 0x1010


def test_the_innermost_of_nested_symbols_is_told() -> None:
    symbols = Symbols(
        [Symbol("outer", 0x10, 0x40), Symbol("first", 0x18, 8), Symbol("second", 0x28, 8)],
        {0: (0, 0x100)},
    )
    told = [symbols.name(address) for address in (0x17, 0x18, 0x20, 0x2F, 0x30, 0x4F, 0x50)]
    assert told == [
        "outer+0x7",
        "first",
        "outer+0x10",
        "second+0x7",
        "outer+0x20",
        "outer+0x3f",
        None,
    ]


def test_dynamic_symbols_serve_where_there_are_no_others(tmp_path: Path) -> None:
    symbols = require_symbols(put(tmp_path, build(USUAL, kind=SHT_DYNSYM)))
    assert symbols.name(0x1011) == "main+0x1"


def test_names_that_no_terminal_should_see_are_left_out(tmp_path: Path) -> None:
    entries: list[Entry] = [
        ("\x1b[2J", 0x1000, 4, FUNC, GLOBAL, TEXT),
        ("x" * (LONGEST_NAME + 1), 0x1010, 4, FUNC, GLOBAL, TEXT),
        ("y" * LONGEST_NAME, 0x1020, 4, FUNC, GLOBAL, TEXT),
        ("größe", 0x1030, 4, FUNC, GLOBAL, TEXT),
    ]
    symbols = require_symbols(put(tmp_path, build(entries)))
    assert symbols.name(0x1000) is None
    assert symbols.name(0x1010) is None
    assert symbols.name(0x1020) == "y" * LONGEST_NAME
    assert symbols.name(0x1031) == "größe+0x1"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is not an ELF file"),
        (b"\x7fEL", "is not an ELF file"),
        (b"\xf4" * 100, "is not an ELF file"),
        (b"\x7fELF", "damaged"),
        (build(USUAL)[:70], "damaged"),
        (build(USUAL, e_shoff=1 << 40), "damaged"),
        (build(USUAL, e_shentsize=1), "damaged"),
        (build(USUAL, e_shnum=0xFEFF), "damaged"),
        (build(USUAL, e_shnum=4), "damaged"),  # the table's names are in the fifth
        (build(USUAL, e_type=1), "is not a linked x86 file"),
        (build([]), "has no symbols"),
        (Elf(64, [Load(0x1000, b"\xf4")], 0x1000).build(), "has no symbols"),
    ],
)
def test_files_without_symbols(tmp_path: Path, content: bytes, words: str) -> None:
    path = put(tmp_path, content)
    assert read_symbols(path) is None
    with pytest.raises(SymbolError, match=words) as caught:
        require_symbols(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_what_is_no_file(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, tmp_path / "missing", "a\0b"):
        assert read_symbols(path) is None


def test_without_pyelftools_there_are_no_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path, build(USUAL))
    for module in [name for name in sys.modules if name.startswith("elftools")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "elftools", None)
    assert read_symbols(path) is None
    with pytest.raises(SymbolError, match=r"pip install 'pykvm-vmm\[symbols\]'"):
        require_symbols(path)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    bits=st.sampled_from([32, 64]),
    damage=st.lists(
        st.tuples(st.integers(min_value=4), st.binary(min_size=1, max_size=8)), max_size=6
    ),
    cut=st.none() | st.integers(min_value=4),
)
def test_damaged_files_give_symbols_or_one_line(
    tmp_path: Path, bits: int, damage: list[tuple[int, bytes]], cut: int | None
) -> None:
    content = bytearray(build(USUAL, bits))
    for place, data in damage:
        at = place % len(content)
        content[at : at + len(data)] = data
    path = put(tmp_path, bytes(content if cut is None else content[: cut % len(content)]))
    try:
        symbols = require_symbols(path)
    except SymbolError as error:
        assert len(str(error).splitlines()) == 1
    else:
        for address in (0x1000, 0x1022, 0x2010):
            symbols.name(address)
