"""Making a processor that has run as new, for the next image."""

from __future__ import annotations

from contextlib import suppress

from pykvm.kvm.msrs import MsrError
from pykvm.kvm.vcpu import Vcpu
from pykvm.kvm.vm import Vm


def reset(vcpu: Vcpu, vm: Vm, *, has_apic: bool) -> None:
    """Give a vCPU the state that KVM makes vCPUs with.

    KVM has no call for that, and what it begins with is its own affair: extended registers,
    breakpoints, pending events and some hundred MSRs, those by which a guest has the kernel write
    its clock into memory among them.  So the state is that of another vCPU, made for this.

    Args:
        vcpu: not running.
        vm: where to make the other one: with the same interrupt controllers.
        has_apic: whether they include a local APIC in the kernel.

    Raises:
        KvmIoctlError: the host has no room for another vCPU.
    """
    with Vcpu(vm, vcpu.id) as new:
        new.set_cpuid2(vcpu.get_cpuid2())
        vcpu.set_regs(new.get_regs())
        vcpu.set_sregs(new.get_sregs())  # with the mode of the APIC, whose registers come next
        if has_apic:
            vcpu.set_lapic(new.get_lapic())
        vcpu.set_xcrs(new.get_xcrs())
        vcpu.set_xsave(new.get_xsave())
        vcpu.set_debugregs(new.get_debugregs())
        vcpu.set_vcpu_events(new.get_vcpu_events())
        indices = vm.system.msr_index_list()
        values, changed = new.get_msrs(indices), vcpu.get_msrs(indices)
        for index, value in values.items():
            if changed[index] != value:
                # what cannot be set from here, as a counter, is none of the guest's making either
                with suppress(MsrError):
                    vcpu.set_msrs({index: value})
        vcpu.set_mp_state(new.get_mp_state())
