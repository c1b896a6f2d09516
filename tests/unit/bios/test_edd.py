"""INT 13h by block number: the disk address packet, well-formed and not."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from pykvm.layout import MIB
from pykvm.memory import Gpa
from tests.unit.bios.rig import Result, Rig, make_disk

Make = Callable[..., Rig]
PACKET = 0x5000
BUFFER = 0x1_0000
SECTORS = 300


@pytest.fixture
def disk(make_rig: Make, tmp_path: Path) -> Rig:
    return make_rig(make_disk(tmp_path, SECTORS))


def transfer(
    rig: Rig,
    function: int,
    lba: int,
    count: int = 1,
    buffer: tuple[int, int] = (BUFFER >> 4, 0),
    *,
    size: int = 16,
    flat: int = 0,
) -> Result:
    segment, offset = buffer
    packet = struct.pack("<BBHHHQQ", size, 0, count, offset, segment, lba, flat)
    rig.memory.write(Gpa(PACKET), packet)
    return rig.call(0x13, ax=function << 8, dx=0x80, ds=PACKET >> 4)


def blocks_in_packet(rig: Rig) -> int:
    return rig.memory.read_uint(Gpa(PACKET + 2), 2)


def filled(*lbas: int) -> bytes:
    return b"".join(lba.to_bytes(2, "little") * 256 for lba in lbas)


def test_there_are_extensions(disk: Rig) -> None:
    result = disk.call(0x13, ax=0x4100, bx=0x55AA, dx=0x80)
    assert (result.carry, result.r.ah, result.r.bx, result.r.cx) == (False, 0x30, 0xAA55, 5)
    result = disk.call(0x13, ax=0x4100, bx=0x55AB, dx=0x80)
    assert (result.carry, result.r.ah) == (True, 0x01)


@pytest.mark.parametrize(("lba", "count"), [(0, 1), (1, 127), (SECTORS - 2, 2), (SECTORS - 1, 1)])
def test_read(disk: Rig, lba: int, count: int) -> None:
    result = transfer(disk, 0x42, lba, count)
    assert (result.carry, result.r.ah, blocks_in_packet(disk)) == (False, 0, count)
    assert disk.memory.read(Gpa(BUFFER), count * 512) == filled(*range(lba, lba + count))


def test_write_and_verify(disk: Rig, tmp_path: Path) -> None:
    disk.memory.write(Gpa(BUFFER), b"w" * 1024)
    assert not transfer(disk, 0x43, 5, 2).carry
    content = (tmp_path / "disk.img").read_bytes()
    assert content[4 * 512 : 8 * 512] == filled(4) + b"w" * 1024 + filled(7)
    before = disk.memory.read(Gpa(BUFFER), 4096)
    assert not transfer(disk, 0x44, 0, 2).carry
    assert disk.memory.read(Gpa(BUFFER), 4096) == before


@pytest.mark.parametrize("function", [0x42, 0x43, 0x44])
@pytest.mark.parametrize(
    ("lba", "count", "status"),
    [
        (SECTORS, 1, 0x04),
        (SECTORS - 1, 2, 0x04),
        (0xFFFF_FFFF, 1, 0x04),
        (0xFFFF_FFFF_FFFF_FFFF, 1, 0x04),
        (1 << 55, 1, 0x04),
        (0, 128, 0x01),
        (0, 255, 0x01),
        (0, 0xFFFF, 0x01),
    ],
)
def test_what_the_disk_has_not(disk: Rig, function: int, lba: int, count: int, status: int) -> None:
    before = disk.memory.read(Gpa(BUFFER), 2048)
    result = transfer(disk, function, lba, count)
    assert (result.carry, result.r.ah, blocks_in_packet(disk)) == (True, status, 0)
    assert disk.memory.read(Gpa(BUFFER), 2048) == before


@pytest.mark.parametrize("function", [0x42, 0x43, 0x44])
def test_no_blocks_are_no_error(disk: Rig, function: int) -> None:
    result = transfer(disk, function, SECTORS + 5, 0)
    assert (result.carry, result.r.ah) == (False, 0)


@pytest.mark.parametrize(
    ("buffer", "count", "good"),
    [
        ((0x1000, 0xFE00), 1, True),
        ((0x1000, 0xFE01), 1, True),  # 1FE0:0001
        ((0x1000, 0x0001), 127, True),
        ((0xFFFF, 0x0000), 1, True),
        ((0xFFFF, 0xFFF0), 1, True),
        ((0xFFFF, 0xFFF0), 9, False),  # leaves RAM
    ],
)
def test_buffers(
    make_rig: Make, tmp_path: Path, buffer: tuple[int, int], count: int, good: bool
) -> None:
    rig = make_rig(make_disk(tmp_path, SECTORS), ram=MIB + 0x11000)
    result = transfer(rig, 0x42, 3, count, buffer)
    assert result.carry is not good
    if good:
        address = (buffer[0] << 4) + buffer[1]
        assert rig.memory.read(Gpa(address), 512) == filled(3)
    else:
        assert (result.r.ah, blocks_in_packet(rig)) == (0x09, 0)


@pytest.mark.parametrize(
    ("flat", "status"),
    [
        (BUFFER, 0),
        (2 * MIB - 512, 0),
        (2 * MIB - 511, 0x09),
        (1 << 63, 0x09),
        ((1 << 64) - 512, 0x09),
    ],
)
def test_flat_addresses(disk: Rig, flat: int, status: int) -> None:
    result = transfer(disk, 0x42, 3, 1, (0xFFFF, 0xFFFF), size=24, flat=flat)
    assert (result.carry, result.r.ah) == (bool(status), status)
    if not status:
        assert disk.memory.read(Gpa(flat), 512) == filled(3)


def test_a_flat_address_needs_a_packet_that_has_one(disk: Rig) -> None:
    result = transfer(disk, 0x42, 3, 1, (0xFFFF, 0xFFFF), size=16, flat=BUFFER)
    assert (result.carry, result.r.ah) == (True, 0x01)


@pytest.mark.parametrize("size", [0, 1, 15])
@pytest.mark.parametrize("function", [0x42, 0x43, 0x44, 0x47])
def test_a_packet_that_is_too_short(disk: Rig, function: int, size: int) -> None:
    result = transfer(disk, function, 3, size=size)
    assert (result.carry, result.r.ah, blocks_in_packet(disk)) == (True, 0x01, 1)


@pytest.mark.parametrize(("ds", "si"), [(0x5000, 0xFFF1), (0x5000, 0xFFFF), (0xFFFF, 0xFFF1)])
@pytest.mark.parametrize("function", [0x42, 0x43, 0x44, 0x47, 0x48])
def test_a_packet_beyond_its_segment_s_end(disk: Rig, function: int, ds: int, si: int) -> None:
    result = disk.call(0x13, ax=function << 8, dx=0x80, ds=ds, si=si)
    assert (result.carry, result.r.ah) == (True, 0x01)


def test_a_packet_may_end_with_its_segment(disk: Rig) -> None:
    packet = struct.pack("<BBHHHQ", 16, 0, 1, 0, BUFFER >> 4, 9)
    disk.memory.write(Gpa(0x5_FFF0), packet)
    assert not disk.call(0x13, ax=0x4200, dx=0x80, ds=0x5000, si=0xFFF0).carry
    assert disk.memory.read(Gpa(BUFFER), 512) == filled(9)


def test_seek(disk: Rig) -> None:
    assert not transfer(disk, 0x47, SECTORS - 1).carry
    result = transfer(disk, 0x47, SECTORS)
    assert (result.carry, result.r.ah) == (True, 0x04)


@pytest.mark.parametrize(
    ("room", "filled_in"), [(0, 0), (25, 0), (26, 26), (29, 26), (30, 30), (66, 30), (0xFFFF, 30)]
)
def test_parameters(disk: Rig, room: int, filled_in: int) -> None:
    before = room.to_bytes(2, "little") + b"?" * 70
    disk.memory.write(Gpa(PACKET), before)
    result = disk.call(0x13, ax=0x4800, dx=0x80, ds=PACKET >> 4)
    after = disk.memory.read(Gpa(PACKET), 72)
    assert after[filled_in:] == before[filled_in:]
    assert (result.carry, result.r.ah) == ((False, 0) if filled_in else (True, 0x01))
    if filled_in:
        fields = struct.unpack("<HHIIIQH", after[:26])
        assert fields == (filled_in, 2, 1, 16, 63, SECTORS, 512)
    if filled_in == 30:
        assert after[26:30] == b"\xff" * 4
