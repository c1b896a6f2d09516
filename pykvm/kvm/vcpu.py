"""A virtual processor: its registers, its state and KVM_RUN."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from errno import EINTR

from pykvm._shim import ffi, lib
from pykvm.errors import KvmIoctlError
from pykvm.kvm import ioctl
from pykvm.kvm.runpage import RunPage
from pykvm.kvm.structs import load, store
from pykvm.kvm.system import read_cpuid
from pykvm.kvm.vm import Vm, enable_cap
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, TypeVar

    from pykvm.kvm.cpuid import CpuidEntry
    from pykvm.kvm.exits import Exit
    from pykvm.kvm.registers import Regs, Sregs
    from pykvm.kvm.state import DebugRegs, Fpu, MpState, VcpuEvents

    T = TypeVar("T")


class Vcpu:
    """One virtual processor, to be used from one thread at a time.

    Args:
        vm: the machine it belongs to.
        id: its number, which is also its APIC id: below KVM_CAP_MAX_VCPU_ID.

    Attributes:
        fd: the vCPU's descriptor; -1 once closed.
        vm, id: as given.
        page: the `RunPage` it shares with KVM.

    Raises:
        KvmIoctlError: KVM_CREATE_VCPU (KVM API 4.7) or the mapping failed; EEXIST: `id` is taken.
    """

    def __init__(self, vm: Vm, id: int = 0) -> None:
        self.vm = vm
        self.id = id
        size = vm.system.vcpu_mmap_size()
        ring_page = vm.check(lib.KVM_CAP_COALESCED_MMIO)
        self.fd = ioctl.call(vm.fd, "KVM_CREATE_VCPU", id)
        try:
            self.page = RunPage(self.fd, size, ring_page)
        except BaseException:
            os.close(self.fd)
            raise

    def __enter__(self) -> Vcpu:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unmap the run page and close the descriptor.  Idempotent."""
        self.page.close()
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def run(self) -> Exit:
        """Enter the guest once and say why it left (KVM_RUN, KVM API 4.10).

        A read that is pending must have been answered (`page.reply_io`).  The GIL is released.

        Returns:
            A member of `pykvm.kvm.exits`; `Intr` when a signal or `immediate_exit` came first.

        Raises:
            KvmIoctlError: KVM could not run it, e.g. EAGAIN for a processor that waits for INIT,
                EFAULT for guest memory that the host could not provide.
        """
        try:
            ioctl.call(self.fd, "KVM_RUN")
        except KvmIoctlError as error:
            if error.errno != EINTR:
                raise
            from pykvm.kvm.exits import Intr

            return Intr()
        return self.page.decode()

    def last_exit(self) -> Exit:
        """Why KVM_RUN last returned, from the run page; it costs no ioctl."""
        return self.page.decode()

    def get_regs(self) -> Regs:
        """The general registers (KVM API 4.11)."""
        from pykvm.kvm.registers import Regs

        return self._get("KVM_GET_REGS", "kvm_regs", Regs)

    def set_regs(self, regs: Regs) -> None:
        """Set the general registers (KVM API 4.12)."""
        self._set("KVM_SET_REGS", "kvm_regs", regs)

    def get_sregs(self) -> Sregs:
        """The segment, control and descriptor table registers (KVM API 4.13)."""
        from pykvm.kvm.registers import Sregs

        return self._get("KVM_GET_SREGS", "kvm_sregs", Sregs)

    def get_sregs_raw(self) -> Any:
        """As `get_sregs`, as a `struct kvm_sregs`: who wants but a few of them has them sooner."""
        sregs = ffi.new("struct kvm_sregs *")
        ioctl.call(self.fd, "KVM_GET_SREGS", sregs)
        return sregs

    def set_sregs(self, sregs: Sregs) -> None:
        """Set them; EINVAL for a combination that no processor has (KVM API 4.14)."""
        self._set("KVM_SET_SREGS", "kvm_sregs", sregs)

    def get_fpu(self) -> Fpu:
        """The x87 and SSE registers (KVM API 4.22)."""
        from pykvm.kvm.state import Fpu

        return self._get("KVM_GET_FPU", "kvm_fpu", Fpu)

    def set_fpu(self, fpu: Fpu) -> None:
        """Set the x87 and SSE registers (KVM API 4.23)."""
        self._set("KVM_SET_FPU", "kvm_fpu", fpu)

    def get_xsave(self) -> bytes:
        """All extended state, as XSAVE's standard format lays it out (SDM vol. 1, 13.4).

        Needs KVM_CAP_XSAVE (KVM API 4.42); with KVM_CAP_XSAVE2 (4.134) it is as long as that
        capability says, which is never less than 4096 bytes.
        """
        from pykvm.kvm import xstate

        return xstate.get_xsave(self)

    def set_xsave(self, area: bytes) -> None:
        """Set the extended state from what `get_xsave` gave (KVM_CAP_XSAVE, KVM API 4.43)."""
        from pykvm.kvm import xstate

        xstate.set_xsave(self, area)

    def get_xcrs(self) -> dict[int, int]:
        """The extended control registers by number; XCR0 is 0 (KVM_CAP_XCRS, KVM API 4.44)."""
        from pykvm.kvm import xstate

        return xstate.get_xcrs(self.fd)

    def set_xcrs(self, values: Mapping[int, int]) -> None:
        """Set extended control registers by number (KVM_CAP_XCRS, KVM API 4.45)."""
        from pykvm.kvm import xstate

        xstate.set_xcrs(self.fd, values)

    def get_msrs(self, indices: Iterable[int]) -> dict[int, int]:
        """Model-specific registers by index; raises MsrError for one KVM does not have (4.18)."""
        from pykvm.kvm.msrs import get_msrs

        return get_msrs(self.fd, indices)

    def set_msrs(self, values: Mapping[int, int]) -> None:
        """Set model-specific registers in order; raises MsrError at the first refused (4.19)."""
        from pykvm.kvm.msrs import set_msrs

        set_msrs(self.fd, values)

    def get_cpuid2(self) -> list[CpuidEntry]:
        """What CPUID tells the guest (KVM_CAP_EXT_CPUID, KVM_GET_CPUID2)."""
        from pykvm.kvm.cpuid import to_entries

        return to_entries(read_cpuid(self.fd, "KVM_GET_CPUID2"))

    def set_cpuid2(self, entries: Iterable[CpuidEntry] | Any) -> None:
        """Set what CPUID tells the guest, before it first runs (KVM_SET_CPUID2, KVM API 4.20).

        Args:
            entries: leaves, or what `System.supported_cpuid_raw` gave.
        """
        if not isinstance(entries, ffi.CData):
            from pykvm.kvm.cpuid import to_table

            entries = to_table(list(entries))
        ioctl.call(self.fd, "KVM_SET_CPUID2", entries)

    def get_lapic(self) -> bytes:
        """The in-kernel local APIC's 1 KiB of registers (KVM_CAP_IRQCHIP, KVM API 4.57)."""
        lapic = ffi.new("struct kvm_lapic_state *")
        ioctl.call(self.fd, "KVM_GET_LAPIC", lapic)
        return bytes(ffi.buffer(lapic))

    def set_lapic(self, registers: bytes) -> None:
        """Set the local APIC's registers (KVM_CAP_IRQCHIP, KVM API 4.58)."""
        lapic = ffi.new("struct kvm_lapic_state *")
        if len(registers) != ffi.sizeof(lapic[0]):
            raise ValueError(f"a local APIC is 1024 bytes of registers, not {len(registers)}")
        ffi.memmove(lapic, registers, len(registers))
        ioctl.call(self.fd, "KVM_SET_LAPIC", lapic)

    def get_vcpu_events(self) -> VcpuEvents:
        """Exceptions, interrupts, NMIs and SMIs pending (KVM_CAP_VCPU_EVENTS, KVM API 4.31)."""
        from pykvm.kvm.state import load_events

        events = ffi.new("struct kvm_vcpu_events *")
        ioctl.call(self.fd, "KVM_GET_VCPU_EVENTS", events)
        return load_events(events)

    def set_vcpu_events(self, events: VcpuEvents) -> None:
        """Set them; `flags` says which optional fields count (KVM_CAP_VCPU_EVENTS, 4.32)."""
        from pykvm.kvm.state import store_events

        struct = ffi.new("struct kvm_vcpu_events *")
        store_events(events, struct)
        ioctl.call(self.fd, "KVM_SET_VCPU_EVENTS", struct)

    def get_debugregs(self) -> DebugRegs:
        """The guest's DR0-3, DR6 and DR7 (KVM_CAP_DEBUGREGS, KVM API 4.33)."""
        from pykvm.kvm.state import DebugRegs

        return self._get("KVM_GET_DEBUGREGS", "kvm_debugregs", DebugRegs)

    def set_debugregs(self, registers: DebugRegs) -> None:
        """Set the guest's debug registers (KVM_CAP_DEBUGREGS, KVM API 4.34)."""
        self._set("KVM_SET_DEBUGREGS", "kvm_debugregs", registers)

    def get_mp_state(self) -> MpState:
        """Whether it runs, halts or waits for INIT (KVM_CAP_MP_STATE, KVM API 4.38)."""
        from pykvm.kvm.state import MpState

        state = ffi.new("struct kvm_mp_state *")
        ioctl.call(self.fd, "KVM_GET_MP_STATE", state)
        return MpState(state.mp_state)

    def set_mp_state(self, state: MpState) -> None:
        """Set that (KVM_CAP_MP_STATE, KVM API 4.39)."""
        ioctl.call(self.fd, "KVM_SET_MP_STATE", ffi.new("struct kvm_mp_state *", [int(state)]))

    def set_guest_debug(self, control: int, debugreg: Iterable[int] = ()) -> None:
        """Debug the guest from outside (KVM_CAP_SET_GUEST_DEBUG, KVM API 4.87).

        Args:
            control: `DebugControl` flags; 0 ends it.
            debugreg: with USE_HW_BP, DR0 to DR7 (SDM vol. 3B, 18.2): addresses in the first four,
                what to break on in the last.
        """
        debug = ffi.new("struct kvm_guest_debug *")
        debug.control = int(control)
        debug.arch.debugreg = list(debugreg)
        ioctl.call(self.fd, "KVM_SET_GUEST_DEBUG", debug)

    def set_signal_mask(self, blocked: Iterable[int] | None) -> None:
        """Set which signals are blocked in KVM_RUN only (KVM API 4.21).

        Args:
            blocked: signal numbers; None leaves the thread's own mask in force.
        """
        if blocked is None:
            ioctl.call(self.fd, "KVM_SET_SIGNAL_MASK")
            return
        bits = sum(1 << (number - 1) for number in set(blocked))
        mask = ffi.new("struct kvm_signal_mask *", {"len": 8, "sigset": 8})
        ffi.memmove(mask.sigset, bits.to_bytes(8, "little"), 8)
        ioctl.call(self.fd, "KVM_SET_SIGNAL_MASK", mask)

    def interrupt(self, vector: int) -> None:
        """Inject an external interrupt (KVM API 4.16), on a VM without an in-kernel local APIC.

        Only when `page.ready_for_interrupt_injection` says so.

        Args:
            vector: 0 to 255.

        Raises:
            KvmIoctlError: EEXIST: one is pending already; ENXIO: there is an irqchip.
        """
        ioctl.call(self.fd, "KVM_INTERRUPT", ffi.new("struct kvm_interrupt *", [vector]))

    def nmi(self) -> None:
        """Queue a non-maskable interrupt (KVM_CAP_USER_NMI, KVM API 4.64)."""
        ioctl.call(self.fd, "KVM_NMI")

    def translate(self, linear: int) -> int | None:
        """The guest-physical address of a linear one, by the guest's page tables (KVM API 4.15).

        None if they do not map it.
        """
        translation = ffi.new("struct kvm_translation *")
        translation.linear_address = linear
        ioctl.call(self.fd, "KVM_TRANSLATE", translation)
        return int(translation.physical_address) if translation.valid else None

    def get_tsc_khz(self) -> int:
        """The guest's TSC frequency in kHz (KVM_CAP_GET_TSC_KHZ, KVM API 4.56)."""
        return ioctl.call(self.fd, "KVM_GET_TSC_KHZ")

    def set_tsc_khz(self, khz: int) -> None:
        """Set the TSC frequency (KVM_CAP_TSC_CONTROL unless near the host's, KVM API 4.55)."""
        ioctl.call(self.fd, "KVM_SET_TSC_KHZ", khz)

    def enable_cap(self, capability: int, *args: int, flags: int = 0) -> None:
        """As `Vm.enable_cap`, for this vCPU (KVM_CAP_ENABLE_CAP, KVM API 4.37 and 6)."""
        enable_cap(self.fd, capability, args, flags)

    def _get(self, name: str, struct: str, cls: type[T]) -> T:
        value = ffi.new(f"struct {struct} *")
        ioctl.call(self.fd, name, value)
        return load(cls, value)

    def _set(self, name: str, struct: str, value: object) -> None:
        target = ffi.new(f"struct {struct} *")
        store(value, target)
        ioctl.call(self.fd, name, target)
