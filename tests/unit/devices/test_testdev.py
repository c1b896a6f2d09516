"""The test device's four parts."""

from __future__ import annotations

import pytest

from pykvm.bus import MEMORY_SPACE, PORT_SPACE, Bus
from pykvm.devices.testdev import LinePorts, PageFlush, ScratchMemory, ScratchPort
from pykvm.errors import GuestMemoryError
from pykvm.irq import IrqLine
from pykvm.memory import Gpa

MEMORY = 0xFF00_0000


class TestScratchPort:
    @pytest.fixture
    def bus(self) -> Bus:
        bus = Bus("port", PORT_SPACE)
        bus.attach(0xE0, 4, ScratchPort())
        return bus

    @pytest.mark.parametrize("size", [1, 2, 4])
    def test_reads_back(self, bus: Bus, size: int) -> None:
        value = 0x89ABCDEF >> 32 - 8 * size
        bus.write(0xE0, size, value)
        assert bus.read(0xE0, size) == value

    def test_bytes_are_kept_apart(self, bus: Bus) -> None:
        bus.write(0xE0, 4, 0x44332211)
        bus.write(0xE1, 1, 0xAA)
        bus.write(0xE2, 2, 0xCCBB)
        assert bus.read(0xE0, 4) == 0xCCBBAA11
        assert [bus.read(0xE0 + i, 1) for i in range(4)] == [0x11, 0xAA, 0xBB, 0xCC]
        assert bus.read(0xE1, 2) == 0xBBAA

    def test_strings_go_to_one_port(self, bus: Bus) -> None:
        bus.write_block(0xE0, 2, b"abcdef")
        assert bus.read_block(0xE0, 2, 3) == b"efefef"


class TestPageFlush:
    def test_flushes_the_page_of_an_address(self) -> None:
        pages: list[Gpa] = []
        PageFlush(pages.append).write(0, 4, 0xFEDCBA98)
        assert pages == [0xFEDCB000]

    @pytest.mark.parametrize(("offset", "size"), [(0, 1), (0, 2), (2, 2)])
    def test_takes_32_bits_only(self, offset: int, size: int) -> None:
        pages: list[Gpa] = []
        PageFlush(pages.append).write(offset, size, 0x1000)
        assert pages == []

    def test_what_is_not_ram_is_ignored(self) -> None:
        def flush(page: Gpa) -> None:
            raise GuestMemoryError(f"{page:#x} is not inside guest RAM")

        PageFlush(flush).write(0, 4, 0xE0000000)


class TestLinePorts:
    def test_each_port_drives_its_line(self) -> None:
        lines: dict[int, IrqLine] = {}
        changes: list[tuple[int, bool]] = []

        def line(number: int) -> IrqLine:
            return lines.setdefault(number, IrqLine(lambda level: changes.append((number, level))))

        bus = Bus("port", PORT_SPACE)
        bus.attach(0x2000, 24, LinePorts(line))
        assert sorted(lines) == list(range(24))
        for port, value in ((0x200E, 1), (0x2000, 0x80), (0x200E, 0), (0x2017, 1), (0x2017, 2)):
            bus.write(port, 1, value)
        assert changes == [(14, True), (0, True), (14, False), (23, True)]


class TestScratchMemory:
    @pytest.fixture
    def bus(self) -> Bus:
        bus = Bus("MMIO", MEMORY_SPACE)
        bus.attach(MEMORY, 0x10000, ScratchMemory())
        return bus

    @pytest.mark.parametrize("size", [1, 2, 4, 8])
    @pytest.mark.parametrize("offset", [0, 1, 0xFFF8])
    def test_reads_back(self, bus: Bus, offset: int, size: int) -> None:
        value = 0x8877665544332211 >> 64 - 8 * size
        bus.write(MEMORY + offset, size, value)
        assert bus.read(MEMORY + offset, size) == value
        if size == 8:
            assert [bus.read(MEMORY + offset + i, 1) for i in range(8)] == list(
                range(0x11, 0x99, 0x11)
            )

    def test_ends_with_its_last_byte(self, bus: Bus) -> None:
        bus.write(MEMORY + 0xFFFE, 4, 0x44332211)
        assert bus.read(MEMORY + 0xFFFE, 4) == 0xFFFF2211
