"""Disk images and the drives made of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pykvm.bios import Disk, assign_drives
from pykvm.bios.geometry import Geometry, floppy_format, hard_disk_geometry
from pykvm.errors import DiskError
from tests.unit.bios.rig import make_disk


def test_sectors_are_read_and_written(tmp_path: Path) -> None:
    with make_disk(tmp_path, 9) as disk:
        assert disk.sectors == 9
        target = bytearray(1024)
        disk.read(7, memoryview(target))
        assert target == b"\7\0" * 256 + b"\x08\0" * 256
        disk.write(1, memoryview(b"x" * 512))
        disk.read(0, memoryview(target))
        assert target == bytes(512) + b"x" * 512
        # nothing is cached: another reader sees it
        assert (tmp_path / "disk.img").read_bytes()[512:1024] == b"x" * 512


@pytest.mark.parametrize(
    ("lba", "length"), [(9, 512), (8, 1024), (-1, 512), (0, 511), (1 << 60, 512)]
)
def test_what_is_not_on_the_disk_is_refused(tmp_path: Path, lba: int, length: int) -> None:
    with make_disk(tmp_path, 9) as disk:
        with pytest.raises(OSError, match="Invalid argument"):
            disk.read(lba, memoryview(bytearray(length)))
        with pytest.raises(OSError, match="Invalid argument"):
            disk.write(lba, memoryview(bytes(length)))
        assert (tmp_path / "disk.img").stat().st_size == 9 * 512


def test_a_file_that_ends_within_a_sector_is_padded(tmp_path: Path) -> None:
    path = tmp_path / "odd.img"
    path.write_bytes(b"a" * 700)
    with Disk(path) as disk:
        assert disk.sectors == 2
        target = bytearray(b"?" * 1024)
        disk.read(0, memoryview(target))
        assert target == b"a" * 700 + bytes(324)
        disk.write(0, memoryview(b"b" * 512))
        assert path.stat().st_size == 700
        disk.write(1, memoryview(b"c" * 512))
        assert path.read_bytes() == b"b" * 512 + b"c" * 512
        disk.read(1, memoryview(target)[:512])
        assert target[:512] == b"c" * 512


def test_read_only(tmp_path: Path) -> None:
    make_disk(tmp_path, 2).close()
    with Disk(tmp_path / "disk.img", readonly=True) as disk:
        disk.read(0, memoryview(bytearray(512)))
        with pytest.raises(OSError, match="Read-only"):
            disk.write(0, memoryview(bytes(512)))


def test_a_file_that_shrinks_is_an_error(tmp_path: Path) -> None:
    with make_disk(tmp_path, 4) as disk:
        os.truncate(tmp_path / "disk.img", 512)
        with pytest.raises(OSError, match="Input/output error"):
            disk.read(0, memoryview(bytearray(1024)))


def test_closing_twice(tmp_path: Path) -> None:
    disk = make_disk(tmp_path, 1)
    before = len(os.listdir("/proc/self/fd"))
    disk.close()
    disk.close()
    assert len(os.listdir("/proc/self/fd")) == before - 1


def test_what_is_no_image_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    os.mkfifo(tmp_path / "pipe")
    before = len(os.listdir("/proc/self/fd"))
    for name, words in (
        ("missing", "No such file"),
        ("", "Is a directory"),
        ("empty", "it is empty"),
        ("pipe", "pipe: is not a regular file"),
        ("nul\0", "null"),
    ):
        with pytest.raises(DiskError, match=words) as error:
            Disk(f"{tmp_path}/{name}")
        assert "\n" not in str(error.value)
        with pytest.raises(DiskError):
            Disk(f"{tmp_path}/{name}", readonly=True)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_cannot_be_written_hints_at_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DiskError, match=r"Permission denied: .*read-only"):
        Disk(tmp_path / "disk.img")
    with pytest.raises(DiskError, match=r"Permission denied$"):
        Disk(tmp_path / "disk.img", readonly=True)


@pytest.mark.parametrize(
    ("kib", "geometry", "kind"),
    [
        (160, (40, 1, 8), 1),
        (360, (40, 2, 9), 1),
        (720, (80, 2, 9), 3),
        (1200, (80, 2, 15), 2),
        (1440, (80, 2, 18), 4),
        (2880, (80, 2, 36), 6),
    ],
)
def test_floppies(kib: int, geometry: tuple[int, int, int], kind: int) -> None:
    found = floppy_format(kib * 1024)
    assert found is not None
    assert (tuple(found.geometry), found.drive_type) == (geometry, kind)
    assert found.geometry.total * 512 == kib * 1024
    assert floppy_format(kib * 1024 + 512) is None


@pytest.mark.parametrize(
    ("sectors", "geometry"),
    [
        (1, (1, 16, 63)),
        (16 * 63 * 20 + 5, (20, 16, 63)),
        (1024 * 16 * 63, (1024, 16, 63)),
        (1024 * 16 * 63 + 1, (512, 32, 63)),
        (1024 * 128 * 63, (1024, 128, 63)),
        (1024 * 128 * 63 + 1, (514, 255, 63)),
        (1 << 32, (1024, 255, 63)),
    ],
)
def test_hard_disks_by_size(sectors: int, geometry: tuple[int, int, int]) -> None:
    assert hard_disk_geometry(sectors, bytes(512)) == geometry


def partition_table(*entries: tuple[int, int, int, int, int]) -> bytes:
    """Status, type, last head, last sector byte, count."""
    table = b"".join(
        bytes((status, 0, 0, 0, kind, head, sector, 0)) + bytes(4) + count.to_bytes(4, "little")
        for status, kind, head, sector, count in entries
    )
    return bytes(446) + table.ljust(64, b"\0") + b"\x55\xaa"


@pytest.mark.parametrize(
    ("entries", "geometry"),
    [
        ([(0x80, 6, 3, 0xC0 | 17, 100)], Geometry(147, 4, 17)),
        ([(0, 0, 0, 0, 0), (0x80, 6, 254, 63, 100)], Geometry(1, 255, 63)),
        ([(0x80, 6, 0, 17, 100)], Geometry(9, 16, 63)),  # no head to go by
        ([(0x80, 6, 3, 0xC0, 100)], Geometry(9, 16, 63)),  # sector 0
        ([(0x80, 6, 255, 17, 100)], Geometry(9, 16, 63)),
        ([(0x80, 6, 3, 17, 100), (0x13, 1, 1, 1, 1)], Geometry(9, 16, 63)),  # it is code
    ],
)
def test_hard_disks_by_partition_table(
    entries: list[tuple[int, int, int, int, int]], geometry: Geometry
) -> None:
    sector = partition_table(*entries)
    assert hard_disk_geometry(10000, sector) == geometry
    assert hard_disk_geometry(10000, sector[:510] + b"\0\0") == Geometry(9, 16, 63)


def test_drive_numbers(tmp_path: Path) -> None:
    floppy = make_disk(tmp_path, 2880, name="a")
    disks = [floppy, make_disk(tmp_path, 2880, name="b"), make_disk(tmp_path, 5, name="c")]
    drives = assign_drives(disks)
    assert {n: d.disk for n, d in drives.items()} == dict(
        zip((0x00, 0x80, 0x81), disks, strict=True)
    )
    assert drives[0].floppy is not None
    assert drives[0x80].floppy is None
    assert list(assign_drives(disks[2:])) == [0x80]
    assert assign_drives([]) == {}
    with pytest.raises(DiskError, match="17 disks"):
        assign_drives([floppy] * 17)
    for disk in disks:
        disk.close()
