"""The processor that a guest finds: its CPUID on real vCPUs, and MSRs that the host answers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pykvm.cpu.features import NOT_CHOSEN, features_in
from pykvm.cpu.model import cpuid_for, parse_cpu
from pykvm.cpu.msrs import MsrSpace
from pykvm.kvm import CpuidEntry, System, Vcpu, Vm
from pykvm.kvm.cpuid import to_entries
from pykvm.kvm.exits import Hlt, Io, Rdmsr, Wrmsr
from pykvm.kvm.probes.bench import CODE, HANDLER, Entry, Guest, with_irqchip

Make = Callable[..., Guest]

ASK_CPUID = bytes.fromhex(
    "0f a2"  # cpuid
    "e6 10"  # out 0x10, al
)

READ_KNOWN_AND_UNKNOWN = bytes.fromhex(
    "0f 30"  # wrmsr
    "31 c0"  # xor eax, eax
    "31 d2"  # xor edx, edx
    "0f 32"  # rdmsr
    "89 c3"  # mov ebx, eax
    "ff c1"  # inc ecx
    "0f 32"  # rdmsr
)

HALT_IN_HANDLER = bytes.fromhex(
    "b1 77"  # mov cl, 0x77
    "f4"  # hlt
)

OSXSAVE, APIC = 1 << 27, 1 << 9


def settled(table: Any) -> dict[tuple[int, int], CpuidEntry]:
    """The leaves of a table or a list of entries, less what KVM works out itself."""
    entries = table if isinstance(table, list) else to_entries(table)
    leaves = {}
    for entry in entries:
        kept = entry
        if entry.function == 1:
            kept = replace(entry, ecx=entry.ecx & ~OSXSAVE, edx=entry.edx & ~APIC)
        elif entry.function == 0xD and entry.index < 2:
            kept = replace(entry, ebx=0)
        elif entry.function == 0x12:
            continue  # KVM fits SGX's leaf to XCR0's
        leaves[entry.function, entry.index] = kept
    return leaves


@pytest.mark.needs("cpuid_left_out")
@pytest.mark.parametrize("lapic", [False, True])
def test_each_vcpu_keeps_its_own(system: System, lapic: bool) -> None:
    supported = system.supported_cpuid_raw()
    with Vm(system) as vm:
        if lapic:
            with_irqchip(vm)
        for index in range(3):
            with Vcpu(vm, index) as vcpu:
                table = cpuid_for(supported, index, 3, lapic=lapic)
                vcpu.set_cpuid2(table)
                assert settled(vcpu.get_cpuid2()) == settled(table)


def test_each_vcpu_keeps_its_place(system: System) -> None:
    """Hosts that add features of their own to a table keep what it says of topology."""
    supported = system.supported_cpuid_raw()
    with Vm(system) as vm:
        for index in range(3):
            with Vcpu(vm, index) as vcpu:
                table = cpuid_for(supported, index, 3, lapic=False)
                vcpu.set_cpuid2(table)
                kept, wanted = settled(vcpu.get_cpuid2()), settled(table)
                assert kept.keys() == wanted.keys()
                for key, entry in wanted.items():
                    if key[0] in (0x4, 0xB, 0x1F, 0x8000001D, 0x8000001E):
                        assert kept[key] == entry
                assert kept[1, 0].ebx == wanted[1, 0].ebx


def ask(guest: Guest, function: int, index: int = 0) -> tuple[int, int, int, int]:
    """Run CPUID in the guest."""
    vcpu = guest.vcpu
    regs = vcpu.get_regs()
    vcpu.set_regs(replace(regs, rip=CODE, rax=function, rcx=index, rbx=0, rdx=0))
    assert isinstance(guest.run(), Io)
    regs = vcpu.get_regs()
    return regs.rax, regs.rbx, regs.rcx, regs.rdx


def test_the_guest_finds_its_place(make_guest: Make, system: System) -> None:
    """The third of five processors."""
    guest = make_guest(Entry.LONG, ASK_CPUID, prepare=with_irqchip)
    guest.vcpu.set_cpuid2(cpuid_for(system.supported_cpuid_raw(), 2, 5, lapic=True))
    _, ebx, ecx, edx = ask(guest, 1)
    assert (ebx >> 24, ebx >> 16 & 0xFF, edx >> 28 & 1) == (2, 5, 1)
    assert (ecx >> 31 & 1, ecx >> 24 & 1, ecx >> 21 & 1) == (1, 1, 1)
    assert ask(guest, 0xB, 0) == (0, 1, 0x100, 2)
    assert ask(guest, 0xB, 1) == (3, 5, 0x201, 2)
    assert ask(guest, 0xB, 2)[2] >> 8 == 0
    signature = b"".join(r.to_bytes(4, "little") for r in ask(guest, 0x40000000)[1:])
    assert signature == b"KVMKVMKVM\0\0\0"


@pytest.mark.needs("cpuid_left_out")
def test_the_guest_lacks_what_was_taken_away(make_guest: Make, system: System) -> None:
    supported = system.supported_cpuid_raw()
    there = set(features_in(cpuid_for(supported, 0, 1, lapic=False)))
    # long mode runs without these
    gone = there & {"nx", "rdtscp", "avx", "avx2", "avx512f", "sse4_2", "tsc_adjust", "hypervisor"}
    assert gone
    model = parse_cpu(",".join(["host", *(f"-{name}" for name in gone)]))
    guest = make_guest(Entry.LONG, ASK_CPUID)
    table = cpuid_for(supported, 0, 1, lapic=False, model=model)
    guest.vcpu.set_cpuid2(table)
    assert settled(guest.vcpu.get_cpuid2()) == settled(table)
    assert set(features_in(table)) - set(NOT_CHOSEN) == there - gone - set(NOT_CHOSEN)
    assert ask(guest, 1)[2] >> 31 == 0
    assert (ask(guest, 0x80000001)[3] >> 20 & 1) == 0


@pytest.mark.needs("msr_exits")
def test_msrs_are_answered_or_a_general_protection_fault(make_guest: Make) -> None:
    msrs = MsrSpace()
    kept = [0]
    msrs.answer(0x12345, read=lambda: kept[-1], write=kept.append)
    guest = make_guest(Entry.LONG, READ_KNOWN_AND_UNKNOWN, prepare=msrs.catch)
    guest.put(HANDLER, HALT_IN_HANDLER)
    guest.gate(13, HANDLER)
    vcpu = guest.vcpu
    vcpu.set_regs(replace(vcpu.get_regs(), rcx=0x12345, rax=0xAABBCCDD, rdx=0x11223344))
    exits = [Wrmsr(0x12345, 0x11223344_AABBCCDD, 2), Rdmsr(0x12345, 2), Rdmsr(0x12346, 2)]
    for wanted in exits:
        assert guest.run() == wanted
        msrs.reply(vcpu.page)
    assert guest.run() == Hlt()
    regs = vcpu.get_regs()
    assert (regs.rbx, regs.rdx, regs.rcx & 0xFF) == (0xAABBCCDD, 0x11223344, 0x77)
    assert msrs.unclaimed == {(False, 0x12346): 1}


@pytest.mark.needs("msr_exits")
def test_an_msr_costs_no_import_of_dataclasses() -> None:
    """Linux reads one that KVM does not have at each start."""
    program = (
        "import sys\n"
        "from pykvm import Machine\n"
        "with Machine('64K') as machine:\n"
        "    machine.msrs.answer(0x12345, read=5)\n"
        # mov ecx, 0x12345; rdmsr; hlt
        "    machine.load(bytes.fromhex('66b945230100 0f32 f4'))\n"
        "    machine.run(timeout=10)\n"
        "print('dataclasses' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    assert told.stdout == "False\n"


@pytest.mark.needs("msr_exits")
def test_registers_that_kvm_has_are_not_asked_for(make_guest: Make) -> None:
    """IA32_SYSENTER_CS is KVM's, whatever the host would answer."""
    msrs = MsrSpace()
    msrs.answer(0x174, read=5)
    guest = make_guest(
        Entry.LONG,
        bytes.fromhex(
            "0f 32"  # rdmsr
            "f4"  # hlt
        ),
        prepare=msrs.catch,
    )
    guest.vcpu.set_regs(replace(guest.vcpu.get_regs(), rcx=0x174, rax=9))
    assert guest.run() == Hlt()
    assert guest.vcpu.get_regs().rax == 0
