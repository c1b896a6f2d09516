"""Debug console, debug exit, POST port, port 0x92, A20 gate and PCI configuration ports."""

from __future__ import annotations

import pytest

from pykvm.devices import A20Gate, BufferSink, Debugcon, DebugExit, PciConfig, Port92, Post
from pykvm.devices.debug_exit import exit_status
from pykvm.devices.post import HISTORY_LENGTH
from tests.unit.devices.accelerated_guest import Guest

BOTH_WAYS = pytest.mark.parametrize("accelerated", [False, True])


@BOTH_WAYS
class TestDebugcon:
    def test_writes_go_to_the_sink_in_order(self, accelerated: bool) -> None:
        sink = BufferSink()
        guest = Guest(accelerated=accelerated)
        guest.bus.attach(0xE9, 1, Debugcon(sink))
        guest.out(0xE9, ord("a"))
        guest.outs(0xE9, b"bc")
        guest.out(0xE9, ord("d"))
        guest.flush()
        assert sink.data == b"abcd"

    def test_read_tells_that_it_is_there(self, accelerated: bool) -> None:
        guest = Guest(accelerated=accelerated)
        guest.bus.attach(0xE9, 1, Debugcon(BufferSink()))
        assert guest.inp(0xE9) == 0xE9

    def test_one_console_at_two_ports(self, accelerated: bool) -> None:
        sink = BufferSink()
        guest = Guest(accelerated=accelerated)
        console = Debugcon(sink)
        guest.bus.attach(0xE9, 1, console)
        guest.bus.attach(0x402, 1, console)
        for port, letter in ((0xE9, "x"), (0x402, "y"), (0xE9, "z")):
            guest.out(port, ord(letter))
        guest.flush()
        assert sink.data == b"xyz"
        assert guest.inp(0x402) == 0xE9


def test_debugcon_hints() -> None:
    guest = Guest(accelerated=True)
    guest.bus.attach(0xE9, 1, Debugcon(BufferSink()))
    assert guest.accelerator is not None
    assert guest.accelerator.posted == {(0xE9, 1)}
    assert guest.accelerator.answers == {(0xE9, 1): 0xE9}


class TestDebugExit:
    @pytest.mark.parametrize(("size", "value"), [(1, 0x10), (2, 0x1234), (4, 0xDEADBEEF)])
    def test_write_ends_the_machine(self, size: int, value: int) -> None:
        values: list[int] = []
        guest = Guest(accelerated=False)
        guest.bus.attach(0xF4, 4, DebugExit(values.append))
        guest.out(0xF4, value, size)
        assert values == [value]

    def test_only_the_first_element_of_a_string_counts(self) -> None:
        values: list[int] = []
        guest = Guest(accelerated=False)
        guest.bus.attach(0xF4, 4, DebugExit(values.append))
        guest.outs(0xF4, b"\x01\x02\x03\x04", size=2)
        assert values == [0x0201]

    @pytest.mark.parametrize("size", [1, 2, 4])
    def test_reads_zero_as_in_qemu(self, size: int) -> None:
        guest = Guest(accelerated=False)
        guest.bus.attach(0xF4, 4, DebugExit(lambda value: None))
        assert guest.inp(0xF4, size) == 0

    @pytest.mark.parametrize(
        ("value", "status"), [(0, 1), (0x10, 33), (0x7F, 255), (0x80, 1), (0xFFFFFFFF, 255)]
    )
    def test_exit_status_is_odd_and_eight_bits(self, value: int, status: int) -> None:
        assert exit_status(value) == status


@BOTH_WAYS
class TestPost:
    def test_last_code_reads_back(self, accelerated: bool) -> None:
        guest = Guest(accelerated=accelerated)
        post = Post()
        guest.bus.attach(0x80, 1, post)
        assert guest.inp(0x80) == 0
        for code in (0x11, 0x22):
            guest.out(0x80, code)
        assert guest.inp(0x80) == 0x22
        assert post.code == 0x22
        assert list(post.history) == [0x11, 0x22]

    def test_history_is_bounded(self, accelerated: bool) -> None:
        guest = Guest(accelerated=accelerated)
        post = Post()
        guest.bus.attach(0x80, 1, post)
        codes = [i & 0xFF for i in range(1000)]
        for code in codes[:500]:
            guest.out(0x80, code)
        guest.outs(0x80, bytes(codes[500:]))
        assert list(post.history) == codes[-HISTORY_LENGTH:]
        assert guest.inp(0x80) == codes[-1]


class TestA20AndPort92:
    def test_a20_is_open_at_the_start_and_bit_1_moves_it(self) -> None:
        changes: list[bool] = []
        gate = A20Gate(changes.append)
        port = Port92(a20=gate, on_reset=lambda: None)
        assert port.read(0, 1) == 0x02
        port.write(0, 1, 0x00)
        port.write(0, 1, 0x00)
        port.write(0, 1, 0x02)
        assert changes == [False, True]

    def test_reads_the_gate_whoever_moved_it(self) -> None:
        gate = A20Gate()
        port = Port92(a20=gate, on_reset=lambda: None)
        port.write(0, 1, 0x02)
        gate.set(False)
        assert port.read(0, 1) == 0x00

    def test_reset_is_on_the_rising_edge_of_bit_0(self) -> None:
        resets: list[None] = []
        port = Port92(on_reset=lambda: resets.append(None))
        edges = []
        for value in (0x02, 0x03, 0x03, 0x02, 0x01, 0x00):
            before = len(resets)
            port.write(0, 1, value)
            edges.append(len(resets) - before)
        assert edges == [0, 1, 0, 0, 1, 0]

    def test_a20_moves_before_the_reset_is_told(self) -> None:
        gate = A20Gate()
        seen: list[bool] = []
        Port92(a20=gate, on_reset=lambda: seen.append(gate.enabled)).write(0, 1, 0x01)
        assert seen == [False]

    def test_other_bits_keep_what_is_written(self) -> None:
        port = Port92(on_reset=lambda: None)
        port.write(0, 1, 0xFC)
        assert port.read(0, 1) == 0xFC


class TestPciConfig:
    @pytest.fixture
    def guest(self) -> Guest:
        guest = Guest(accelerated=False)
        guest.bus.attach(0xCF8, 8, PciConfig())
        return guest

    def test_address_reads_back(self, guest: Guest) -> None:
        assert guest.inp(0xCF8, 4) == 0
        guest.out(0xCF8, 0x80000000, 4)
        assert guest.inp(0xCF8, 4) == 0x80000000

    def test_reserved_address_bits_read_zero(self, guest: Guest) -> None:
        guest.out(0xCF8, 0xFFFFFFFF, 4)
        assert guest.inp(0xCF8, 4) == 0x80FFFFFC

    @pytest.mark.parametrize(("offset", "size"), [(0, 1), (1, 1), (3, 1), (0, 2), (2, 2)])
    def test_narrow_accesses_miss_the_address(self, guest: Guest, offset: int, size: int) -> None:
        guest.out(0xCF8, 0x80001234, 4)
        guest.out(0xCF8 + offset, 0, size)
        assert guest.inp(0xCF8 + offset, size) == (1 << 8 * size) - 1
        assert guest.inp(0xCF8, 4) == 0x80001234

    @pytest.mark.parametrize(("offset", "size"), [(4, 4), (4, 2), (6, 2), (5, 1), (7, 1), (5, 2)])
    def test_data_is_all_ones(self, guest: Guest, offset: int, size: int) -> None:
        guest.out(0xCF8, 0x80000000, 4)
        guest.out(0xCF8 + offset, 0, size)
        assert guest.inp(0xCF8 + offset, size) == (1 << 8 * size) - 1
        assert guest.inp(0xCF8, 4) == 0x80000000
