"""Interrupts in and doorbells out without an exit, each through an eventfd."""

from __future__ import annotations

from typing import Any

from pykvm._shim import ffi, lib
from pykvm.kvm import ioctl
from pykvm.kvm.registration import Registration
from pykvm.kvm.vm import Vm


class IrqFd(Registration):
    """Raises a guest interrupt whenever an eventfd is written (KVM_CAP_IRQFD, KVM API 4.75).

    Args:
        vm: a VM with an in-kernel irqchip.
        fd: the eventfd; KVM keeps a reference of its own.
        gsi: the interrupt, as routed.
        resample_fd: an eventfd that KVM writes when the guest has ended a level-triggered
            interrupt; the line stays asserted till then (KVM_CAP_IRQFD_RESAMPLE).

    Raises:
        KvmIoctlError: EINVAL without an irqchip, EBUSY if `fd` is in use for another.
    """

    def __init__(self, vm: Vm, fd: int, gsi: int, resample_fd: int | None = None) -> None:
        self.fd = fd
        self.gsi = gsi
        irqfd = self._struct(0)
        if resample_fd is not None:
            irqfd.flags = lib.KVM_IRQFD_FLAG_RESAMPLE
            irqfd.resamplefd = resample_fd
        super().__init__(vm, "KVM_IRQFD", irqfd)

    def _struct(self, flags: int) -> Any:
        irqfd = ffi.new("struct kvm_irqfd *")
        irqfd.fd = self.fd
        irqfd.gsi = self.gsi
        irqfd.flags = flags
        return irqfd

    def _undo(self) -> None:
        ioctl.call(self.vm.fd, "KVM_IRQFD", self._struct(lib.KVM_IRQFD_FLAG_DEASSIGN))


class IoEventFd(Registration):
    """Writes an eventfd whenever the guest writes an address (KVM_CAP_IOEVENTFD, KVM API 4.59).

    The guest does not exit, and what it wrote is not told.  Writes that do not match go on as if
    this were not there.

    Args:
        vm: the VM.
        fd: the eventfd; KVM keeps a reference of its own.
        address: a guest-physical address, or a port.
        length: 1, 2, 4 or 8 bytes; 0 for any (KVM_CAP_IOEVENTFD_ANY_LENGTH).
        datamatch: only writes of this value; None for all.  Not with length 0.
        pio: whether `address` is a port.

    Raises:
        KvmIoctlError: EINVAL for a length KVM does not take, EEXIST for an address that has one.
    """

    def __init__(
        self,
        vm: Vm,
        fd: int,
        address: int,
        length: int,
        *,
        datamatch: int | None = None,
        pio: bool = False,
    ) -> None:
        self.fd = fd
        self.address = address
        self.length = length
        self.datamatch = datamatch
        self.pio = pio
        super().__init__(vm, "KVM_IOEVENTFD", self._struct(0))

    def _struct(self, flags: int) -> Any:
        ioeventfd = ffi.new("struct kvm_ioeventfd *")
        ioeventfd.addr = self.address
        ioeventfd.len = self.length
        ioeventfd.fd = self.fd
        if self.datamatch is not None:
            flags |= lib.KVM_IOEVENTFD_FLAG_DATAMATCH
            ioeventfd.datamatch = self.datamatch
        if self.pio:
            flags |= lib.KVM_IOEVENTFD_FLAG_PIO
        ioeventfd.flags = flags
        return ioeventfd

    def _undo(self) -> None:
        ioctl.call(self.vm.fd, "KVM_IOEVENTFD", self._struct(lib.KVM_IOEVENTFD_FLAG_DEASSIGN))
