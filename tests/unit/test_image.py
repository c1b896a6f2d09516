"""Image files that can and cannot be read, and which kind of image a file is taken for."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pykvm.boot import boot_image, read_image
from pykvm.boot.e820 import ACPI, Range
from pykvm.boot.image import UNLOADED_MAX
from pykvm.boot.pieces import check_pieces
from pykvm.boot.state import Piece
from pykvm.errors import ImageError
from pykvm.layout import GIB, HIGH_RAM_BASE, KIB, LOW_RAM_END, MIB
from pykvm.x86 import Mode
from tests.unit.elf_builder import Elf, Load

RAM = MIB
SECTOR = b"\xf4" * 510 + b"\x55\xaa"
ELF32 = Elf(32, [Load(0x8000, b"\xf4")], 0x8000).build()
ELF64 = Elf(64, [Load(0x8000, b"\xf4")], 0x8000).build()


def refuse(path: str | Path, words: str) -> None:
    """Reading fails with one line that names the file and says `words`; nothing stays open."""
    process = psutil.Process()
    before = process.num_fds()
    with pytest.raises(ImageError, match=words) as caught:
        read_image(path, RAM)
    assert "\n" not in str(caught.value)
    assert Path(path).name.rstrip("\0") in str(caught.value)
    assert process.num_fds() == before


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "image"
    content = bytes(range(256)) * 600
    path.write_bytes(content)
    assert read_image(path, RAM) == content
    assert read_image(str(path), RAM) == content


def test_missing(tmp_path: Path) -> None:
    refuse(tmp_path / "nothing", "No such file or directory")
    refuse("", "No such file or directory")


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "image").touch()
    refuse(tmp_path / "image", "the file is empty")


def test_a_directory(tmp_path: Path) -> None:
    refuse(tmp_path, "Is a directory")


def test_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"x")
    refuse(tmp_path / "image" / "inner", "Not a directory")


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    refuse(tmp_path / "loop", "Too many levels of symbolic links")


def test_a_fifo_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    refuse(tmp_path / "pipe", "is not a regular file")


def test_a_device() -> None:
    refuse("/dev/zero", "is not a regular file")


def test_a_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        refuse(tmp_path / "socket", "No such device or address")


def test_a_name_that_no_file_can_have() -> None:
    refuse("image\0", "embedded null byte")


def test_a_name_that_is_too_long() -> None:
    refuse("x" * 300, "File name too long")


def test_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: object, **__: object) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    path = tmp_path / "image"
    path.write_bytes(b"x")
    monkeypatch.setattr(os, "open", forbid)
    refuse(path, "Permission denied")


def test_a_read_that_fails() -> None:
    refuse("/proc/self/mem", "Input/output error")  # nothing is mapped at 0


def test_too_large_a_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "image"
    path.touch()
    os.truncate(path, RAM + UNLOADED_MAX + 1)  # sparse
    refuse(path, f"{RAM + UNLOADED_MAX + 1} bytes are too large")
    os.truncate(path, 1 << 42)
    refuse(path, "too large")


def test_a_file_that_the_hosts_memory_cannot_hold(tmp_path: Path) -> None:
    """RAM may be larger than the host's, and so may a sparse file that would fit into it."""
    path = tmp_path / "image"
    path.touch()
    os.truncate(path, 8 * GIB)
    program = f"""
import resource
from pykvm.boot import read_image
from pykvm.errors import ImageError
resource.setrlimit(resource.RLIMIT_AS, ({GIB}, {GIB}))
try:
    read_image({str(path)!r}, {8 * GIB})
except ImageError as error:
    print(error)
"""
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert told.stdout == f"{path}: this host has not the memory to read it\n"


@pytest.mark.parametrize(
    ("image", "mode", "where"),
    [
        (b"\xf4", Mode.REAL, 0x1000),
        (SECTOR, Mode.REAL, 0x7C00),
        (ELF32, Mode.PROTECTED, 0x8000),
        (ELF64, Mode.LONG, 0x8000),
        (b"\x7fEL", Mode.REAL, 0x1000),
    ],
)
def test_an_image_is_taken_for_what_it_is(image: bytes, mode: Mode, where: int) -> None:
    state = boot_image(image, RAM)
    assert (state.mode, state.pieces[0].gpa) == (mode, where)


def test_an_elf_file_that_looks_like_a_boot_sector_is_an_elf_file() -> None:
    image = ELF64.ljust(510, b"\0") + b"\x55\xaa"
    assert boot_image(image, RAM).mode is Mode.LONG


def test_what_only_begins_like_an_elf_file_is_a_bad_elf_file() -> None:
    for mode in (None, *Mode):
        with pytest.raises(ImageError, match="ELF: the file is too short"):
            boot_image(b"\x7fELF", RAM, mode=mode)


@pytest.mark.parametrize(
    ("ram", "gpa", "size", "fits"),
    [
        (64 * KIB, 0, 64 * KIB, True),
        (64 * KIB, 1, 64 * KIB, False),
        (64 * KIB, -1, 1, False),
        (3 * GIB, LOW_RAM_END - 1, 1, True),
        (3 * GIB, LOW_RAM_END, 1, False),
        (3 * GIB, HIGH_RAM_BASE, 1, False),
        (4 * GIB, LOW_RAM_END - 1, 2, False),
        (4 * GIB, HIGH_RAM_BASE - 1, 2, False),
        (4 * GIB, LOW_RAM_END - 1, GIB + 2, False),
        (4 * GIB, HIGH_RAM_BASE, GIB, True),
        (4 * GIB, HIGH_RAM_BASE + 1, GIB, False),
        (4 * GIB, (1 << 64) - 1, 2, False),
    ],
)
def test_a_piece_must_be_in_ram(ram: int, gpa: int, size: int, fits: bool) -> None:
    pieces = (Piece(gpa, b"x", size, "it"),)
    if fits:
        check_pieces(pieces, ram)
        return
    with pytest.raises(ImageError, match=r"it at .* is not inside the guest's .* of RAM"):
        check_pieces(pieces, ram)


@pytest.mark.parametrize("spans", [[(0, 10), (9, 5)], [(9, 5), (0, 10)], [(0, 99), (9, 1), (8, 1)]])
def test_pieces_must_not_overlap(spans: list[tuple[int, int]]) -> None:
    pieces = tuple(Piece(gpa, b"", size, f"piece {gpa}") for gpa, size in spans)
    with pytest.raises(ImageError, match=r"piece \d at .* overlaps piece \d at"):
        check_pieces(pieces, RAM)


def test_pieces_must_not_lie_over_what_firmware_keeps() -> None:
    kept = [Range(100, 50, ACPI), Range(110, 5, ACPI), Range(1 << 40, 5, ACPI), Range(150, 5, ACPI)]
    check_pieces((Piece(90, b"", 10, "below"), Piece(155, b"", 1, "above")), RAM, kept)
    for gpa, size in ((99, 2), (100, 1), (120, 1), (149, 1), (154, 9), (0, 200)):
        with pytest.raises(ImageError, match=r"it at .* overlaps what|what firmware keeps .* it"):
            check_pieces((Piece(gpa, b"", size, "it"),), RAM, kept)


def test_pieces_may_touch() -> None:
    check_pieces((Piece(10, b"", 5, "b"), Piece(0, b"", 10, "a"), Piece(15, b"", 1, "c")), RAM)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a/kernel.bin", Mode.REAL),
        ("a/kernel.bin32", Mode.PROTECTED),
        ("a/kernel.bin64", Mode.LONG),
        ("bin64", Mode.REAL),
        ("", Mode.REAL),
    ],
)
def test_a_flat_image_is_entered_as_its_name_ends(name: str, mode: Mode) -> None:
    assert boot_image(b"\xf4", RAM, name=name).mode is mode
    assert boot_image(b"\xf4", RAM, name=name, mode=Mode.PROTECTED).mode is Mode.PROTECTED


def test_a_name_that_tells_the_mode_makes_no_boot_sector() -> None:
    sector = bytes(510) + b"\x55\xaa"
    assert boot_image(sector, RAM, name="disk.bin").rip == 0x7C00
    assert boot_image(sector, RAM, name="kernel.bin64").rip == 0x1000
