"""Which interrupt controllers a machine has, and how its devices' lines get there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pykvm._shim import ffi, lib
from pykvm.errors import KvmIoctlError, MachineError
from pykvm.kvm import ioctl
from pykvm.kvm.vm import Vm

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.irq import IrqLine
    from pykvm.kvm.irqchip import IrqChip, Pit, SplitIrqChip


class NoControllers:
    """No interrupt controller: lines lead nowhere, HLT leaves the guest, and one processor is all.

    Attributes:
        irqchip, pit: what is in the kernel of them.
        has_apics: whether each vCPU has a local APIC in the kernel.
    """

    irqchip: IrqChip | SplitIrqChip | None = None
    pit: Pit | None = None
    has_apics = False

    def __init__(self, vm: Vm) -> None:
        """Make them, before the first vCPU."""
        self.vm = vm

    def connect(self, gsi: int, line: IrqLine, on_failure: Callable[[Exception], None]) -> None:
        """Have a line drive a global system interrupt.

        Args:
            gsi: 0 to 15 are the ISA interrupts.
            line: what a device sets.
            on_failure: called when the host refuses; a device could not do anything about it.
        """

    def end_of_interrupt(self, vector: int) -> None:
        """The guest has ended a level-triggered interrupt (KVM_EXIT_IOAPIC_EOI)."""

    def may_wake_halted(self) -> bool:
        """Whether they may yet wake a processor that halts with RFLAGS.IF = 0."""
        return False

    def copy(self, new: Self) -> None:
        """Take over the state of another VM's; lines keep their levels."""


class SplitControllers(NoControllers):
    """Local APICs in the kernel, all else left to userspace (KVM_CAP_SPLIT_IRQCHIP).

    There is no IOAPIC yet: it goes here.  `connect` is to lead to its pins, what it delivers to
    `signal_msi`, and `end_of_interrupt` to it; `may_wake_halted` and `copy` ask it, too.
    """

    has_apics = True

    def __init__(self, vm: Vm) -> None:
        from pykvm.kvm.irqchip import SplitIrqChip

        super().__init__(vm)
        self.irqchip = SplitIrqChip(vm)


class KernelControllers(NoControllers):
    """Two PICs, an IOAPIC, local APICs and a PIT with the speaker's port, all in the kernel."""

    has_apics = True

    def __init__(self, vm: Vm) -> None:
        from pykvm.kvm.irqchip import IrqChip, Pit

        super().__init__(vm)
        self._chip = IrqChip(vm)
        self._pit = Pit(self._chip)
        self.irqchip, self.pit = self._chip, self._pit
        self._lines: list[tuple[IrqLine, Callable[[bool], None]]] = []

    def connect(self, gsi: int, line: IrqLine, on_failure: Callable[[Exception], None]) -> None:
        """Have a line drive a global system interrupt as a level (KVM_IRQ_LINE)."""
        low, high = (_irq_level(gsi, level) for level in (False, True))

        def drive(level: bool) -> None:
            if self.vm.fd < 0:
                return  # a closed machine's device may still be used
            try:
                ioctl.call(self.vm.fd, "KVM_IRQ_LINE", high if level else low)
            except KvmIoctlError as error:
                on_failure(error)

        line.listener = drive
        self._lines.append((line, drive))

    def may_wake_halted(self) -> bool:
        """Whether the IOAPIC has an entry that IF does not hold back."""
        return self._chip.may_wake_halted()

    def copy(self, new: Self) -> None:
        """Take over the state of another VM's; lines keep their levels."""
        self._chip.copy(new._chip)
        self._pit.copy(new._pit)
        for line, drive in self._lines:
            drive(False)
            if line.level:
                drive(True)


def _irq_level(gsi: int, level: bool) -> object:
    return ffi.new("struct kvm_irq_level *", {"irq": gsi, "level": level})


KINDS = {"kernel": KernelControllers, "split": SplitControllers, "none": NoControllers}
"""By the names that users know."""

MAX_PROCESSORS = 255
"""xAPIC ids are of 8 bits, the last of them for broadcasts (SDM vol. 3A, 11.4.6)."""


VCPUS_UNTOLD = 4
"""How many vCPUs a host has that does not say (KVM API 4.7)."""


def check_processors(vm: Vm, count: int, kind: str) -> None:
    """Refuse what cannot be had.

    Raises:
        MachineError: `kind` is unknown; `count` is below 1, more than the host's KVM allows, or
            more than 1 without local APICs.
    """
    if kind not in KINDS:
        raise MachineError(f"irqchip {kind!r}: it is one of {', '.join(KINDS)}")
    if count < 1:
        raise MachineError(f"a machine has at least 1 processor, not {count}")
    if count == 1:
        return
    if not KINDS[kind].has_apics:
        raise MachineError(
            f"{count} processors need local APICs to start each other: "
            "irqchip kernel or split, not none"
        )
    limit = min(vm.check(lib.KVM_CAP_MAX_VCPUS) or VCPUS_UNTOLD, MAX_PROCESSORS)
    if count > limit:
        raise MachineError(f"{count} processors: this host's KVM gives a machine at most {limit}")
