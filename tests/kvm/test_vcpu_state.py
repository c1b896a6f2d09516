"""Every piece of a vCPU's state: what is set is what is got, and what the guest sees."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from pykvm.errors import KvmIoctlError
from pykvm.kvm import (
    Capability,
    CpuidEntry,
    DebugRegs,
    EventFlag,
    Fpu,
    IrqChip,
    MpState,
    MsrError,
    Regs,
    System,
    Vcpu,
    VcpuEvents,
    Vm,
)
from pykvm.kvm.exits import Hlt
from pykvm.kvm.probes.bench import Entry, Guest
from pykvm.x86 import DescriptorTable, Efer, Segment

Make = Callable[..., Guest]

SYSENTER_CS, SYSENTER_ESP, NO_SUCH_MSR = 0x174, 0x175, 0x12345


@pytest.fixture
def vcpu(system: System) -> Iterator[Vcpu]:
    """A vCPU as after reset, with all that CPUID can offer."""
    with Vm(system) as vm, Vcpu(vm, 0) as made:
        made.set_cpuid2(system.supported_cpuid_raw())
        yield made


def test_reset_state(vcpu: Vcpu) -> None:
    """SDM vol. 3A, table 10-1: execution starts at FFFF_FFF0."""
    assert (vcpu.get_regs().rip, vcpu.get_regs().rflags) == (0xFFF0, 2)
    sregs = vcpu.get_sregs()
    assert (sregs.cs.base, sregs.cs.selector) == (0xFFFF0000, 0xF000)
    assert sregs.cr0 & 0x60000010 == 0x60000010


def test_regs(vcpu: Vcpu) -> None:
    names = [name for name in Regs.__slots__ if name != "rflags"]
    regs = Regs(**{name: 0x1111 * (i + 1) << 16 for i, name in enumerate(names)}, rflags=0x246)
    vcpu.set_regs(regs)
    assert vcpu.get_regs() == regs


def test_sregs(vcpu: Vcpu) -> None:
    sregs = vcpu.get_sregs()
    sregs.ds = Segment(0x12340, 0xFFFF, 0x1234, 3, 1, 0, 0, 1, 0, 0, 0, 0)
    sregs.gdt = DescriptorTable(0x5000, 0x2F)
    sregs.idt = DescriptorTable(0x6000, 0x3FF)
    sregs.cr2 = 0xDEAD000
    sregs.cr3 = 0x7000
    sregs.cr4 |= 0x20
    sregs.efer |= Efer.NX
    vcpu.set_sregs(sregs)
    assert vcpu.get_sregs() == sregs


def test_sregs_that_no_processor_has(vcpu: Vcpu) -> None:
    sregs = vcpu.get_sregs()
    sregs.efer |= Efer.LMA
    sregs.cr0 |= 0x80000001
    with pytest.raises(KvmIoctlError) as caught:
        vcpu.set_sregs(sregs)
    assert (caught.value.ioctl, caught.value.errno) == ("KVM_SET_SREGS", errno.EINVAL)


def test_fpu(vcpu: Vcpu) -> None:
    lines = tuple(bytes([i]) * 10 + bytes(6) for i in range(8))
    fpu = Fpu(
        fpr=lines,
        fcw=0x27F,
        fsw=0x3800,
        ftwx=0xFF,
        last_opcode=0x123,
        last_ip=0x1000,
        last_dp=0x2000,
        xmm=tuple(bytes([16 + i]) * 16 for i in range(16)),
        mxcsr=0x1FA0,
    )
    vcpu.set_fpu(fpu)
    # MXCSR is in the struct, yet x86 KVM neither reads nor writes it there
    assert replace(vcpu.get_fpu(), mxcsr=fpu.mxcsr) == fpu


def test_xsave_holds_the_fpu(vcpu: Vcpu) -> None:
    """Bytes 160 and on are XMM0 to XMM15, bit 1 of byte 512 says they count (SDM vol. 1, 13.4)."""
    area = bytearray(vcpu.get_xsave())
    assert len(area) >= 4096
    area[160:176] = b"0123456789abcdef"
    area[512] |= 3
    vcpu.set_xsave(bytes(area))
    assert vcpu.get_xsave()[160:176] == b"0123456789abcdef"
    assert vcpu.get_fpu().xmm[0] == b"0123456789abcdef"
    with pytest.raises(ValueError, match="this VM's XSAVE area is"):
        vcpu.set_xsave(bytes(area[:-1]))


def test_xcrs(vcpu: Vcpu) -> None:
    assert vcpu.get_xcrs() == {0: 1}
    vcpu.set_xcrs({0: 3})
    assert vcpu.get_xcrs() == {0: 3}
    with pytest.raises(KvmIoctlError):
        vcpu.set_xcrs({0: 2})
    with pytest.raises(ValueError, match="at most 16"):
        vcpu.set_xcrs(dict.fromkeys(range(17), 0))


def test_msrs(vcpu: Vcpu) -> None:
    wanted = {SYSENTER_CS: 0x10, SYSENTER_ESP: 0x8000}
    vcpu.set_msrs(wanted)
    assert vcpu.get_msrs(wanted) == wanted
    assert vcpu.get_msrs([]) == {}


def test_the_msr_that_is_refused_is_named(vcpu: Vcpu) -> None:
    with pytest.raises(MsrError, match="MSR 0x12345") as caught:
        vcpu.get_msrs([SYSENTER_CS, NO_SUCH_MSR, SYSENTER_ESP])
    assert (caught.value.index, caught.value.ioctl) == (NO_SUCH_MSR, "KVM_GET_MSRS")
    with pytest.raises(MsrError) as caught:
        vcpu.set_msrs({SYSENTER_CS: 0x77, NO_SUCH_MSR: 1})
    assert (caught.value.index, caught.value.ioctl) == (NO_SUCH_MSR, "KVM_SET_MSRS")
    assert vcpu.get_msrs([SYSENTER_CS]) == {SYSENTER_CS: 0x77}


CPUID_THEN_HALT = bytes.fromhex(
    "b8 00 00 00 40"  # mov eax, 0x40000000
    "0f a2"  # cpuid
    "f4"  # hlt
)


def test_cpuid_tells_the_guest_what_was_set(make_guest: Make) -> None:
    guest = make_guest(Entry.LONG, CPUID_THEN_HALT)
    leaves = [leaf for leaf in guest.vcpu.get_cpuid2() if leaf.function != 0x40000000]
    mine = CpuidEntry(0x40000000, eax=0x40000001, ebx=0x11, ecx=0x22, edx=0x33)
    guest.vcpu.set_cpuid2([*leaves, mine])
    assert mine in guest.vcpu.get_cpuid2()
    assert guest.run() == Hlt()
    regs = guest.vcpu.get_regs()
    assert (regs.rbx, regs.rcx, regs.rdx) == (0x11, 0x22, 0x33)


def test_lapic(system: System) -> None:
    with Vm(system) as vm:
        IrqChip(vm)
        with Vcpu(vm, 0) as vcpu:
            registers = bytearray(vcpu.get_lapic())
            assert len(registers) == 1024
            registers[0x80] = 0x20  # task priority (SDM vol. 3A, table 11-1)
            vcpu.set_lapic(bytes(registers))
            assert vcpu.get_lapic()[0x80] == 0x20
            with pytest.raises(ValueError, match="1024 bytes"):
                vcpu.set_lapic(b"")


def test_a_vcpu_without_lapic(vcpu: Vcpu) -> None:
    with pytest.raises(KvmIoctlError) as caught:
        vcpu.get_lapic()
    assert caught.value.errno == errno.EINVAL


def test_vcpu_events(vcpu: Vcpu) -> None:
    vcpu.set_vcpu_events(VcpuEvents(flags=EventFlag.NMI_PENDING, nmi_pending=1, nmi_masked=1))
    events = vcpu.get_vcpu_events()
    assert (events.nmi_pending, events.nmi_masked) == (1, 1)
    vcpu.set_vcpu_events(VcpuEvents(flags=EventFlag.NMI_PENDING))
    assert (vcpu.get_vcpu_events().nmi_pending, vcpu.get_vcpu_events().nmi_masked) == (0, 0)


def test_debugregs(vcpu: Vcpu) -> None:
    registers = DebugRegs(db=(0x1000, 0x2000, 0x3000, 0x4000), dr6=0xFFFF0FF1, dr7=0x401)
    vcpu.set_debugregs(registers)
    assert vcpu.get_debugregs() == registers


def test_mp_state(system: System) -> None:
    """The first processor runs; the others wait for INIT (with an in-kernel local APIC)."""
    with Vm(system) as vm:
        IrqChip(vm)
        with Vcpu(vm, 0) as first, Vcpu(vm, 1) as second:
            assert first.get_mp_state() is MpState.RUNNABLE
            assert second.get_mp_state() is MpState.UNINITIALIZED
            second.set_mp_state(MpState.HALTED)
            assert second.get_mp_state() is MpState.HALTED


def test_tsc_frequency(vcpu: Vcpu, system: System) -> None:
    khz = vcpu.get_tsc_khz()
    assert khz > 0
    if system.check(Capability.TSC_CONTROL):
        vcpu.set_tsc_khz(khz // 2)
        assert vcpu.get_tsc_khz() == khz // 2
    else:
        vcpu.set_tsc_khz(khz)
        assert vcpu.get_tsc_khz() == khz


def test_enabling_a_capability_of_a_vcpu(vcpu: Vcpu) -> None:
    vcpu.enable_cap(Capability.ENFORCE_PV_FEATURE_CPUID, 1)
    with pytest.raises(KvmIoctlError) as caught:
        vcpu.enable_cap(99999)
    assert (caught.value.ioctl, caught.value.errno) == ("KVM_ENABLE_CAP", errno.EINVAL)
