"""Firmware images: where they go, how they are entered, and what is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pykvm.boot.firmware_image import boot_firmware, read_firmware, read_seabios
from pykvm.boot.pieces import check_pieces
from pykvm.errors import ImageError
from pykvm.layout import GIB, IDENTITY_MAP_ADDRESS, KIB, MIB, TSS_ADDRESS

RESET_CODE = b"\xea\x5b\xe0\x00\xf0" + bytes(11)


def image(size: int) -> bytes:
    """Each page is filled with its number; code at the end."""
    pages = b"".join(n.to_bytes(2, "little") * 2048 for n in range(size // 4096))
    return pages[:-16] + RESET_CODE


@pytest.mark.parametrize("size", [64 * KIB, 128 * KIB, 192 * KIB, 256 * KIB])
def test_it_ends_at_4_gib_and_once_more_at_1_mib(size: int) -> None:
    data = image(size)
    firmware = boot_firmware(data)
    assert (firmware.data, firmware.gpa) == (data, 4 * GIB - size)
    assert firmware.gpa >= TSS_ADDRESS + 3 * 4096 > IDENTITY_MAP_ADDRESS
    (alias,) = firmware.state.pieces
    assert bytes(alias.data) == data
    assert (alias.gpa, alias.end, alias.size) == (MIB - size, MIB, size)
    check_pieces(firmware.state.pieces, MIB)


def test_the_state_is_that_of_reset() -> None:
    state = boot_firmware(image(128 * KIB)).state
    assert state.entry == 0xFFFF_FFF0
    assert (state.cs.selector, state.cs.base, state.cs.limit) == (0xF000, 0xFFFF_0000, 0xFFFF)
    assert (state.rip, state.rflags, state.cr0) == (0xFFF0, 2, 0x6000_0010)
    assert (state.data.base, state.ss.base, state.rsp) == (0, 0, 0)
    assert (state.idt.base, state.idt.limit, state.gdt.limit) == (0, 0xFFFF, 0xFFFF)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (image(60 * KIB), "61440 bytes"),
        (image(128 * KIB)[1:], "131071 bytes"),
        (image(260 * KIB), "more than 262144 bytes"),
        (bytes(128 * KIB), "reset vector"),
        (b"\xff" * 128 * KIB, "reset vector"),
    ],
)
def test_what_is_no_image(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(ImageError, match=f"^the thing: .*{words}"):
        boot_firmware(data, name="the thing")
    path = tmp_path / "bios.bin"
    path.write_bytes(data)
    with pytest.raises(ImageError, match=f"^{path}: .*{words}"):
        read_firmware(path)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, words in (("pipe", "regular file"), ("", "directory"), ("missing", "No such file")):
        with pytest.raises(ImageError, match=words):
            read_firmware(f"{tmp_path}/{name}")
    with pytest.raises(ImageError, match="null"):
        read_firmware(f"{tmp_path}/a\0b")


def test_seabios_is_found_or_what_to_install_is_said(tmp_path: Path) -> None:
    places = [str(tmp_path / "missing.bin"), str(tmp_path / "bios.bin")]
    with pytest.raises(ImageError, match="apt-get install seabios"):
        read_seabios(places)
    (tmp_path / "bios.bin").write_bytes(image(128 * KIB))
    assert read_seabios(places) == image(128 * KIB)
