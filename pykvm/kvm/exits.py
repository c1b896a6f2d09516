"""Why the guest was left: one frozen dataclass for each reason; `decode` makes them.

The reasons and their fields are those of `struct kvm_run` (KVM API section 5).  What x86 does not
have, or what came after this was written, is an `UnknownExit`.
"""

from __future__ import annotations

from dataclasses import dataclass


class Exit:
    """The base of all exits."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class UnknownExit(Exit):
    """A reason that pykvm does not know, or whose fields make no sense.

    Attributes:
        reason: the number in `exit_reason`; `decode.reason_name` names it.
    """

    reason: int


@dataclass(frozen=True, slots=True)
class Io(Exit):
    """An I/O instruction.  A read is answered by `RunPage.reply_io`, or in the run loop.

    Attributes:
        port: 0 to 0xFFFF.
        size: bytes of one element: 1, 2 or 4.
        count: elements; above 1 for string instructions.
        is_write: whether it was OUT.
        data: size * count bytes that the guest wrote, little-endian; empty for a read.
    """

    port: int
    size: int
    count: int
    is_write: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Mmio(Exit):
    """An access to guest-physical memory that no slot backs, or a write to a read-only one.

    Attributes:
        address: guest-physical.
        size: 1 to 8 bytes; KVM splits wider accesses and those that cross a page.
        is_write: whether it was a write.
        data: what the guest wrote, little-endian; empty for a read.
    """

    address: int
    size: int
    is_write: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Hlt(Exit):
    """HLT, on a VM without an in-kernel local APIC."""


@dataclass(frozen=True, slots=True)
class Shutdown(Exit):
    """A triple fault."""


@dataclass(frozen=True, slots=True)
class Intr(Exit):
    """A signal, or `immediate_exit`, came before the guest did anything to handle."""


@dataclass(frozen=True, slots=True)
class IrqWindowOpen(Exit):
    """The guest can take an interrupt, as `request_interrupt_window` asked."""


@dataclass(frozen=True, slots=True)
class Debug(Exit):
    """A breakpoint, watchpoint or single-step that `Vcpu.set_guest_debug` asked for.

    Attributes:
        exception: 1 (#DB) or 3 (#BP).
        pc: the linear address of the instruction.
        dr6, dr7: what debug registers would say (SDM vol. 3B, 18.2).
    """

    exception: int
    pc: int
    dr6: int
    dr7: int


@dataclass(frozen=True, slots=True)
class InternalError(Exit):
    """KVM could not go on, most often with an instruction that it had to emulate.

    Attributes:
        suberror: KVM_INTERNAL_ERROR_*: 1 emulation, 2 simultaneous exceptions, 3 delivery of an
            event, 4 unexpected hardware exit.
        data: up to 16 numbers; what they mean is KVM's own affair.
        instruction: the bytes that could not be emulated, where KVM tells (up to 15).
    """

    suberror: int
    data: tuple[int, ...]
    instruction: bytes


@dataclass(frozen=True, slots=True)
class FailEntry(Exit):
    """The processor refused to enter the guest, because its state is invalid.

    Attributes:
        hardware_reason: VMX's or SVM's code.
        cpu: the host processor.
    """

    hardware_reason: int
    cpu: int


@dataclass(frozen=True, slots=True)
class HardwareExit(Exit):
    """KVM_EXIT_UNKNOWN: the processor left the guest for a reason that KVM does not know."""

    hardware_reason: int


@dataclass(frozen=True, slots=True)
class ExceptionExit(Exit):
    """An exception in the guest; x86 KVM no longer returns it."""

    exception: int
    error_code: int


@dataclass(frozen=True, slots=True)
class Hypercall(Exit):
    """A hypercall that KVM_CAP_EXIT_HYPERCALL gives to the host; answer: `reply_hypercall`."""

    number: int
    args: tuple[int, ...]
    longmode: bool


@dataclass(frozen=True, slots=True)
class SetTpr(Exit):
    """CR8 was lowered, on a VM without an in-kernel local APIC."""


@dataclass(frozen=True, slots=True)
class TprAccess(Exit):
    """An access to the task priority register by MMIO, with TPR reporting on."""

    rip: int
    is_write: bool


@dataclass(frozen=True, slots=True)
class Nmi(Exit):
    """A host NMI interrupted the guest."""


@dataclass(frozen=True, slots=True)
class SystemEvent(Exit):
    """Shutdown, reset or crash that the guest asked KVM for (KVM_SYSTEM_EVENT_*)."""

    type: int
    data: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class IoapicEoi(Exit):
    """The end of a level-triggered interrupt, on a split irqchip: a userspace IOAPIC's affair."""

    vector: int


@dataclass(frozen=True, slots=True)
class Rdmsr(Exit):
    """RDMSR of `index`, given to the host (KVM_CAP_X86_USER_SPACE_MSR); answer: `reply_msr`.

    Attributes:
        reason: why: 1 invalid, 2 unknown to KVM, 4 filtered (KVM_MSR_EXIT_REASON_*).
    """

    index: int
    reason: int


@dataclass(frozen=True, slots=True)
class Wrmsr(Exit):
    """WRMSR of `value` to `index`; otherwise as `Rdmsr`."""

    index: int
    value: int
    reason: int


@dataclass(frozen=True, slots=True)
class DirtyRingFull(Exit):
    """The dirty ring must be collected before the guest goes on (KVM_CAP_DIRTY_LOG_RING)."""


@dataclass(frozen=True, slots=True)
class ApResetHold(Exit):
    """An SEV-ES guest parked a processor."""


@dataclass(frozen=True, slots=True)
class BusLock(Exit):
    """A split lock (KVM_CAP_X86_BUS_LOCK_EXIT)."""


@dataclass(frozen=True, slots=True)
class Hyperv(Exit):
    """A Hyper-V event; which of `msr`, `number` and `args` hold something depends on `type`."""

    type: int
    msr: int
    number: int
    args: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Xen(Exit):
    """A Xen hypercall."""

    type: int
    longmode: bool
    cpl: int
    number: int
    args: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Notify(Exit):
    """The guest held the processor too long (KVM_CAP_X86_NOTIFY_VMEXIT); flags 1: its state is
    lost."""

    flags: int


@dataclass(frozen=True, slots=True)
class MemoryFault(Exit):
    """Guest memory that the host could not resolve (KVM_CAP_MEMORY_FAULT_INFO)."""

    flags: int
    gpa: int
    size: int
