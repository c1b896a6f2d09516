"""`System` and the lifetimes of all three descriptors."""

from __future__ import annotations

import errno

import psutil
import pytest

from pykvm.errors import CapabilityMissing, KvmIoctlError
from pykvm.kvm import Capability, CpuidFlag, System, Vcpu, Vm


def open_files() -> int:
    return int(psutil.Process().num_fds())


def run_pages() -> int:
    """How many mappings of vCPUs this process has."""
    return sum("kvm-vcpu" in region.path for region in psutil.Process().memory_maps(grouped=False))


def test_version_and_run_page_size(system: System) -> None:
    assert system.api_version() == 12
    assert system.vcpu_mmap_size() >= 3 * 4096
    assert system.vcpu_mmap_size() % 4096 == 0


def test_capabilities_by_name(system: System) -> None:
    capabilities = system.capabilities()
    assert len(capabilities) == len(Capability.__members__)
    assert capabilities["KVM_CAP_USER_MEMORY"] == 1
    assert capabilities["KVM_CAP_S390_PSW"] == 0
    assert capabilities["KVM_CAP_NR_MEMSLOTS"] == system.check(Capability.NR_MEMSLOTS) >= 32


def test_requiring_a_capability(system: System) -> None:
    assert system.require(Capability.NR_VCPUS) >= 1
    with pytest.raises(CapabilityMissing, match="KVM_CAP_PPC_RTAS"):
        system.require(Capability.PPC_RTAS)
    with Vm(system) as vm:
        assert vm.require(Capability.COALESCED_MMIO) == vm.check(Capability.COALESCED_MMIO) > 0
        with pytest.raises(CapabilityMissing, match="KVM_CAP_S390_GMAP"):
            vm.require(Capability.S390_GMAP)


def test_msr_lists(system: System) -> None:
    msrs = system.msr_index_list()
    assert 0x174 in msrs  # IA32_SYSENTER_CS
    assert len(set(msrs)) == len(msrs)
    assert system.msr_feature_index_list()


def test_a_list_that_outgrows_the_first_buffer(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pykvm.kvm.system.MSR_GUESS", 1)
    short = system.msr_index_list()
    monkeypatch.undo()
    assert short == system.msr_index_list()


def test_supported_cpuid_has_the_vendor(system: System) -> None:
    leaves = {leaf.function: leaf for leaf in system.supported_cpuid()}
    vendor = b"".join(
        r.to_bytes(4, "little") for r in (leaves[0].ebx, leaves[0].edx, leaves[0].ecx)
    )
    assert vendor.isalnum()
    indexed = [leaf for leaf in system.supported_cpuid() if leaf.function == 4 or leaf.index]
    assert all(leaf.flags & CpuidFlag.SIGNIFICANT_INDEX for leaf in indexed)


def test_a_cpuid_table_that_outgrows_the_first_buffer(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pykvm.kvm.system.CPUID_GUESS", 1)
    assert len(system.supported_cpuid()) > 10


def test_closing_leaves_nothing_and_can_be_repeated() -> None:
    before = open_files(), run_pages()
    with System() as system, Vm(system) as vm, Vcpu(vm, 0) as vcpu:
        assert (open_files(), run_pages()) == (before[0] + 3, before[1] + 1)
    assert (open_files(), run_pages()) == before
    for closed in (vcpu, vm, system):
        closed.close()
        assert closed.fd == -1
    assert (open_files(), run_pages()) == before


def test_a_vm_outlives_its_system_and_a_vcpu_its_vm() -> None:
    system = System()
    vm = Vm(system)
    system.vcpu_mmap_size()
    system.close()
    vcpu = Vcpu(vm, 0)
    vm.close()
    assert vcpu.get_regs().rip == 0xFFF0
    vcpu.close()


def test_what_is_closed_refuses_its_work() -> None:
    with System() as system, Vm(system) as vm, Vcpu(vm, 0) as vcpu:
        pass
    for use in (system.api_version, vm.get_clock, vcpu.get_regs):
        with pytest.raises(KvmIoctlError) as caught:
            use()
        assert caught.value.errno == errno.EBADF
    for touch in (vcpu.last_exit, lambda: vcpu.page.run, lambda: vcpu.page.coalesced_ring):
        with pytest.raises(ValueError, match="the vCPU is closed"):
            touch()


def test_one_id_one_vcpu(system: System) -> None:
    before = open_files()
    with Vm(system) as vm, Vcpu(vm, 3) as vcpu:
        assert vcpu.id == 3
        with pytest.raises(KvmIoctlError) as caught:
            Vcpu(vm, 3)
        assert (caught.value.ioctl, caught.value.errno) == ("KVM_CREATE_VCPU", errno.EEXIST)
    assert open_files() == before
