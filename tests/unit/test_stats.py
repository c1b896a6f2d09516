"""Adding up what processors and buses have counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("pykvm._shim", reason="the extension names the exits")

from pykvm.bus import MEMORY_SPACE, PORT_SPACE, UNCLAIMED_KEPT, Bus
from pykvm.cpu.kvm_parts import LoopedVcpu
from pykvm.cpu.protocol import Cpu
from pykvm.stats import Unclaimed, add, collect

IO, HLT, MMIO = 2, 5, 6  # KVM_EXIT_*


def cpu(exits: dict[int, int], ports: dict[int, int], inside_ns: int) -> Cpu:
    """A processor that has counted so much."""
    vcpu = LoopedVcpu()
    vcpu.loop = cast(
        "Any",
        SimpleNamespace(
            exits_by_reason=lambda: exits, exits_by_port=lambda: ports, inside_ns=inside_ns
        ),
    )
    return cast("Cpu", vcpu)


def buses() -> tuple[Bus, Bus]:
    return Bus("port", PORT_SPACE), Bus("MMIO", MEMORY_SPACE)


def test_processors_are_added_up_most_frequent_first() -> None:
    cpus = [
        cpu({IO: 5, HLT: 1}, {0x3F8: 4, 0xE9: 1}, 700),
        cpu({IO: 2, MMIO: 9}, {0xE9: 4}, 50),
    ]
    stats = collect(cpus, buses(), run_ns=1000)
    assert list(stats.exits.items()) == [
        ("KVM_EXIT_MMIO", 9),
        ("KVM_EXIT_IO", 7),
        ("KVM_EXIT_HLT", 1),
    ]
    assert stats.total_exits == 17
    assert list(stats.ports.items()) == [(0xE9, 5), (0x3F8, 4)]
    assert (stats.inside_ns, stats.outside_ns) == (750, 1250)  # of 1000 each


def test_times_that_were_not_taken_are_not_made_up() -> None:
    stats = collect([cpu({}, {}, 0)], buses(), run_ns=1000)
    assert (stats.inside_ns, stats.outside_ns) == (0, 0)
    assert (stats.total_exits, stats.ports) == (0, {})


def test_unclaimed_accesses_come_by_bus_and_address() -> None:
    ports, mmio = buses()
    ports.write_block(0x1234, 1, b"abc")
    ports.read(0x80, 4)
    mmio.write(0xE000_0000, 8, 0)
    stats = collect([], (ports, mmio), run_ns=0)
    assert stats.unclaimed == (
        Unclaimed("port", 0x80, False, 1),
        Unclaimed("port", 0x1234, True, 3),
        Unclaimed("MMIO", 0xE000_0000, True, 1),
    )


def test_unclaimed_accesses_beyond_the_list_are_counted() -> None:
    ports, mmio = buses()
    for i in range(UNCLAIMED_KEPT + 3):
        mmio.read(i * 8, 8)
    stats = collect([], (ports, mmio), run_ns=0)
    assert len(stats.unclaimed) == UNCLAIMED_KEPT
    assert stats.unclaimed_elsewhere == 3


def test_two_machines_are_added_up() -> None:
    ports, mmio = buses()
    ports.read(0x80, 1)
    first = collect([cpu({IO: 5, HLT: 1}, {0x3F8: 4}, 700)], (ports, mmio), run_ns=1000)
    ports.read(0x80, 1)
    mmio.write(0xE000_0000, 8, 0)
    second = collect([cpu({MMIO: 9, HLT: 1}, {0x3F8: 2, 0xE9: 7}, 50)], (ports, mmio), run_ns=100)
    both = add(first, second)
    assert list(both.exits.items()) == [
        ("KVM_EXIT_MMIO", 9),
        ("KVM_EXIT_IO", 5),
        ("KVM_EXIT_HLT", 2),
    ]
    assert list(both.ports.items()) == [(0xE9, 7), (0x3F8, 6)]
    assert (both.inside_ns, both.outside_ns) == (750, 350)
    assert both.unclaimed == (
        Unclaimed("port", 0x80, False, 3),
        Unclaimed("MMIO", 0xE000_0000, True, 1),
    )


def test_many_machines_do_not_make_the_list_grow() -> None:
    total = collect([], buses(), run_ns=0)
    for machine in range(3):
        ports, mmio = buses()
        for i in range(UNCLAIMED_KEPT // 2 + 1):
            mmio.read((machine * UNCLAIMED_KEPT + i) * 8, 8)
        total = add(total, collect([], (ports, mmio), run_ns=0))
    assert len(total.unclaimed) == UNCLAIMED_KEPT
    assert total.unclaimed_elsewhere == 3 + UNCLAIMED_KEPT // 2
