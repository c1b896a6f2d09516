"""What an exit that no device handles means, in one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.cpu.stop import Stop, StopReason
from pykvm.kvm import exits
from pykvm.x86 import Mode

if TYPE_CHECKING:
    from pykvm.cpu.snapshot import CpuSnapshot

_HARMLESS = (exits.Intr, exits.IrqWindowOpen, exits.SetTpr, exits.Nmi, exits.BusLock)

_SUBERRORS = {
    1: "KVM could not emulate the instruction at RIP",
    2: "two exceptions came at once, which KVM could not put into the guest",
    3: "an exception came while an event was being delivered, which KVM could not handle",
    4: "the processor left the guest for a reason that KVM did not expect",
}
"""KVM_INTERNAL_ERROR_* (include/uapi/linux/kvm.h)."""


RESET_VECTOR = 0xFFFF_FFF0
"""Where a processor begins after reset (SDM vol. 3A, 10.1.4)."""


def harmless(exit: exits.Exit) -> bool:
    """Whether the guest can simply be entered again."""
    return isinstance(exit, _HARMLESS)


def is_triple_fault(exit: object) -> bool:
    """Whether the processor has shut down, upon which a PC's chipset resets it."""
    return isinstance(exit, exits.Shutdown)


def requested_stop(exit: exits.Exit) -> Stop | None:
    """The stop that the guest asked KVM for, if that is what the exit says."""
    if not isinstance(exit, exits.SystemEvent):
        return None
    match exit.type:
        case 1:
            return Stop(StopReason.HALTED, detail="shut down through KVM")
        case 2:
            return Stop(StopReason.RESET, detail="KVM")
        case _:
            return None


def explain(exit: exits.Exit, cpu: CpuSnapshot | None) -> str:
    """One sentence for an exit that ended the guest; shorter if its registers are not known."""
    match exit:
        case exits.Shutdown():
            return f"triple fault: {_triple_fault(cpu)}"
        case exits.InternalError():
            what = _SUBERRORS.get(exit.suberror, f"KVM's internal error {exit.suberror}")
            return f"{what} ({_where(cpu)})"
        case exits.FailEntry():
            return (
                "the processor refused to enter the guest: its state is invalid "
                f"(hardware reason {exit.hardware_reason:#x})"
            )
        case exits.UnknownExit():
            return f"KVM left the guest for reason {exit.reason}, which pykvm does not know"
        case _:
            return f"KVM left the guest for something that this machine has not: {exit}"


def _triple_fault(cpu: CpuSnapshot | None) -> str:
    if cpu is None:
        return "an exception came that could not be delivered"
    if cpu.linear_rip == RESET_VECTOR:
        return (
            "an exception came that could not be delivered; this host's KVM has reset the "
            "processor since, so its registers tell nothing"
        )
    if not _has_idt(cpu):
        return (
            "an exception or interrupt came and there is no interrupt descriptor table "
            f"(IDT limit {cpu.idt.limit:#x})"
        )
    return "an exception came, and so did one in delivering it, and one in delivering that"


def _where(cpu: CpuSnapshot | None) -> str:
    if cpu is None:
        return "its registers cannot be read"
    if not cpu.code:
        return f"there is no RAM at {cpu.linear_rip:#x}"
    if cpu.mode is not Mode.REAL and not _has_idt(cpu):
        return "there is no interrupt descriptor table, so any exception is the end"
    return f"in {cpu.mode.value} mode, {cpu.code_bits}-bit code"


def _has_idt(cpu: CpuSnapshot) -> bool:
    return cpu.idt.limit >= 7  # one descriptor: eight bytes less one
