"""fw_cfg's DMA by its specification, and what hostile guests try with it."""

from __future__ import annotations

import os
import struct
import tracemalloc

import pytest

from pykvm.devices import FwCfg
from pykvm.memory import Gpa, GuestMemory
from tests.unit.devices.fw_cfg_rig import (
    DMA,
    ERROR,
    HIGH,
    HOLE,
    READ,
    SELECT,
    SKIP,
    WRITE,
    Rig,
)

SIGNATURE, FILE_DIR, FILE_FIRST = 0x00, 0x19, 0x20
BUFFER = 0x1000
TEXT = b"0123456789"


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.fw_cfg.add_file("opt/text", TEXT)
    return rig


class TestDma:
    def test_select_and_read(self, rig: Rig) -> None:
        assert rig.dma(FILE_FIRST << 16 | SELECT | READ, 10, BUFFER) == 0
        assert rig.bytes_at(BUFFER, 11) == TEXT + b"\0"

    def test_reading_goes_on_where_it_was_and_ports_go_on_from_there(self, rig: Rig) -> None:
        rig.select(FILE_FIRST)
        assert rig.read(2) == b"01"
        assert rig.dma(READ, 3, BUFFER) == 0
        assert rig.bytes_at(BUFFER, 3) == b"234"
        assert rig.read(2) == b"56"

    def test_behind_the_end_is_zero(self, rig: Rig) -> None:
        rig.fill(BUFFER, b"\xff" * 20)
        assert rig.dma(FILE_FIRST << 16 | SELECT | READ, 14, BUFFER) == 0
        assert rig.bytes_at(BUFFER, 16) == TEXT + bytes(4) + b"\xff\xff"

    def test_an_item_that_is_not_there_is_zero(self, rig: Rig) -> None:
        rig.fill(BUFFER, b"\xff" * 5)
        assert rig.dma(0x1234 << 16 | SELECT | READ, 4, BUFFER) == 0
        assert rig.bytes_at(BUFFER, 5) == bytes(4) + b"\xff"

    def test_skip(self, rig: Rig) -> None:
        assert rig.dma(FILE_FIRST << 16 | SELECT | SKIP, 4, 0) == 0
        assert rig.read(2) == b"45"
        assert rig.dma(SKIP, 0xFFFF_FFFF, 0) == 0
        assert rig.read(1) == b"\0"

    def test_select_alone(self, rig: Rig) -> None:
        assert rig.dma(FILE_FIRST << 16 | SELECT, 77, 0) == 0
        assert rig.read(10) == TEXT

    def test_an_index_counts_only_with_select(self, rig: Rig) -> None:
        rig.select(FILE_FIRST)
        assert rig.dma(SIGNATURE << 16 | READ, 3, BUFFER) == 0
        assert rig.bytes_at(BUFFER, 3) == b"012"

    def test_read_goes_before_write_and_both_before_skip(self, rig: Rig) -> None:
        rig.fw_cfg.add_file("opt/writable", b"....", on_write=lambda data: None)
        assert rig.dma(FILE_FIRST << 16 | SELECT | READ | WRITE | SKIP, 5, BUFFER) == 0
        assert rig.bytes_at(BUFFER, 5) == b"01234"
        rig.fill(BUFFER, b"new!")
        assert rig.dma((FILE_FIRST + 1) << 16 | SELECT | WRITE | SKIP, 2, BUFFER) == 0
        assert rig.item(FILE_FIRST + 1, 4) == b"ne.."

    def test_nothing_to_do_is_no_error(self, rig: Rig) -> None:
        assert rig.dma(0, 5, 0) == 0
        assert rig.dma(ERROR, 5, 0) == 0
        assert rig.dma(READ, 0, 1 << 63) == 0

    def test_a_high_descriptor_takes_two_writes(self, rig: Rig) -> None:
        rig.select(FILE_FIRST)
        assert rig.dma(READ, 3, HIGH + 64, descriptor=HIGH + 5) == 0
        assert rig.bytes_at(HIGH + 64, 3) == b"012"

    def test_the_high_half_is_zero_again_afterwards(self, rig: Rig) -> None:
        rig.select(FILE_FIRST)
        rig.dma(READ, 3, HIGH + 64, descriptor=HIGH)
        assert rig.dma(READ, 3, BUFFER, descriptor=0x40) == 0
        assert rig.bytes_at(BUFFER, 3) == b"345"

    def test_one_64_bit_write(self, rig: Rig) -> None:
        rig.fill(0x100, struct.pack(">IIQ", READ, 4, BUFFER))
        rig.bus.write(DMA, 4, 0xFFFF_FFFF)
        rig.bus.write(DMA, 8, int.from_bytes((0x100).to_bytes(8, "big"), "little"))
        assert rig.bytes_at(BUFFER, 4) == b"QEMU"
        assert rig.dma(READ, 1, BUFFER) == 0

    @pytest.mark.parametrize(("offset", "size"), [(4, 1), (4, 2), (6, 2), (7, 1), (2, 4), (6, 4)])
    def test_other_accesses_start_nothing(self, rig: Rig, offset: int, size: int) -> None:
        rig.fill(0, struct.pack(">IIQ", READ, 4, BUFFER) * 2)
        rig.bus.write(DMA + offset, size, 0)
        assert rig.bytes_at(BUFFER, 4) == bytes(4)


class TestDmaWrite:
    @pytest.fixture
    def written(self, rig: Rig) -> list[bytes]:
        written: list[bytes] = []
        rig.fw_cfg.add_file("opt/writable", b"....", on_write=written.append)
        rig.fill(BUFFER, b"abcdef")
        rig.select(FILE_FIRST + 1)
        return written

    def test_write(self, rig: Rig, written: list[bytes]) -> None:
        assert rig.dma(WRITE, 2, BUFFER) == 0
        assert rig.dma(WRITE, 2, BUFFER + 1) == 0
        assert written == [b"ab..", b"abbc"]
        assert rig.item(FILE_FIRST + 1, 4) == b"abbc"

    def test_what_does_not_fit_is_dropped_entirely(self, rig: Rig, written: list[bytes]) -> None:
        rig.dma(SKIP, 1, 0)
        assert rig.dma(WRITE, 4, BUFFER) == ERROR
        assert rig.dma(WRITE, 3, BUFFER) == 0
        assert written == [b".abc"]
        assert rig.dma(WRITE, 1, BUFFER) == ERROR

    @pytest.mark.parametrize("key", [SIGNATURE, FILE_DIR, FILE_FIRST, 0x1234, FILE_FIRST | 0x4000])
    def test_what_is_read_only_is_not_written(
        self, rig: Rig, written: list[bytes], key: int
    ) -> None:
        before = rig.item(key, 200)
        assert rig.dma(key << 16 | SELECT | WRITE, 1, BUFFER) == ERROR
        assert rig.item(key, 200) == before
        assert written == []

    def test_from_where_there_is_no_ram(self, rig: Rig, written: list[bytes]) -> None:
        assert rig.dma(WRITE, 2, HOLE[0] - 1) == ERROR
        assert written == []
        assert rig.read(4) == b"...."

    def test_from_the_descriptor_itself(self, rig: Rig, written: list[bytes]) -> None:
        assert rig.dma(WRITE, 4, 0x100) == 0
        assert written == [struct.pack(">I", WRITE)]


class TestHostileDma:
    @pytest.mark.parametrize(
        ("length", "buffer"),
        [
            (1, HOLE[0]),
            (2, HOLE[0] - 1),
            (2, HOLE[1] - 1),
            (HOLE[1] - HOLE[0] + 2, HOLE[0] - 1),  # over the whole hole
            (0xFFFF_FFFF, 0),
            (0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF),
            (1, 0xFFFF_FFFF_FFFF_FFFF),
            (0x1000, 0xFFFF_FFFF_FFFF_F001),  # wraps to 0
            (0xFFFF_FFFF, 1 << 32),
            (0x1001, HIGH),
        ],
    )
    def test_a_buffer_that_is_not_all_ram(self, rig: Rig, length: int, buffer: int) -> None:
        rig.select(FILE_FIRST)
        before = rig.ram.snapshot()
        assert rig.dma(READ, length, buffer) == ERROR
        rig.fill(0x100, bytes(16))
        assert rig.ram.snapshot() == before
        assert rig.read(1) == b"0"

    @pytest.mark.parametrize("start", [HOLE[0], 0x8000, 1 << 32, (1 << 64) - 1, (1 << 64) - 16])
    def test_a_descriptor_that_is_not_in_ram(self, rig: Rig, start: int) -> None:
        before = rig.ram.snapshot()
        rig.start(start)
        assert rig.ram.snapshot() == before

    def test_a_descriptor_of_which_only_the_control_field_is_ram(self, rig: Rig) -> None:
        rig.fill(HOLE[0] - 8, struct.pack(">II", READ, 4))
        rig.start(HOLE[0] - 8)
        assert rig.bytes_at(HOLE[0] - 8, 8) == struct.pack(">II", ERROR, 4)

    def test_a_descriptor_whose_control_field_is_not_ram(self, rig: Rig) -> None:
        rig.fill(HOLE[1], b"\xaa" * 12)
        rig.start(HOLE[1] - 4)
        assert rig.bytes_at(HOLE[1], 12) == b"\xaa" * 12

    @pytest.mark.parametrize("shift", range(-9, 17))
    def test_a_buffer_over_its_descriptor(self, rig: Rig, shift: int) -> None:
        """The descriptor was read before, the control field is written after."""
        rig.select(FILE_FIRST)
        rig.fill(0x0F0, b"\xaa" * 0x40)
        expected = bytearray(rig.bytes_at(0x0F0, 0x40))
        expected[0x10:0x20] = struct.pack(">IIQ", READ, 10, 0x100 + shift)
        expected[0x10 + shift : 0x1A + shift] = TEXT
        expected[0x10:0x14] = bytes(4)
        assert rig.dma(READ, 10, 0x100 + shift) == 0
        assert rig.bytes_at(0x0F0, 0x40) == expected

    def test_gigabytes_of_zeros_cost_the_host_no_memory(self) -> None:
        """Neither Python's nor the file's behind RAM: pages that were never touched stay away."""
        with GuestMemory(1 << 30) as memory:
            fw_cfg = FwCfg(memory, ram=memory.size)
            memory.write(Gpa(0x100), struct.pack(">IIQ", READ, memory.size - 0x1001, 0x1001))
            memory.write(Gpa(0x1000), b"\xff" * 0x10000)
            tracemalloc.start()
            fw_cfg.operate(0x100)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert peak < 1 << 20
            assert os.fstat(memory.fd).st_blocks * 512 < 1 << 20
            assert memory.read(Gpa(0x100), 4) == bytes(4)
            assert memory.read(Gpa(0x1000), 0x10000) == b"\xffQEMU" + bytes(0xFFFB)
