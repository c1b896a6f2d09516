"""INT 13h by cylinder, head and sector."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pykvm.bios import bda as field
from pykvm.layout import MIB
from pykvm.memory import Gpa
from tests.unit.bios.rig import Rig, make_disk

Make = Callable[..., Rig]
BUFFER = 0x1_0000
SECTORS = 16 * 63 * 20
"""20 cylinders of the smallest hard-disk geometry."""


@pytest.fixture
def disk(make_rig: Make, tmp_path: Path) -> Rig:
    """A rig with one hard disk."""
    return make_rig(make_disk(tmp_path, SECTORS))


def chs(lba: int) -> dict[str, int]:
    """CX and the high byte of DX, for 16 heads and 63 sectors; drive 0x80."""
    track, sector = divmod(lba, 63)
    cylinder, head = divmod(track, 16)
    return {
        "cx": (cylinder & 0xFF) << 8 | (cylinder >> 2 & 0xC0) | (sector + 1),
        "dx": head << 8 | 0x80,
    }


def filled(lba: int) -> bytes:
    return (lba & 0xFFFF).to_bytes(2, "little") * 256


@pytest.mark.parametrize("lba", [0, 1, 62, 63, 1007, 1008, SECTORS - 1])
def test_read_one_sector(disk: Rig, lba: int) -> None:
    result = disk.call(0x13, ax=0x0201, es=BUFFER >> 4, bx=8, **chs(lba))
    assert (result.carry, result.r.ax) == (False, 0x0001)
    assert disk.memory.read(Gpa(BUFFER + 8), 512) == filled(lba)
    assert disk.memory.read(Gpa(BUFFER), 8) == bytes(8)
    assert disk.memory.read(Gpa(BUFFER + 520), 8) == bytes(8)


def test_read_across_tracks(disk: Rig) -> None:
    result = disk.call(0x13, ax=0x0280, es=BUFFER >> 4, **chs(1000))
    assert (result.carry, result.r.ax) == (False, 0x0080)
    assert disk.memory.read(Gpa(BUFFER), 0x10000) == b"".join(map(filled, range(1000, 1128)))


def test_write_and_read_back(disk: Rig, tmp_path: Path) -> None:
    disk.memory.write(Gpa(BUFFER), b"w" * 1024)
    result = disk.call(0x13, ax=0x0302, es=BUFFER >> 4, **chs(7))
    assert (result.carry, result.r.ax) == (False, 0x0002)
    content = (tmp_path / "disk.img").read_bytes()
    assert content[6 * 512 : 10 * 512] == filled(6) + b"w" * 1024 + filled(9)
    assert len(content) == SECTORS * 512


def test_verify_moves_nothing(disk: Rig) -> None:
    before = disk.memory.read(Gpa(BUFFER), 2048)
    result = disk.call(0x13, ax=0x04FF, es=BUFFER >> 4, bx=0xFFFF, **chs(7))
    assert (result.carry, result.r.ax) == (False, 0x00FF)
    assert disk.memory.read(Gpa(BUFFER), 2048) == before


@pytest.mark.parametrize("function", [0x02, 0x03, 0x04])
@pytest.mark.parametrize(
    ("count", "cx", "dh", "status"),
    [
        (0, 0x0001, 0, 0x01),  # nothing to do
        (1, 0x0000, 0, 0x01),  # sector 0
        (1, 0x0001, 16, 0x01),  # head 16
        (1, 0x1401, 0, 0x01),  # cylinder 20
        (1, 0x00C1, 0, 0x01),  # cylinder 768
        (2, 0x133F, 15, 0x04),  # from the last sector on
    ],
)
def test_what_the_disk_has_not(  # noqa: PLR0917 - what is called, and what comes back
    disk: Rig, function: int, count: int, cx: int, dh: int, status: int
) -> None:
    before = disk.memory.read(Gpa(BUFFER), 2048)
    result = disk.call(0x13, ax=function << 8 | count, es=BUFFER >> 4, cx=cx, dx=dh << 8 | 0x80)
    assert (result.carry, result.r.ah, result.r.al) == (True, status, 0)
    assert disk.memory.read(Gpa(BUFFER), 2048) == before


@pytest.mark.parametrize("function", [0x02, 0x03])
@pytest.mark.parametrize(
    ("count", "es", "bx", "good"),
    [
        (128, 0x1000, 0x0000, True),
        (128, 0x1000, 0x0010, True),  # ES:BX is 1001:0000 as well
        (128, 0x1000, 0x0001, False),
        (127, 0x1000, 0x000F, True),
        (129, 0x1000, 0x0000, False),
        (255, 0x1000, 0x0000, False),
        (1, 0x1000, 0xFE00, True),
        (1, 0x1000, 0xFFFF, True),
        (1, 0xFFFF, 0x0010, True),  # 1 MiB: with the A20 gate open
        (16, 0xFFFF, 0xFFFF, False),  # here RAM has ended
    ],
)
def test_buffers(  # noqa: PLR0917 - what is called, and what comes back
    make_rig: Make, tmp_path: Path, function: int, count: int, es: int, bx: int, good: bool
) -> None:
    rig = make_rig(make_disk(tmp_path, 300), ram=MIB + 0x11000)
    result = rig.call(0x13, ax=function << 8 | count, es=es, bx=bx, cx=0x0001, dx=0x0080)
    assert result.carry is not good
    assert result.r.ax == (count if good else 0x0900)


def test_writing_a_read_only_disk(make_rig: Make, tmp_path: Path) -> None:
    rig = make_rig(make_disk(tmp_path, 9, readonly=True))
    result = rig.call(0x13, ax=0x0301, es=BUFFER >> 4, **chs(0))
    assert (result.carry, result.r.ax) == (True, 0x0300)
    assert not rig.call(0x13, ax=0x0201, es=BUFFER >> 4, **chs(0)).carry


@pytest.mark.parametrize(("function", "status"), [(0x02, 0x04), (0x03, 0xCC), (0x04, 0x04)])
def test_the_host_s_errors_become_the_disk_s(
    disk: Rig, monkeypatch: pytest.MonkeyPatch, function: int, status: int
) -> None:
    def fail(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "preadv", fail)
    monkeypatch.setattr(os, "pwrite", fail)
    result = disk.call(0x13, ax=function << 8 | 1, es=BUFFER >> 4, **chs(0))
    assert (result.carry, result.r.ax) == (True, status << 8)


def test_the_last_status_is_kept_by_kind_of_drive(disk: Rig) -> None:
    disk.call(0x13, ax=0x0201, cx=0, dx=0x80)
    assert disk.bda.byte(field.DISK_STATUS) == 0x01
    result = disk.call(0x13, ax=0x0100, dx=0x80)
    assert (result.carry, result.r.ah) == (True, 0x01)
    assert not disk.call(0x13, ax=0x0100, dx=0x00).carry
    assert not disk.call(0x13, ax=0x0000, dx=0x80).carry
    result = disk.call(0x13, ax=0x0100, dx=0x80)
    assert (result.carry, result.r.ah) == (False, 0x00)


@pytest.mark.parametrize("function", [0x00, 0x09, 0x0D, 0x10, 0x11, 0x14, 0x16])
def test_what_an_image_has_always_done(disk: Rig, function: int) -> None:
    result = disk.call(0x13, ax=function << 8, dx=0x80)
    assert (result.carry, result.r.ah) == (False, 0)


@pytest.mark.parametrize("drive", [0x00, 0x01, 0x81, 0xFF])
@pytest.mark.parametrize("function", [0x00, 0x02, 0x03, 0x04, 0x08, 0x0C, 0x10, 0x41, 0x42, 0x48])
def test_drives_that_are_not_there(disk: Rig, drive: int, function: int) -> None:
    result = disk.call(0x13, ax=function << 8 | 1, bx=0x55AA, cx=1, dx=drive, ds=0x5000)
    assert (result.carry, result.r.ah) == (True, 0x01)


@pytest.mark.parametrize("function", [0x05, 0x17, 0x18, 0x45, 0x4B, 0x80, 0xFF])
def test_functions_that_are_not_there(disk: Rig, function: int) -> None:
    result = disk.call(0x13, ax=function << 8, dx=0x80)
    assert (result.carry, result.r.ah) == (True, 0x01)


def test_seek(disk: Rig) -> None:
    assert not disk.call(0x13, ax=0x0C00, **chs(SECTORS - 1)).carry
    assert disk.call(0x13, ax=0x0C00, cx=0x1401, dx=0x80).carry


def test_parameters_of_a_hard_disk(make_rig: Make, tmp_path: Path) -> None:
    rig = make_rig(make_disk(tmp_path, SECTORS), make_disk(tmp_path, 3, name="second"))
    r = rig.call(0x13, ax=0x0800, dx=0x80, es=0x1234).r
    assert (r.ah, r.cx, r.dx) == (0, 0x133F, 0x0F02)
    assert not r.es_changed
    assert rig.bda.byte(field.DISK_COUNT) == 2


def test_parameters_beyond_256_cylinders(make_rig: Make, tmp_path: Path) -> None:
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(1000 * 16 * 63 * 512)
    from pykvm.bios import Disk

    rig = make_rig(Disk(path))
    assert rig.call(0x13, ax=0x0800, dx=0x80).r.cx == 999 % 256 << 8 | 999 >> 8 << 6 | 63
    r = rig.call(0x13, ax=0x0201, es=BUFFER >> 4, cx=0xE7FF, dx=0x0F80)
    assert not r.carry


def test_parameters_and_type_of_a_floppy(make_rig: Make, tmp_path: Path) -> None:
    rig = make_rig(make_disk(tmp_path, 2880), make_disk(tmp_path, 3, name="second"))
    r = rig.call(0x13, ax=0x0800, dx=0).r
    assert (r.ah, r.bl, r.cx, r.dx) == (0, 4, 0x4F12, 0x0101)
    table = Gpa(r.es.base + r.di)
    assert rig.memory.read(table, 11) == bytes.fromhex("df 02 25 02 12 1b ff 6c f6 0f 08")
    result = rig.call(0x13, ax=0x1500, dx=0)
    assert (result.carry, result.r.ah) == (False, 1)
    assert rig.call(0x11).r.ax & 0xC1 == 0x01
    r = rig.call(0x13, ax=0x0201, es=BUFFER >> 4, cx=0x4F12, dx=0x0100).r
    assert r.ax == 0x0001
    assert rig.memory.read(Gpa(BUFFER), 512) == filled(2879)
    for function in (0x41, 0x42, 0x48):
        result = rig.call(0x13, ax=function << 8, bx=0x55AA, dx=0)
        assert (result.carry, result.r.ah) == (True, 0x01)


def test_type_of_a_hard_disk(disk: Rig) -> None:
    result = disk.call(0x13, ax=0x1500, dx=0x80)
    assert (result.carry, result.r.ah) == (False, 3)
    assert (result.r.cx, result.r.dx) == (0, SECTORS)
    result = disk.call(0x13, ax=0x1500, dx=0x81)
    assert (result.carry, result.r.ah) == (False, 0)
