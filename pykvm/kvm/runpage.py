"""The run page: the memory that a vCPU shares with KVM (`struct kvm_run`, KVM API section 5)."""

from __future__ import annotations

from pykvm._shim import ffi, lib
from pykvm.kvm import ioctl
from pykvm.named import TYPE_CHECKING
from pykvm.x86 import PAGE_SIZE

if TYPE_CHECKING:
    from typing import Any

    from pykvm.kvm.exits import Exit


class RunPage:
    """A vCPU's mapping of `struct kvm_run`.

    Args:
        fd: the vCPU's descriptor.
        size: of the mapping in bytes, from `System.vcpu_mmap_size`.
        ring_page: the page of the mapping where the coalesced ring is, from
            KVM_CAP_COALESCED_MMIO; 0 for none.

    Attributes:
        size: as given.
    """

    def __init__(self, fd: int, size: int, ring_page: int) -> None:
        self.size = size
        self._ring_page = ring_page
        self._run = ffi.cast("struct kvm_run *", ioctl.map_shared(fd, size))

    def close(self) -> None:
        """Unmap it; every use after that raises ValueError.  Idempotent."""
        run, self._run = self._run, None
        if run is not None:
            lib.munmap(run, self.size)

    @property
    def run(self) -> Any:
        """The cffi pointer `struct kvm_run *`; it dangles once the vCPU is closed."""
        if self._run is None:
            raise ValueError("the vCPU is closed")
        return self._run

    @property
    def coalesced_ring(self) -> Any:
        """The cffi pointer `struct kvm_coalesced_mmio_ring *`, or None (KVM API 4.116)."""
        if not self._ring_page:
            return None
        start = ffi.cast("uint8_t *", self.run) + self._ring_page * PAGE_SIZE
        return ffi.cast("struct kvm_coalesced_mmio_ring *", start)

    def details(self) -> Any:
        """What stands in the page for the exit, flat: a `struct shim_details *` of its own."""
        details = ffi.new("struct shim_details *")
        lib.shim_details(self.run, details)
        return details

    def decode(self) -> Exit:
        """The exit that KVM_RUN came back with, as a value."""
        from pykvm.kvm.decode import decode

        return decode(self.run, self.size)

    @property
    def immediate_exit(self) -> bool:
        """Makes KVM_RUN return at once, as by a signal (KVM_CAP_IMMEDIATE_EXIT).

        It completes the pending exit on the way, but no guest instruction runs.
        """
        return bool(self.run.immediate_exit)

    @immediate_exit.setter
    def immediate_exit(self, on: bool) -> None:
        self.run.immediate_exit = on

    @property
    def request_interrupt_window(self) -> bool:
        """Asks for an `IrqWindowOpen` exit as soon as `Vcpu.interrupt` can be used."""
        return bool(self.run.request_interrupt_window)

    @request_interrupt_window.setter
    def request_interrupt_window(self, on: bool) -> None:
        self.run.request_interrupt_window = on

    @property
    def ready_for_interrupt_injection(self) -> bool:
        """Whether the guest could take an interrupt from `Vcpu.interrupt` at the last exit.

        One that is given is not noted here: set it to False then.
        """
        return bool(self.run.ready_for_interrupt_injection)

    @ready_for_interrupt_injection.setter
    def ready_for_interrupt_injection(self, ready: bool) -> None:
        self.run.ready_for_interrupt_injection = ready

    @property
    def if_flag(self) -> bool:
        """The guest's interrupt flag at the last exit."""
        return bool(self.run.if_flag)

    @property
    def flags(self) -> int:
        """KVM_RUN_X86_SMM (1), KVM_RUN_X86_BUS_LOCK (2): the state at the last exit."""
        return int(self.run.flags)

    @property
    def cr8(self) -> int:
        """The task priority; KVM reads and writes it here if it has no local APIC of its own."""
        return int(self.run.cr8)

    @cr8.setter
    def cr8(self, value: int) -> None:
        self.run.cr8 = value

    @property
    def apic_base(self) -> int:
        """IA32_APIC_BASE, kept here under the same condition as `cr8`."""
        return int(self.run.apic_base)

    @apic_base.setter
    def apic_base(self, value: int) -> None:
        self.run.apic_base = value

    def reply_io(self, data: bytes) -> None:
        """Answer a pending `Io` read; the next KVM_RUN gives it to the guest.

        Args:
            data: little-endian, as long as the exit's size times its count.
        """
        self._expect("KVM_EXIT_IO")
        self._reply(data)

    def reply_mmio(self, data: bytes) -> None:
        """Answer a pending `Mmio` read; the next KVM_RUN gives it to the guest.

        Args:
            data: little-endian, as long as the exit's size.
        """
        self._expect("KVM_EXIT_MMIO")
        self._reply(data)

    def _reply(self, data: bytes) -> None:
        from pykvm.kvm.decode import access_data

        details = self.details()
        buffer = access_data(self.run, self.size, details)
        if buffer is None or details.is_write:
            raise ValueError("the pending access is not a read")
        if len(data) != len(buffer):
            raise ValueError(f"the pending read takes {len(buffer)} bytes, not {len(data)}")
        buffer[:] = data

    def reply_msr(self, value: int = 0, *, fault: bool = False) -> None:
        """Answer a pending `Rdmsr` with `value`, or it or a `Wrmsr` with #GP (`fault`)."""
        self._expect("KVM_EXIT_X86_RDMSR", "KVM_EXIT_X86_WRMSR")
        lib.shim_reply_msr(self.run, value, fault)

    def reply_hypercall(self, value: int) -> None:
        """Answer a pending `Hypercall`: the guest finds `value` in RAX."""
        self._expect("KVM_EXIT_HYPERCALL")
        lib.shim_reply_hypercall(self.run, value)

    def _expect(self, *reasons: str) -> None:
        if self.run.exit_reason not in [getattr(lib, reason) for reason in reasons]:
            raise ValueError(f"no {' or '.join(reasons)} is pending")
