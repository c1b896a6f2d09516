"""From `struct kvm_run` to an `Exit`: total, whatever stands in the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pykvm._shim import ffi, lib
from pykvm.kvm import exits

REASONS = (
    "UNKNOWN",
    "EXCEPTION",
    "IO",
    "HYPERCALL",
    "DEBUG",
    "HLT",
    "MMIO",
    "IRQ_WINDOW_OPEN",
    "SHUTDOWN",
    "FAIL_ENTRY",
    "INTR",
    "SET_TPR",
    "TPR_ACCESS",
    "S390_SIEIC",
    "S390_RESET",
    "DCR",
    "NMI",
    "INTERNAL_ERROR",
    "OSI",
    "PAPR_HCALL",
    "S390_UCONTROL",
    "WATCHDOG",
    "S390_TSCH",
    "EPR",
    "SYSTEM_EVENT",
    "S390_STSI",
    "IOAPIC_EOI",
    "HYPERV",
    "ARM_NISV",
    "X86_RDMSR",
    "X86_WRMSR",
    "DIRTY_RING_FULL",
    "AP_RESET_HOLD",
    "X86_BUS_LOCK",
    "XEN",
    "RISCV_SBI",
    "RISCV_CSR",
    "NOTIFY",
    "LOONGARCH_IOCSR",
    "MEMORY_FAULT",
    "TDX",
    "ARM_SEA",
)
"""What follows KVM_EXIT_ in <linux/kvm.h>, by number."""


def reason_name(reason: int) -> str:
    """The name of an exit reason, e.g. "KVM_EXIT_HLT"; the number itself for an unknown one."""
    return f"KVM_EXIT_{REASONS[reason]}" if reason < len(REASONS) else f"exit reason {reason}"


def exit_name(reason: int) -> str:
    """The same without the KVM_EXIT_ that is before them all: "HLT"."""
    return REASONS[reason] if reason < len(REASONS) else f"reason {reason}"


def decode(run: Any, size: int) -> exits.Exit:
    """The exit that a run page holds.

    Args:
        run: `struct kvm_run *`.
        size: how many bytes are mapped there; data outside of them is not followed.
    """
    details = ffi.new("struct shim_details *")
    lib.shim_details(run, details)
    if details.reason in (lib.KVM_EXIT_IO, lib.KVM_EXIT_MMIO):
        data = access_data(run, size, details)
        if data is None:
            return exits.UnknownExit(details.reason)
        return _access(details, bytes(data) if details.is_write else b"")
    maker = _MAKERS.get(REASONS[details.reason]) if details.reason < len(REASONS) else None
    return maker(details) if maker is not None else exits.UnknownExit(details.reason)


def access_data(run: Any, size: int, details: Any) -> Any:
    """The buffer of a pending I/O or MMIO access; None if there is none that makes sense."""
    length = details.size * details.count
    wide = 4 if details.reason == lib.KVM_EXIT_IO else 8
    if not 0 < details.size <= wide or not length or details.data_offset + length > size:
        return None
    return ffi.buffer(ffi.cast("uint8_t *", run) + details.data_offset, length)


def _access(d: Any, data: bytes) -> exits.Exit:
    if d.reason == lib.KVM_EXIT_IO:
        return exits.Io(d.address, d.size, d.count, bool(d.is_write), data)
    return exits.Mmio(d.address, d.size, bool(d.is_write), data)


def _internal_error(d: Any) -> exits.Exit:
    return exits.InternalError(d.type, _data(d), bytes(d.insn_bytes[0 : d.insn_size]))


def _data(d: Any) -> tuple[int, ...]:
    return tuple(d.data[0 : d.ndata])


_MAKERS: dict[str, Callable[[Any], exits.Exit]] = {
    "UNKNOWN": lambda d: exits.HardwareExit(d.hardware_reason),
    "EXCEPTION": lambda d: exits.ExceptionExit(d.exception, d.error_code),
    "HYPERCALL": lambda d: exits.Hypercall(d.number, tuple(d.args), bool(d.longmode)),
    "DEBUG": lambda d: exits.Debug(d.debug_exception, d.pc, d.dr6, d.dr7),
    "HLT": lambda d: exits.Hlt(),
    "IRQ_WINDOW_OPEN": lambda d: exits.IrqWindowOpen(),
    "SHUTDOWN": lambda d: exits.Shutdown(),
    "FAIL_ENTRY": lambda d: exits.FailEntry(d.hardware_reason, d.cpu),
    "INTR": lambda d: exits.Intr(),
    "SET_TPR": lambda d: exits.SetTpr(),
    "TPR_ACCESS": lambda d: exits.TprAccess(d.pc, bool(d.is_write)),
    "NMI": lambda d: exits.Nmi(),
    "INTERNAL_ERROR": _internal_error,
    "SYSTEM_EVENT": lambda d: exits.SystemEvent(d.type, _data(d)),
    "IOAPIC_EOI": lambda d: exits.IoapicEoi(d.vector),
    "HYPERV": lambda d: exits.Hyperv(d.type, d.msr_index, d.number, tuple(d.args)),
    "X86_RDMSR": lambda d: exits.Rdmsr(d.msr_index, d.msr_reason),
    "X86_WRMSR": lambda d: exits.Wrmsr(d.msr_index, d.msr_data, d.msr_reason),
    "DIRTY_RING_FULL": lambda d: exits.DirtyRingFull(),
    "AP_RESET_HOLD": lambda d: exits.ApResetHold(),
    "X86_BUS_LOCK": lambda d: exits.BusLock(),
    "XEN": lambda d: exits.Xen(d.type, bool(d.longmode), d.cpl, d.number, tuple(d.args)),
    "NOTIFY": lambda d: exits.Notify(d.flags),
    "MEMORY_FAULT": lambda d: exits.MemoryFault(d.flags, d.gpa, d.gpa_size),
}
