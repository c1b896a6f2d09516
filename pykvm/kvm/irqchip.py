"""Interrupt controllers and the timer that KVM emulates in the kernel.

Making one of these objects turns the device on; it lives as long as the VM.  All of them must be
made before the first vCPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from pykvm._shim import ffi, lib
from pykvm.kvm import ioctl
from pykvm.kvm.structs import NESTED, load, store
from pykvm.kvm.vm import Vm


class Chip(IntEnum):
    """The chips of an in-kernel irqchip (KVM API 4.26)."""

    PIC_MASTER = 0
    PIC_SLAVE = 1
    IOAPIC = 2


@dataclass(slots=True)
class PicState:
    """An 8259A, field for field `struct kvm_pic_state`."""

    last_irr: int = 0
    irr: int = 0
    imr: int = 0
    isr: int = 0
    priority_add: int = 0
    irq_base: int = 0
    read_reg_select: int = 0
    poll: int = 0
    special_mask: int = 0
    init_state: int = 0
    auto_eoi: int = 0
    rotate_on_auto_eoi: int = 0
    special_fully_nested_mode: int = 0
    init4: int = 0
    elcr: int = 0
    elcr_mask: int = 0


@dataclass(slots=True)
class IoapicState:
    """The 82093AA, `struct kvm_ioapic_state`.

    Attributes:
        base_address: guest-physical address of its registers.
        ioregsel, id, irr: its registers.
        redirection: the 24 redirection table entries, 64 bits each.
    """

    base_address: int = 0xFEC00000
    ioregsel: int = 0
    id: int = 0
    irr: int = 0
    redirection: tuple[int, ...] = (1 << 16,) * 24


@dataclass(slots=True)
class PitChannel:
    """One counter of the 8254, field for field `struct kvm_pit_channel_state`."""

    count: int = 0
    latched_count: int = 0
    count_latched: int = 0
    status_latched: int = 0
    status: int = 0
    read_state: int = 0
    write_state: int = 0
    write_latch: int = 0
    rw_mode: int = 0
    mode: int = 0
    bcd: int = 0
    gate: int = 0
    count_load_time: int = 0


@dataclass(slots=True)
class PitState:
    """The 8254, `struct kvm_pit_state2`.

    Attributes:
        channels: its three counters.
        flags: 1 for HPET legacy mode, 2 for speaker data on.
    """

    channels: tuple[PitChannel, ...] = (PitChannel(), PitChannel(), PitChannel())
    flags: int = 0


NESTED["struct kvm_pit_channel_state"] = PitChannel


class IrqChip:
    """Two PICs, an IOAPIC and, for each vCPU to come, a local APIC, all in the kernel.

    KVM_CAP_IRQCHIP, KVM API 4.24 (KVM_CREATE_IRQCHIP).

    Raises:
        KvmIoctlError: EEXIST: the VM has one; EINVAL: it has a vCPU already.
    """

    def __init__(self, vm: Vm) -> None:
        self.vm = vm
        ioctl.call(vm.fd, "KVM_CREATE_IRQCHIP")

    def get_pic(self, chip: Chip) -> PicState:
        """The state of one of the PICs (KVM_CAP_IRQCHIP, KVM API 4.26)."""
        return load(PicState, self._get(chip).chip.pic)

    def set_pic(self, chip: Chip, state: PicState) -> None:
        """Set the state of one of the PICs (KVM_CAP_IRQCHIP, KVM API 4.27)."""
        irqchip = _irqchip(chip)
        store(state, irqchip.chip.pic)
        ioctl.call(self.vm.fd, "KVM_SET_IRQCHIP", irqchip)

    def get_ioapic(self) -> IoapicState:
        """The IOAPIC's state (KVM_CAP_IRQCHIP, KVM API 4.26)."""
        ioapic = self._get(Chip.IOAPIC).chip.ioapic
        return IoapicState(
            ioapic.base_address,
            ioapic.ioregsel,
            ioapic.id,
            ioapic.irr,
            tuple(entry.bits for entry in ioapic.redirtbl),
        )

    def set_ioapic(self, state: IoapicState) -> None:
        """Set the IOAPIC's state (KVM_CAP_IRQCHIP, KVM API 4.27)."""
        irqchip = _irqchip(Chip.IOAPIC)
        ioapic = irqchip.chip.ioapic
        ioapic.base_address = state.base_address
        ioapic.ioregsel = state.ioregsel
        ioapic.id = state.id
        ioapic.irr = state.irr
        for entry, bits in zip(ioapic.redirtbl, state.redirection, strict=True):
            entry.bits = bits
        ioctl.call(self.vm.fd, "KVM_SET_IRQCHIP", irqchip)

    def _get(self, chip: Chip) -> Any:
        irqchip = _irqchip(chip)
        ioctl.call(self.vm.fd, "KVM_GET_IRQCHIP", irqchip)
        return irqchip


def _irqchip(chip: Chip) -> Any:
    irqchip = ffi.new("struct kvm_irqchip *")
    irqchip.chip_id = int(chip)
    return irqchip


class SplitIrqChip:
    """Local APICs in the kernel; PIC and IOAPIC are left to the host.

    KVM_CAP_SPLIT_IRQCHIP, KVM API 7.5.

    Args:
        vm: a VM without vCPUs and without another irqchip.
        pins: how many MSI routes stand for the pins of the host's IOAPIC, 0 to 24.
    """

    def __init__(self, vm: Vm, pins: int = 24) -> None:
        self.vm = vm
        vm.enable_cap(lib.KVM_CAP_SPLIT_IRQCHIP, pins)


class Pit:
    """An 8254 timer in the kernel, on IRQ 0 of the VM's `IrqChip`, ports 0x40 to 0x43 and 0x61.

    KVM_CAP_PIT2, KVM API 4.71 (KVM_CREATE_PIT2).

    Args:
        irqchip: the controller that it interrupts through.
        speaker: also claim port 0x61, so that a guest's wait loops see its output.
    """

    def __init__(self, irqchip: IrqChip, *, speaker: bool = True) -> None:
        self.vm = irqchip.vm
        config = ffi.new("struct kvm_pit_config *")
        config.flags = int(speaker)  # KVM_PIT_SPEAKER_DUMMY
        ioctl.call(self.vm.fd, "KVM_CREATE_PIT2", config)

    def get_state(self) -> PitState:
        """Its counters (KVM_CAP_PIT_STATE2, KVM API 4.72)."""
        state = ffi.new("struct kvm_pit_state2 *")
        ioctl.call(self.vm.fd, "KVM_GET_PIT2", state)
        return load(PitState, state)

    def set_state(self, state: PitState) -> None:
        """Set its counters (KVM_CAP_PIT_STATE2, KVM API 4.73)."""
        struct = ffi.new("struct kvm_pit_state2 *")
        store(state, struct)
        ioctl.call(self.vm.fd, "KVM_SET_PIT2", struct)
