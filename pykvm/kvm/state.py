"""A vCPU's less common state, as values: x87 and SSE, debug registers, pending events."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

from pykvm._shim import lib
from pykvm.kvm.structs import load, store


class MpState(IntEnum):
    """The multiprocessing states x86 has (KVM API 4.38)."""

    RUNNABLE = 0
    UNINITIALIZED = 1
    INIT_RECEIVED = 2
    HALTED = 3
    SIPI_RECEIVED = 4
    AP_RESET_HOLD = 9


class DebugControl(IntFlag):
    """What `Vcpu.set_guest_debug` turns on (KVM API 4.87)."""

    ENABLE = 0x1
    SINGLESTEP = 0x2
    USE_SW_BP = 0x10000
    USE_HW_BP = 0x20000
    INJECT_DB = 0x40000
    INJECT_BP = 0x80000
    BLOCKIRQ = 0x100000


class EventFlag(IntFlag):
    """Which optional fields of `VcpuEvents` count (KVM API 4.31, 4.32)."""

    NMI_PENDING = 0x1
    SIPI_VECTOR = 0x2
    SHADOW = 0x4
    SMM = 0x8
    PAYLOAD = 0x10
    TRIPLE_FAULT = 0x20


@dataclass(slots=True)
class Fpu:
    """The x87 and SSE registers, field for field `struct kvm_fpu`.

    Attributes:
        fpr: ST0 to ST7, 16 bytes each, of which 10 hold the value.
        fcw, fsw: control and status word.
        ftwx: the tag word, abridged as FXSAVE stores it (SDM vol. 1, 10.5.1.1).
        last_opcode, last_ip, last_dp: of the last x87 instruction.
        xmm: XMM0 to XMM15, 16 bytes each.
        mxcsr: SSE control and status.
    """

    fpr: tuple[bytes, ...] = (bytes(16),) * 8
    fcw: int = 0x37F
    fsw: int = 0
    ftwx: int = 0
    last_opcode: int = 0
    last_ip: int = 0
    last_dp: int = 0
    xmm: tuple[bytes, ...] = (bytes(16),) * 16
    mxcsr: int = 0x1F80


@dataclass(slots=True)
class DebugRegs:
    """The guest's own debug registers, field for field `struct kvm_debugregs`.

    Attributes:
        db: DR0 to DR3, linear addresses.
        dr6, dr7: status and control (SDM vol. 3B, 18.2).
        flags: none are defined.
    """

    db: tuple[int, ...] = (0, 0, 0, 0)
    dr6: int = 0xFFFF0FF0
    dr7: int = 0x400
    flags: int = 0


@dataclass(slots=True)
class VcpuEvents:
    """What is pending or being delivered: `struct kvm_vcpu_events`, its inner structs flat.

    Attributes:
        exception_*, interrupt_*, nmi_*, smi_*: 0 or 1, but for the vectors `_nr`, the error code,
            the payload and `interrupt_shadow` (1: after MOV SS, 2: after STI).
        sipi_vector: the page number of the start-up code.
        flags: `EventFlag`: which optional fields were valid, or are to be set.
        triple_fault_pending: valid with EventFlag.TRIPLE_FAULT (KVM_CAP_X86_TRIPLE_FAULT_EVENT).
    """

    exception_injected: int = 0
    exception_nr: int = 0
    exception_has_error_code: int = 0
    exception_pending: int = 0
    exception_error_code: int = 0
    interrupt_injected: int = 0
    interrupt_nr: int = 0
    interrupt_soft: int = 0
    interrupt_shadow: int = 0
    nmi_injected: int = 0
    nmi_pending: int = 0
    nmi_masked: int = 0
    sipi_vector: int = 0
    flags: int = 0
    smi_smm: int = 0
    smi_pending: int = 0
    smi_smm_inside_nmi: int = 0
    smi_latched_init: int = 0
    exception_has_payload: int = 0
    exception_payload: int = 0
    triple_fault_pending: int = 0


_FLAT = ("sipi_vector", "flags", "exception_has_payload", "exception_payload")


def load_events(struct: Any) -> VcpuEvents:
    """Make `VcpuEvents` from a `struct kvm_vcpu_events *`."""
    return load(VcpuEvents, _EventsView(struct))


def store_events(events: VcpuEvents, struct: Any) -> None:
    """Write `VcpuEvents` to a `struct kvm_vcpu_events *`."""
    store(events, _EventsView(struct))


class _EventsView:
    """The struct with names as `VcpuEvents` has them: `nmi_pending` for `nmi.pending`."""

    def __init__(self, struct: Any) -> None:
        object.__setattr__(self, "_struct", struct)

    def _locate(self, name: str) -> tuple[Any, str]:
        if name in _FLAT:
            return self._struct, name
        group, _, field = name.partition("_")
        return getattr(self._struct, group), field

    def __getattr__(self, name: str) -> int:
        if name == "triple_fault_pending":
            return int(lib.shim_triple_fault(self._struct)[0])
        value: int = getattr(*self._locate(name))
        return value

    def __setattr__(self, name: str, value: int) -> None:
        if name == "triple_fault_pending":
            lib.shim_triple_fault(self._struct)[0] = value
        else:
            setattr(*self._locate(name), value)
