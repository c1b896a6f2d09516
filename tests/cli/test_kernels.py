"""`pykvm run` for kernels: their command line and what is loaded beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import HALT, MakeImage, Pykvm
from tests.unit.elf_builder import Elf, Load
from tests.unit.linux_builder import BzImage
from tests.unit.multiboot_builder import header

FAILURE = 125
MIB = 1 << 20

pytestmark = pytest.mark.needs()
protected = pytest.mark.needs("protected_mode")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with modules."""
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "two").write_bytes(b"22")
    (tmp_path / "with,comma").write_bytes(b"333")
    (tmp_path / "empty").touch()
    return tmp_path


def modules(out: bytes) -> list[tuple[str, str]]:
    """What the bundled Multiboot guest tells: each module's string and size."""
    lines = out.decode().splitlines()
    return [
        (line.removeprefix("module: "), size.split()[0])
        for line, size in zip(lines, [*lines[1:], ""], strict=True)
        if line.startswith("module: ")
    ]


@protected
def test_a_bundled_kernel_comes_with_its_own(pykvm_command: Pykvm) -> None:
    result = pykvm_command("run", "multiboot")
    assert result.status == 0
    assert b"\ncommand line: one two=2\n" in result.out
    assert modules(result.out) == [("the shortest guest", "1"), ("another one", "512")]


@protected
@pytest.mark.usefixtures("files")
def test_what_is_given_is_what_it_gets(pykvm_command: Pykvm) -> None:
    words = ["--append", "a  b", "--module", "two,x y,z", "--module", "with,,comma"]
    result = pykvm_command("run", "multiboot", *words, "--initrd", "one", "--module", "two,")
    assert result.status == 0
    assert b"\ncommand line: a  b\n" in result.out
    assert modules(result.out) == [*(("one", "1"), ("x y,z", "2"), ("with,comma", "3"), ("", "2"))]
    alone = pykvm_command("run", "multiboot", "--append", "", "--initrd", "with,comma")
    assert b"\ncommand line: \n" in alone.out
    assert modules(alone.out) == [("with,comma", "3")]


def kernel(**header_fields: int) -> bytes:
    return Elf(32, [Load(MIB, header(**header_fields) + b"\xf4")], MIB + 12).build()


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize(
    ("content", "words", "complaint"),
    [
        (kernel(), ["--initrd", "missing"], "missing: No such file or directory"),
        (kernel(), ["--module", "missing,x"], "missing: No such file or directory"),
        (kernel(), ["--module", "."], ".: Is a directory"),
        (kernel(), ["--module", ""], "a module's file name is empty"),
        (kernel(), ["--module", "empty"], "empty: the file is empty"),
        (kernel(), ["--mode", "long"], "entered in protected mode, not long mode"),
        (kernel(flags=8), [], "requires what is not known here (flags 0x8)"),
        (kernel(), ["-m", "1M"], "segment 0 at 0x100000-0x10000c is not inside"),
        (b"\xf4", ["--append", "x"], "a flat image: it knows no boot protocol"),
        (b"\xf4", ["--initrd", "one"], "it cannot be given modules"),
        (BzImage().build(), [], "the kernel needs 1024 KiB of free RAM at 0x1000000"),
        (BzImage().build(), ["--mode", "real"], "in protected or long mode, not real mode"),
        (BzImage().build(), ["-m", "64M", "--append", "x" * 3000], "has 3000 bytes; this kernel"),
    ],
)
def test_what_cannot_be_is_said(
    pykvm_command: Pykvm, image: MakeImage, content: bytes, words: list[str], complaint: str
) -> None:
    result = pykvm_command("run", image(content), *words)
    assert (result.status, result.out) == (FAILURE, b"")
    assert complaint in result.complaint


def test_an_empty_command_line_is_none(pykvm_command: Pykvm, image: MakeImage) -> None:
    assert pykvm_command("run", image(HALT), "--append", "").status == 0
