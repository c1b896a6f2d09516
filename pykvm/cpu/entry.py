"""Giving a processor the registers that an image is entered with."""

from __future__ import annotations

from pykvm._shim import ffi
from pykvm.kvm import ioctl
from pykvm.kvm.structs import store
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from pykvm.boot.state import BootState
    from pykvm.kvm.vcpu import Vcpu

_GENERAL = ("rip", "rsp", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rflags")


def load_state(vcpu: Vcpu, reset_sregs: Any, state: BootState) -> None:
    """Set a stopped vCPU's registers to those of `state`.

    Args:
        vcpu: as new.
        reset_sregs: the `struct kvm_sregs *` that KVM made it with, for what `state` does not name.
        state: what the image's boot protocol says.

    Raises:
        KvmIoctlError: no processor has such registers.
    """
    regs = ffi.new("struct kvm_regs *")
    sregs = ffi.new("struct kvm_sregs *", reset_sregs[0])
    for name in _GENERAL:
        setattr(regs, name, getattr(state, name))
    for name in ("cr0", "cr3", "cr4", "efer"):
        setattr(sregs, name, getattr(state, name))
    for name in ("ds", "es", "fs", "gs"):
        store(state.data, getattr(sregs, name))
    for name in ("cs", "ss", "gdt", "idt"):
        store(getattr(state, name), getattr(sregs, name))
    ioctl.call(vcpu.fd, "KVM_SET_SREGS", sregs)
    ioctl.call(vcpu.fd, "KVM_SET_REGS", regs)
