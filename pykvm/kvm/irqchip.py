"""Interrupt controllers and the timer that KVM emulates in the kernel.

Making one of these objects turns the device on; it lives as long as the VM.  All of them must be
made before the first vCPU.
"""

from __future__ import annotations

from pykvm._shim import ffi, lib
from pykvm.kvm import ioctl
from pykvm.kvm.structs import load, store
from pykvm.kvm.vm import Vm
from pykvm.named import TYPE_CHECKING
from pykvm.x86 import is_unmaskable

if TYPE_CHECKING:
    from typing import Any

    from pykvm.kvm.chipstate import Chip, IoapicState, PicState, PitState


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
        from pykvm.kvm.chipstate import PicState

        return load(PicState, self._get(chip).chip.pic)

    def set_pic(self, chip: Chip, state: PicState) -> None:
        """Set the state of one of the PICs (KVM_CAP_IRQCHIP, KVM API 4.27)."""
        irqchip = _irqchip(chip)
        store(state, irqchip.chip.pic)
        ioctl.call(self.vm.fd, "KVM_SET_IRQCHIP", irqchip)

    def get_ioapic(self) -> IoapicState:
        """The IOAPIC's state (KVM_CAP_IRQCHIP, KVM API 4.26)."""
        from pykvm.kvm.chipstate import IoapicState

        ioapic = self._get(lib.KVM_IRQCHIP_IOAPIC).chip.ioapic
        return IoapicState(
            ioapic.base_address,
            ioapic.ioregsel,
            ioapic.id,
            ioapic.irr,
            tuple(entry.bits for entry in ioapic.redirtbl),
        )

    def set_ioapic(self, state: IoapicState) -> None:
        """Set the IOAPIC's state (KVM_CAP_IRQCHIP, KVM API 4.27)."""
        irqchip = _irqchip(lib.KVM_IRQCHIP_IOAPIC)
        ioapic = irqchip.chip.ioapic
        ioapic.base_address = state.base_address
        ioapic.ioregsel = state.ioregsel
        ioapic.id = state.id
        ioapic.irr = state.irr
        for entry, bits in zip(ioapic.redirtbl, state.redirection, strict=True):
            entry.bits = bits
        ioctl.call(self.vm.fd, "KVM_SET_IRQCHIP", irqchip)

    def may_wake_halted(self) -> bool:
        """Whether an input of the IOAPIC can send what no processor masks: NMI, SMI or INIT.

        Source: 82093AA datasheet, 3.2.4: the delivery mode is in bits 8 to 10 of an entry.
        """
        entries = self._get(lib.KVM_IRQCHIP_IOAPIC).chip.ioapic.redirtbl
        return any(is_unmaskable(entry.bits) for entry in entries)

    def copy(self, other: IrqChip) -> None:
        """Take over the state of another VM's chips, both PICs and the IOAPIC."""
        chips = (lib.KVM_IRQCHIP_PIC_MASTER, lib.KVM_IRQCHIP_PIC_SLAVE, lib.KVM_IRQCHIP_IOAPIC)
        for chip in chips:
            ioctl.call(self.vm.fd, "KVM_SET_IRQCHIP", other._get(chip))

    def _get(self, chip: int) -> Any:
        irqchip = _irqchip(chip)
        ioctl.call(self.vm.fd, "KVM_GET_IRQCHIP", irqchip)
        return irqchip


def _irqchip(chip: int) -> Any:
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
        from pykvm.kvm.chipstate import PitState

        return load(PitState, self._get())

    def set_state(self, state: PitState) -> None:
        """Set its counters (KVM_CAP_PIT_STATE2, KVM API 4.73)."""
        struct = ffi.new("struct kvm_pit_state2 *")
        store(state, struct)
        ioctl.call(self.vm.fd, "KVM_SET_PIT2", struct)

    def copy(self, other: Pit) -> None:
        """Take over the state of another VM's timer."""
        ioctl.call(self.vm.fd, "KVM_SET_PIT2", other._get())

    def _get(self) -> Any:
        state = ffi.new("struct kvm_pit_state2 *")
        ioctl.call(self.vm.fd, "KVM_GET_PIT2", state)
        return state
