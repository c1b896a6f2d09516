"""The model: what users may write, and what comes of it in CPUID."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.cpu.features import NOT_CHOSEN, all_bits, features_in
from pykvm.cpu.model import HOST, CpuModel, cpuid_for, parse_cpu
from pykvm.errors import CpuModelError
from tests.unit.cpu.cpuid_tables import ALL, Table, by_leaf, supported

TABLES = {name: supported(entries) for name, entries in ALL.items()}
X2APIC, TSC_DEADLINE, HYPERVISOR = 1 << 21, 1 << 24, 1 << 31


def made(name: str, model: str = "host", *, lapic: bool = True, count: int = 1) -> Table:
    return by_leaf(cpuid_for(TABLES[name], 0, count, lapic=lapic, model=parse_cpu(model)))


def test_parsing() -> None:
    assert parse_cpu("host") is HOST
    assert parse_cpu("host,+avx2,-sse4_2,-x2apic") == CpuModel(
        (("avx2", True), ("sse4_2", False), ("x2apic", False))
    )
    assert parse_cpu(" host , -avx2 ") == CpuModel((("avx2", False),))


def test_the_later_word_counts() -> None:
    assert parse_cpu("host,+avx,-avx2,-avx") == CpuModel((("avx", False), ("avx2", False)))


choosable = sorted(set(all_bits()) - set(NOT_CHOSEN))


@given(st.dictionaries(st.sampled_from(choosable), st.booleans(), max_size=8))
def test_a_model_reads_as_it_was_written(features: dict[str, bool]) -> None:
    model = CpuModel(tuple(features.items()))
    assert parse_cpu(str(model)) == model


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "cpu model '': the only one is host, as in host,-avx2"),
        ("qemu64", "cpu model 'qemu64': the only one is host, as in host,-avx2"),
        ("-avx2", "cpu model '-avx2': the only one is host, as in host,-avx2"),
        ("host,avx2", "cpu feature 'avx2': put + or - in front of it"),
        ("host,", "cpu feature '': put + or - in front of it"),
        (
            "host,+sse4.2",
            "cpu feature 'sse4.2': there is none of that name: did you mean sse4_2?",
        ),
        (
            "host,-warp_drive",
            "cpu feature 'warp_drive': there is none of that name: see the flags in /proc/cpuinfo",
        ),
        ("host,-", "cpu feature '': there is none of that name: see the flags in /proc/cpuinfo"),
        (
            "host,-apic",
            "cpu feature 'apic' cannot be chosen: "
            "KVM has it follow IA32_APIC_BASE, which the guest writes",
        ),
        (
            "host,+ospke",
            "cpu feature 'ospke' cannot be chosen: KVM has it follow the guest's CR4",
        ),
        ("host,-ht", "cpu feature 'ht' cannot be chosen: it follows the number of processors"),
    ],
)
def test_what_is_no_model(text: str, message: str) -> None:
    with pytest.raises(CpuModelError) as caught:
        parse_cpu(text)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ALL)
def test_the_local_apic_s_features(name: str) -> None:
    with_it, without = made(name)[1, 0].ecx, made(name, lapic=False)[1, 0].ecx
    assert with_it & (X2APIC | TSC_DEADLINE) == X2APIC | TSC_DEADLINE
    assert without & (X2APIC | TSC_DEADLINE) == 0
    assert with_it ^ without == X2APIC | TSC_DEADLINE
    assert with_it & HYPERVISOR


def test_a_local_apic_without_tsc_deadline_mode() -> None:
    """As a kernel says that gives the bit in none of its answers."""
    table = by_leaf(cpuid_for(TABLES["amd"], 0, 1, lapic=True, tsc_deadline=False))
    assert table[1, 0].ecx & (X2APIC | TSC_DEADLINE) == X2APIC


@pytest.mark.parametrize(("lapic", "features"), [(True, 0x01007EFB), (False, 0x0100122B)])
def test_kvm_s_own_leaves(lapic: bool, features: int) -> None:
    """Bits 4, 6, 7, 10, 11, 13 and 14 of the features want an APIC; the signature stays."""
    table = made("intel", lapic=lapic)
    signature = table[0x40000000, 0]
    registers = (signature.ebx, signature.ecx, signature.edx)
    assert b"".join(r.to_bytes(4, "little") for r in registers) == b"KVMKVMKVM\0\0\0"
    assert signature.eax == 0x40000001
    assert table[0x40000001, 0].eax == features


def test_a_feature_is_taken_away() -> None:
    before, after = made("intel"), made("intel", "host,-avx2,-sse4_2,-hypervisor")
    assert before[7, 0].ebx ^ after[7, 0].ebx == 1 << 5
    assert before[1, 0].ecx ^ after[1, 0].ecx == 1 << 20 | HYPERVISOR
    changed = {key for key, entry in before.items() if after[key] != entry}
    assert changed == {(7, 0), (1, 0)}


def test_amd_s_duplicates_go_with_it() -> None:
    """APM vol. 3, E.4.2: bits of leaf 0x80000001 EDX that equal those of leaf 1."""
    before, after = made("amd"), made("amd", "host,-mmx,-sse2")
    assert before[1, 0].edx ^ after[1, 0].edx == 1 << 23 | 1 << 26
    assert before[0x80000001, 0].edx ^ after[0x80000001, 0].edx == 1 << 23


def test_a_name_for_either_vendor_s_bit() -> None:
    """IBRS and IBPB are one bit of Intel's and two of AMD's."""
    intel, amd = made("intel", "host,-ibrs"), made("amd", "host,-ibrs,+ibpb")
    assert made("intel")[7, 0].edx ^ intel[7, 0].edx == 1 << 26
    assert made("amd")[0x80000008, 0].ebx ^ amd[0x80000008, 0].ebx == 1 << 14


def test_what_is_built_on_it_stays() -> None:
    before, after = made("intel"), made("intel", "host,-sse2")
    assert "avx" in features_in(cpuid_for(TABLES["intel"], 0, 1, lapic=True))
    assert {key for key in before if after[key] != before[key]} == {(1, 0)}


def test_a_feature_that_is_there_may_be_asked_for() -> None:
    assert made("intel", "host,+avx2,+x2apic,+ibrs") == made("intel")


@pytest.mark.parametrize(
    ("model", "lapic", "message"),
    [
        (
            "host,+3dnow",
            True,
            "cpu feature '3dnow': this host's KVM does not offer it to guests",
        ),
        ("host,+svm", True, "cpu feature 'svm': this host's KVM does not offer it to guests"),
        (
            "host,+x2apic",
            False,
            "cpu feature 'x2apic' needs KVM's local APIC, and this machine has none",
        ),
    ],
)
def test_a_feature_that_cannot_be_had(model: str, lapic: bool, message: str) -> None:
    with pytest.raises(CpuModelError) as caught:
        made("intel", model, lapic=lapic)
    assert str(caught.value) == message


def test_every_choosable_feature_can_be_taken_away() -> None:
    for name, raw in TABLES.items():
        there = features_in(cpuid_for(raw, 0, 1, lapic=True))
        assert len(there) > 40, name
        for feature in set(there) - set(NOT_CHOSEN):
            model = parse_cpu(f"host,-{feature}")
            assert feature not in features_in(cpuid_for(raw, 0, 1, lapic=True, model=model))


def components(table: Table) -> set[int]:
    """The sub-leaves of leaf 0xD that tell of a state component."""
    return {i for (function, i), entry in table.items() if function == 0xD and i >= 2 and entry.eax}


@pytest.mark.parametrize(
    ("model", "gone", "user", "supervisor", "size"),
    [
        ("host,-avx512f", {5, 6, 7}, 0x60207, 0x1800, 0xB00 + 0x2000),
        ("host,-amx_tile", {17, 18}, 0x002E7, 0x1800, 0xA80 + 8),
        ("host,-amx_tile,-pku", {9, 17, 18}, 0x000E7, 0x1800, 0x680 + 0x400),
        ("host,-avx,-avx512f,-pku,-amx_tile", {2, 5, 6, 7, 9, 17, 18}, 3, 0x1800, 576),
        ("host,-ibt", set(), 0x602E7, 0x1800, 0x2B00),
        ("host,-ibt,-user_shstk", {11, 12}, 0x602E7, 0, 0x2B00),
        ("host,-xsaves", {11, 12}, 0x602E7, 0, 0x2B00),
    ],
)
def test_saved_state_follows_its_features(
    model: str, gone: set[int], user: int, supervisor: int, size: int
) -> None:
    before, after = made("intel"), made("intel", model)
    assert components(before) - components(after) == gone
    assert after[0xD, 0].eax == user
    assert after[0xD, 0].ecx == size
    assert after[0xD, 1].ecx == supervisor


def test_without_xsave_there_is_no_saved_state() -> None:
    after = made("intel", "host,-xsave")
    assert all(
        (entry.eax, entry.ebx, entry.ecx, entry.edx) == (0, 0, 0, 0)
        for (function, _), entry in after.items()
        if function == 0xD
    )


def test_a_plain_host_imports_no_table_of_features() -> None:
    program = (
        "import sys\n"
        "from pykvm.cpu.model import HOST, parse_cpu\n"
        "heavy = {'pykvm.cpu.features', 'difflib', 'dataclasses'}\n"
        "assert parse_cpu('host') is HOST\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "parse_cpu('host,-avx2')\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert told.stdout == "[]\n['pykvm.cpu.features']\n"
