"""A processor's registers as the BIOS wants them, out of KVM and back.

Through cffi's own structs: a boot sector that prints traps for each character.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pykvm._shim import ffi
from pykvm.bios.registers import GENERAL, Registers, SegmentValue
from pykvm.kvm import ioctl
from pykvm.x86 import Cr0

if TYPE_CHECKING:
    from pykvm.kvm.vcpu import Vcpu


def read_registers(vcpu: Vcpu) -> Registers | None:
    """What a service sees; None in protected mode, where there are none."""
    sregs = _get(vcpu, "KVM_GET_SREGS", "struct kvm_sregs *")
    if sregs.cr0 & Cr0.PE:
        return None
    regs = _get(vcpu, "KVM_GET_REGS", "struct kvm_regs *")
    return Registers(
        {name: getattr(regs, name) for name in GENERAL},
        cs=_segment(sregs.cs),
        ds=_segment(sregs.ds),
        es=_segment(sregs.es),
        ss=_segment(sregs.ss),
    )


def write_registers(vcpu: Vcpu, registers: Registers) -> None:
    """What it changed; RIP stays as it is."""
    regs = _get(vcpu, "KVM_GET_REGS", "struct kvm_regs *")
    for name in GENERAL:
        setattr(regs, name, getattr(registers, name))
    ioctl.call(vcpu.fd, "KVM_SET_REGS", regs)
    if registers.es_changed:
        sregs = _get(vcpu, "KVM_GET_SREGS", "struct kvm_sregs *")
        sregs.es.selector, sregs.es.base = registers.es
        ioctl.call(vcpu.fd, "KVM_SET_SREGS", sregs)


def _get(vcpu: Vcpu, request: str, kind: str) -> Any:
    struct = ffi.new(kind)
    ioctl.call(vcpu.fd, request, struct)
    return struct


def _segment(segment: Any) -> SegmentValue:
    return SegmentValue(segment.selector, segment.base)
