"""A virtual machine: its memory slots, dirty logs, addresses and clock."""

from __future__ import annotations

import os
from errno import EBUSY, EINTR

from pykvm._shim import ffi
from pykvm.errors import KvmIoctlError
from pykvm.kvm import ioctl
from pykvm.kvm.system import System, missing
from pykvm.x86 import PAGE_SIZE


class Vm:
    """One virtual machine.

    Interrupt controllers, interrupt routes, eventfds and coalesced zones have modules of their
    own (`irqchip`, `interrupts`, `eventfd`, `coalesced`), whose classes take a Vm.

    Args:
        system: an open `System`; it must stay open as long as vCPUs are made.

    Attributes:
        fd: the VM's descriptor; -1 once closed.
        system: as given.

    Raises:
        KvmUnavailable: another hypervisor holds the processor's virtualization.
        KvmIoctlError: KVM_CREATE_VM failed otherwise (KVM API 4.2), e.g. ENOMEM.
    """

    def __init__(self, system: System) -> None:
        self.system = system
        self.fd = -1
        while self.fd < 0:
            try:
                self.fd = ioctl.call(system.fd, "KVM_CREATE_VM")
            except KvmIoctlError as error:
                if error.errno == EINTR:
                    continue  # a signal came; its handler has run by now
                if error.errno != EBUSY:
                    raise
                from pykvm.kvm.unavailable import busy

                raise busy(system.path) from None

    def __enter__(self) -> Vm:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor; KVM frees the VM with its last vCPU.  Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def check(self, capability: int) -> int:
        """`System.check`, as it is for this VM (KVM_CAP_CHECK_EXTENSION_VM, KVM API 4.4)."""
        return ioctl.call(self.fd, "KVM_CHECK_EXTENSION", int(capability))

    def require(self, capability: int) -> int:
        """As `check`; raises `CapabilityMissing` where that is 0."""
        value = self.check(capability)
        if not value:
            raise missing(capability)
        return value

    def enable_cap(self, capability: int, *args: int, flags: int = 0) -> None:
        """Turn on what is off by default (KVM_CAP_ENABLE_CAP_VM, KVM API 4.37 and 7).

        Args:
            capability: a `Capability`.
            args: up to four numbers, as that capability defines them.
            flags: none are defined.

        Raises:
            KvmIoctlError: EINVAL for a capability or argument that the host does not know.
        """
        enable_cap(self.fd, capability, args, flags)

    def set_memory_slot(
        self, slot: int, gpa: int, size: int, host_address: int, flags: int = 0
    ) -> None:
        """Back guest-physical memory with memory of this process (KVM API 4.35).

        The slot is added; if it exists, it is moved to another `gpa` or its flags are changed.
        To change its size or host address, delete it first.  The host's memory must stay mapped
        until the slot is gone.

        Args:
            slot: its number (bits 0-15) and address space (bits 16-31, for SMM).
            gpa: guest-physical address in bytes, a multiple of the page size.
            size: in bytes, a multiple of the page size, not 0.
            host_address: of this process, a multiple of the page size.
            flags: `MemoryFlag`s; READONLY needs KVM_CAP_READONLY_MEM: writes then exit as MMIO.

        Raises:
            KvmIoctlError: EINVAL for a misaligned address or size, EEXIST for an overlap with
                another slot.
        """
        if not size:
            raise ValueError("a memory slot of no bytes: delete_memory_slot() deletes one")
        self._set_region(slot, gpa, size, host_address, flags)

    def delete_memory_slot(self, slot: int) -> None:
        """Take a slot away; the guest's accesses there become MMIO exits (KVM API 4.35)."""
        self._set_region(slot, 0, 0, 0, 0)

    def _set_region(self, slot: int, gpa: int, size: int, host_address: int, flags: int) -> None:
        region = ffi.new("struct kvm_userspace_memory_region *")
        region.slot = slot
        region.flags = int(flags)
        region.guest_phys_addr = gpa
        region.memory_size = size
        region.userspace_addr = host_address
        ioctl.call(self.fd, "KVM_SET_USER_MEMORY_REGION", region)

    def get_dirty_log(self, slot: int, size: int) -> bytes:
        """The pages written since the last call, which starts a new log (KVM API 4.8).

        With KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 enabled, only `clear_dirty_log` starts anew.  KVM
        may count a page that the guest merely ran or read; it never misses a written one.

        Args:
            slot: a slot set with `MemoryFlag.LOG_DIRTY_PAGES`.
            size: the slot's size in bytes.

        Returns:
            A bitmap, bit n % 8 of byte n // 8 for the slot's page n: see `dirty_pages`.

        Raises:
            KvmIoctlError: ENOENT if the slot does not exist or does not log.
        """
        bitmap = ffi.new("uint8_t[]", _bitmap_size(size))
        log = ffi.new("struct kvm_dirty_log *")
        log.slot = slot
        log.dirty_bitmap = bitmap
        ioctl.call(self.fd, "KVM_GET_DIRTY_LOG", log)
        return bytes(ffi.buffer(bitmap))

    def clear_dirty_log(self, slot: int, first_page: int, pages: int, bitmap: bytes) -> None:
        """Mark pages clean and log writes to them again (KVM API 4.117).

        Needs KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, enabled with `enable_cap(..., 1)`.

        Args:
            slot: a slot that logs.
            first_page: what bit 0 of `bitmap` stands for, a multiple of 64.
            pages: how many, a multiple of 64 unless they end with the slot.
            bitmap: the pages to clear, as `get_dirty_log` gives them.
        """
        if len(bitmap) * 8 < pages:
            raise ValueError(f"a bitmap of {len(bitmap)} bytes for {pages} pages")
        # the kernel reads whole 64-bit words
        buffer = ffi.new("uint8_t[]", bitmap.ljust(_bitmap_size(pages * PAGE_SIZE), b"\0"))
        log = ffi.new("struct kvm_clear_dirty_log *")
        log.slot = slot
        log.num_pages = pages
        log.first_page = first_page
        log.dirty_bitmap = buffer
        ioctl.call(self.fd, "KVM_CLEAR_DIRTY_LOG", log)

    def set_tss_address(self, gpa: int) -> None:
        """Give KVM three unused pages below 4 GiB at `gpa` (KVM_CAP_SET_TSS_ADDR, KVM API 4.36).

        Intel processors without unrestricted guest need it before real mode runs.
        """
        ioctl.call(self.fd, "KVM_SET_TSS_ADDR", gpa)

    def set_identity_map_address(self, gpa: int) -> None:
        """Give KVM one unused page below 4 GiB (KVM_CAP_SET_IDENTITY_MAP_ADDR, KVM API 4.40).

        For the same processors; to be called before the first vCPU is made.
        """
        ioctl.call(self.fd, "KVM_SET_IDENTITY_MAP_ADDR", ffi.new("uint64_t *", gpa))

    def get_clock(self) -> int:
        """The guest's kvmclock in nanoseconds (KVM_CAP_ADJUST_CLOCK, KVM API 4.29)."""
        clock = ffi.new("struct kvm_clock_data *")
        ioctl.call(self.fd, "KVM_GET_CLOCK", clock)
        return int(clock.clock)

    def set_clock(self, ns: int) -> None:
        """Set the guest's kvmclock, which goes on from there (KVM_CAP_ADJUST_CLOCK, 4.30)."""
        clock = ffi.new("struct kvm_clock_data *")
        clock.clock = ns
        ioctl.call(self.fd, "KVM_SET_CLOCK", clock)

    def get_tsc_khz(self) -> int:
        """The TSC frequency of vCPUs to come, in kHz (KVM_CAP_VM_TSC_CONTROL, KVM API 4.56)."""
        return ioctl.call(self.fd, "KVM_GET_TSC_KHZ")

    def set_tsc_khz(self, khz: int) -> None:
        """Set the TSC frequency of vCPUs to come (KVM_CAP_VM_TSC_CONTROL, KVM API 4.55)."""
        ioctl.call(self.fd, "KVM_SET_TSC_KHZ", khz)


def dirty_pages(bitmap: bytes) -> set[int]:
    """The page numbers whose bits are set in a dirty log."""
    return {
        8 * i + bit for i, byte in enumerate(bitmap) if byte for bit in range(8) if byte >> bit & 1
    }


def enable_cap(fd: int, capability: int, args: tuple[int, ...], flags: int) -> None:
    """KVM_ENABLE_CAP on a VM's or a vCPU's descriptor."""
    request = ffi.new("struct kvm_enable_cap *")
    request.cap = int(capability)
    request.flags = flags
    request.args = list(args)
    ioctl.call(fd, "KVM_ENABLE_CAP", request)


def _bitmap_size(size: int) -> int:
    pages = -(-size // PAGE_SIZE)
    return -(-pages // 64) * 8
