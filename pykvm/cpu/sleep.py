"""Whether a processor sleeps for ever.

With a local APIC in the kernel, KVM_RUN does not return for HLT: the vCPU sleeps in it.  So
somebody must look whether that is the guest's end.  Structs are cffi's own here: the dataclasses
that stand for them would be felt in a short run.
"""

from __future__ import annotations

from pykvm._shim import ffi
from pykvm.kvm import ioctl
from pykvm.named import TYPE_CHECKING
from pykvm.x86 import Rflags, is_unmaskable

if TYPE_CHECKING:
    from pykvm.kvm.vcpu import Vcpu

_HALTED = 3
_WAITING = (1, 2, 9)
"""For INIT or SIPI: KVM_MP_STATE_UNINITIALIZED, _INIT_RECEIVED, _AP_RESET_HOLD (KVM API 4.38)."""

_LINTS = (0x350, 0x360)
"""The local vector table's entries for the two interrupt pins (SDM vol. 3A, 11.5.1)."""


def sleeps_for_ever(vcpu: Vcpu) -> bool:
    """Whether nothing but another processor, or an unmaskable interrupt yet to come, can wake it.

    It waits for INIT or SIPI, or it halts with RFLAGS.IF = 0 and no NMI or SMI is on its way.

    Args:
        vcpu: out of KVM_RUN, on a VM with local APICs in the kernel.
    """
    if vcpu.page.if_flag:
        return False  # as KVM_RUN left it; INIT clears it.  Most ticks of a guest end here
    state = ffi.new("struct kvm_mp_state *")
    # that also has a pending INIT or SIPI done, as the next KVM_RUN would
    ioctl.call(vcpu.fd, "KVM_GET_MP_STATE", state)
    if state.mp_state != _HALTED:
        return state.mp_state in _WAITING
    regs = ffi.new("struct kvm_regs *")
    ioctl.call(vcpu.fd, "KVM_GET_REGS", regs)
    return not regs.rflags & Rflags.IF and not _has_event(vcpu) and not _has_unmaskable_pin(vcpu)


def _has_event(vcpu: Vcpu) -> bool:
    """Whether anything is pending or being delivered that IF does not hold back."""
    events = ffi.new("struct kvm_vcpu_events *")
    ioctl.call(vcpu.fd, "KVM_GET_VCPU_EVENTS", events)
    nmi, exception = events.nmi, events.exception
    return bool(
        (nmi.pending and not nmi.masked)
        or nmi.injected
        or events.smi.pending
        or exception.injected
        or exception.pending
        or events.interrupt.injected
    )


def _has_unmaskable_pin(vcpu: Vcpu) -> bool:
    """Whether LINT0 or LINT1 would bring an NMI, as the timer's tick does for a watchdog."""
    lapic = ffi.new("struct kvm_lapic_state *")
    ioctl.call(vcpu.fd, "KVM_GET_LAPIC", lapic)
    registers = memoryview(ffi.buffer(lapic)).cast("I")
    return any(is_unmaskable(registers[offset // 4]) for offset in _LINTS)
