"""The KVM API one to one: a class for each descriptor, a method for each ioctl.

Usable alone: nothing here knows pykvm's machines, buses or devices.  Names are imported at their
first use, so that a program pays for what it uses only.

    with System() as system, Vm(system) as vm:
        vm.set_memory_slot(0, gpa=0, size=size, host_address=address)
        with Vcpu(vm, 0) as vcpu:
            exit = vcpu.run()

The exits are in `pykvm.kvm.exits`.
"""

from __future__ import annotations

from importlib import import_module

from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from pykvm.kvm.capabilities import Capability
    from pykvm.kvm.chipstate import Chip, IoapicState, PicState, PitChannel, PitState
    from pykvm.kvm.coalesced import CoalescedWrite, CoalescedZone
    from pykvm.kvm.cpuid import CpuidEntry, CpuidFlag
    from pykvm.kvm.eventfd import IoEventFd, IrqFd
    from pykvm.kvm.interrupts import (
        IrqchipRoute,
        MsiRoute,
        irq_line,
        set_gsi_routing,
        signal_msi,
    )
    from pykvm.kvm.irqchip import IrqChip, Pit, SplitIrqChip
    from pykvm.kvm.memory_flags import MemoryFlag
    from pykvm.kvm.msrs import MsrError
    from pykvm.kvm.registers import Regs, Sregs
    from pykvm.kvm.runpage import RunPage
    from pykvm.kvm.state import (
        DebugControl,
        DebugRegs,
        EventFlag,
        Fpu,
        MpState,
        VcpuEvents,
    )
    from pykvm.kvm.sync_regs import SyncFlag, SyncRegs
    from pykvm.kvm.system import System
    from pykvm.kvm.vcpu import Vcpu
    from pykvm.kvm.vm import Vm, dirty_pages

_EXPORTS = {
    "capabilities": ("Capability",),
    "chipstate": ("Chip", "IoapicState", "PicState", "PitChannel", "PitState"),
    "coalesced": ("CoalescedWrite", "CoalescedZone"),
    "cpuid": ("CpuidEntry", "CpuidFlag"),
    "eventfd": ("IoEventFd", "IrqFd"),
    "interrupts": ("IrqchipRoute", "MsiRoute", "irq_line", "set_gsi_routing", "signal_msi"),
    "irqchip": ("IrqChip", "Pit", "SplitIrqChip"),
    "msrs": ("MsrError",),
    "registers": ("Regs", "Sregs"),
    "runpage": ("RunPage",),
    "state": ("DebugControl", "DebugRegs", "EventFlag", "Fpu", "MpState", "VcpuEvents"),
    "sync_regs": ("SyncFlag", "SyncRegs"),
    "system": ("System",),
    "vcpu": ("Vcpu",),
    "memory_flags": ("MemoryFlag",),
    "vm": ("Vm", "dirty_pages"),
}

__all__ = [
    "Capability",
    "Chip",
    "CoalescedWrite",
    "CoalescedZone",
    "CpuidEntry",
    "CpuidFlag",
    "DebugControl",
    "DebugRegs",
    "EventFlag",
    "Fpu",
    "IoEventFd",
    "IoapicState",
    "IrqChip",
    "IrqFd",
    "IrqchipRoute",
    "MemoryFlag",
    "MpState",
    "MsiRoute",
    "MsrError",
    "PicState",
    "Pit",
    "PitChannel",
    "PitState",
    "Regs",
    "RunPage",
    "SplitIrqChip",
    "Sregs",
    "SyncFlag",
    "SyncRegs",
    "System",
    "Vcpu",
    "VcpuEvents",
    "Vm",
    "dirty_pages",
    "irq_line",
    "set_gsi_routing",
    "signal_msi",
]


def __getattr__(name: str) -> object:
    for module, names in _EXPORTS.items():
        if name in names:
            value = getattr(import_module(f"pykvm.kvm.{module}"), name)
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
