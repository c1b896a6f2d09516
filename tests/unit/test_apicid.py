"""Each processor's number in CPUID."""

from __future__ import annotations

import pytest

pytest.importorskip("pykvm._shim", reason="leaves are its structs")

from pykvm.cpu.apicid import number_cpuid
from pykvm.kvm.cpuid import CpuidEntry, to_entries, to_table

HTT = 1 << 28


def numbered(entry: CpuidEntry, index: int, count: int) -> CpuidEntry:
    table = to_table([CpuidEntry(0, eax=0x1F), entry])
    number_cpuid(table, index, count)
    other, changed = to_entries(table)
    assert other == CpuidEntry(0, eax=0x1F)
    return changed


@pytest.mark.parametrize(("index", "count"), [(0, 1), (0, 2), (3, 4), (254, 255)])
def test_leaf_1_has_the_id_and_the_count(index: int, count: int) -> None:
    leaf = numbered(CpuidEntry(1, ebx=0xFFFF_1234, edx=0xFFFF_FFFF), index, count)
    assert leaf.ebx == index << 24 | count << 16 | 0x1234
    assert leaf.edx == 0xFFFF_FFFF & ~(0 if count > 1 else HTT)
    assert bool(numbered(CpuidEntry(1), index, count).edx & HTT) == (count > 1)


@pytest.mark.parametrize("function", [0xB, 0x1F])
def test_the_topology_is_one_package_of_single_threaded_cores(function: int) -> None:
    threads = numbered(CpuidEntry(function, 0), 4, 5)
    cores = numbered(CpuidEntry(function, 1), 4, 5)
    assert (threads.eax, threads.ebx, threads.ecx, threads.edx) == (0, 1, 0x100, 4)
    assert (cores.eax, cores.ebx, cores.ecx, cores.edx) == (3, 5, 0x201, 4)
