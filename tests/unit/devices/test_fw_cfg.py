"""fw_cfg by its specification: items, files, and the registers but for DMA."""

from __future__ import annotations

import pytest

from pykvm.devices import FwCfg
from pykvm.devices.fw_cfg_items import IRQ0_OVERRIDE, e820_file
from pykvm.errors import FwCfgError
from tests.unit.devices.fw_cfg_rig import DATA, DMA, SELECTOR, Rig

SIGNATURE, ID, RAM_SIZE, NB_CPUS, MAX_CPUS, FILE_DIR = 0x00, 0x01, 0x03, 0x05, 0x0F, 0x19
FILE_FIRST = 0x20
TEXT = b"0123456789"


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.fw_cfg.add_file("opt/text", TEXT)
    return rig


class TestItems:
    @pytest.mark.parametrize(
        ("key", "content"),
        [
            (SIGNATURE, b"QEMU"),
            (ID, b"\3\0\0\0"),  # traditional and DMA
            (RAM_SIZE, bytes.fromhex("0060452301000000")),
            (NB_CPUS, b"\2\0"),
            (MAX_CPUS, b"\5\0"),
        ],
    )
    def test_what_the_machine_is(self, rig: Rig, key: int, content: bytes) -> None:
        assert rig.item(key, len(content) + 2) == content + bytes(2)

    def test_the_signature_is_selected_at_first(self, rig: Rig) -> None:
        assert rig.read(4) == b"QEMU"

    def test_there_may_be_as_many_processors_as_there_are(self) -> None:
        rig = Rig()
        fw_cfg = FwCfg(rig.ram, ram=0, cpus=3)
        fw_cfg.select(MAX_CPUS)
        assert [fw_cfg.read_byte(), fw_cfg.read_byte()] == [3, 0]

    @pytest.mark.parametrize("key", [0x13, 0x21, 0x3FFF, 0x8002, 0xFFFF])
    def test_no_item_reads_zero(self, rig: Rig, key: int) -> None:
        assert rig.item(key, 3) == bytes(3)

    @pytest.mark.parametrize("key", [SIGNATURE, FILE_DIR, FILE_FIRST])
    def test_the_write_bit_of_a_key_makes_no_difference(self, rig: Rig, key: int) -> None:
        assert rig.item(key | 0x4000, 80) == rig.item(key, 80)

    def test_architecture_local_items_are_others(self, rig: Rig) -> None:
        rig.fw_cfg.add_item(IRQ0_OVERRIDE, b"\1\0\0\0")
        assert rig.item(0x8002, 4) == b"\1\0\0\0"
        assert rig.item(0x0002, 4) == bytes(4)

    @pytest.mark.parametrize("key", [-1, 0x19, 0x20, 0x3FFF, 0x4001, 0xC000, 0x10000, SIGNATURE])
    def test_keys_that_no_item_can_have(self, rig: Rig, key: int) -> None:
        with pytest.raises(FwCfgError, match=f"{key:#x}"):
            rig.fw_cfg.add_item(key, b"")


class TestFiles:
    def test_no_files(self) -> None:
        assert Rig().directory() == {}

    def test_the_directory_is_sorted_and_numbered_from_0x20(self, rig: Rig) -> None:
        for name, data in (("opt/zebra", b"z"), ("etc/empty", b""), ("opt/a", b"a" * 300)):
            rig.fw_cfg.add_file(name, data)
        directory = rig.directory()
        assert list(directory) == ["etc/empty", "opt/a", "opt/text", "opt/zebra"]
        assert list(directory.values()) == [(0x20, 0), (0x21, 300), (0x22, 10), (0x23, 1)]
        assert rig.item(0x22, 10) == TEXT

    def test_a_file_may_be_added_after_the_directory_was_read(self, rig: Rig) -> None:
        rig.directory()
        rig.fw_cfg.add_file("etc/first", b"1")
        assert rig.directory() == {"etc/first": (0x20, 1), "opt/text": (0x21, 10)}

    def test_the_longest_name(self, rig: Rig) -> None:
        name = "opt/" + "n" * 51
        rig.fw_cfg.add_file(name, b"")
        assert name in rig.directory()

    @pytest.mark.parametrize("name", ["", "opt/" + "n" * 52, "opt/ä", "opt/\0", "opt/a\n", "é"])
    def test_names_that_cannot_be(self, rig: Rig, name: str) -> None:
        with pytest.raises(FwCfgError, match="name"):
            rig.fw_cfg.add_file(name, b"")
        assert list(rig.directory()) == ["opt/text"]

    def test_a_name_is_given_once(self, rig: Rig) -> None:
        with pytest.raises(FwCfgError, match="'opt/text' is there already"):
            rig.fw_cfg.add_file("opt/text", b"other")
        assert rig.item(FILE_FIRST, 10) == TEXT

    def test_the_number_of_files_is_bounded_by_the_keys(self) -> None:
        rig = Rig()
        for i in range(0x4000 - 0x20):
            rig.fw_cfg.add_file(f"opt/{i:05}", b"")
        with pytest.raises(FwCfgError, match="there are 16352 already"):
            rig.fw_cfg.add_file("opt/more", b"")
        assert rig.item(FILE_DIR, 4) == (16352).to_bytes(4, "big")

    def test_the_size_is_bounded_by_the_directory(self, rig: Rig) -> None:
        class Huge(bytes):
            def __len__(self) -> int:
                return 1 << 32

        with pytest.raises(FwCfgError, match="4294967296 bytes"):
            rig.fw_cfg.add_file("opt/huge", Huge())

    def test_e820(self) -> None:
        packed = e820_file([(0, 1 << 20, 1), (1 << 32, 0x1000, 2)])
        assert packed.hex(" ", 4) == (
            "00000000 00000000 00001000 00000000 01000000 "
            "00000000 01000000 00100000 00000000 02000000"
        )


class TestPorts:
    def test_selecting_begins_from_the_first_byte_again(self, rig: Rig) -> None:
        assert rig.item(FILE_FIRST, 4) == b"0123"
        assert rig.read(4) == b"4567"
        assert rig.item(FILE_FIRST, 4) == b"0123"

    def test_zero_behind_the_end(self, rig: Rig) -> None:
        assert rig.item(FILE_FIRST, 13) == TEXT + bytes(3)

    def test_the_selector_takes_two_bytes_only(self, rig: Rig) -> None:
        rig.select(FILE_FIRST)
        rig.bus.write(SELECTOR, 1, 0)
        assert rig.read(1) == b"0"

    def test_the_selector_is_write_only(self, rig: Rig) -> None:
        rig.select(FILE_FIRST)
        assert rig.bus.read(SELECTOR, 1) == 0xFF
        assert rig.bus.read(SELECTOR, 2) == 0xFFFF
        assert rig.read(1) == b"0"

    def test_data_written_is_ignored(self, rig: Rig) -> None:
        rig.select(FILE_FIRST | 0x4000)
        rig.bus.write(DATA, 1, ord("x"))
        assert rig.read(10) == TEXT

    def test_the_data_port_is_one_byte_wide(self, rig: Rig) -> None:
        rig.select(FILE_FIRST)
        assert rig.bus.read(DATA, 2) == 0xFF30
        assert rig.read(1) == b"1"

    def test_the_dma_register_reads_the_signature(self, rig: Rig) -> None:
        halves = [rig.bus.read(DMA + i, 4).to_bytes(4, "little") for i in (0, 4)]
        assert halves == [b"QEMU", b" CFG"]
        assert bytes(rig.bus.read(DMA + i, 1) for i in range(8)) == b"QEMU CFG"
        assert rig.bus.read(DMA, 8).to_bytes(8, "little") == b"QEMU CFG"
