"""Which interrupt controllers a machine has, and how its devices' lines get there."""

from __future__ import annotations

from errno import EPERM

from pykvm._shim import ffi, lib
from pykvm.boot.platform import KVM_IOAPIC_VERSION
from pykvm.errors import KvmIoctlError, MachineError
from pykvm.irq import SharedLine
from pykvm.kvm import ioctl
from pykvm.kvm.vm import Vm
from pykvm.layout import IOAPIC, IOAPIC_TIMER_PIN, ISA_IRQS, SPEAKER, TIMER_IRQ
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from pykvm.bus import Bus
    from pykvm.devices.speaker import Speaker
    from pykvm.irq import IrqLine
    from pykvm.isa_interrupts import IsaInterrupts
    from pykvm.kvm.irqchip import IrqChip, Pit, SplitIrqChip


class NoControllers:
    """No interrupt controller: lines lead nowhere, HLT leaves the guest, and one processor is all.

    Attributes:
        irqchip, pit: what is in the kernel of them.
        has_apics: whether each vCPU has a local APIC in the kernel.
        has_pics: whether there are two PICs, and a PIT, wherever.
        ioapic_version: what the IOAPIC's version register says, in its low byte; None for none.
        isa: the PICs and the PIT, if they are devices of this process, for the processor to ask.
    """

    irqchip: IrqChip | SplitIrqChip | None = None
    pit: Pit | None = None
    has_apics = False
    has_pics = False
    ioapic_version: int | None = None
    isa: IsaInterrupts | None = None

    def __init__(self, vm: Vm | None = None) -> None:
        """Make them, before the first vCPU; without a VM for those that need none."""
        self._speaker: Speaker | None = None

    def attach(self, ports: Bus, mmio: Bus) -> None:
        """Attach those that are devices of this process, and the speaker's port, unless a PIT in
        the kernel has it."""
        from pykvm.devices.speaker import Speaker

        self._speaker = Speaker()
        ports.attach(SPEAKER, 1, self._speaker)

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
        if self._speaker is not None:
            self._speaker.reset()


class SplitControllers(NoControllers):
    """Local APICs in the kernel, an IOAPIC of this process; neither PICs nor a PIT.

    What the IOAPIC delivers is a message to the local APICs.  KVM tells of the end of an interrupt
    whose vector it finds level-triggered in its routing table, so that table follows the IOAPIC's
    (KVM_CAP_SPLIT_IRQCHIP, KVM API 7.5).
    """

    has_apics = True

    def __init__(self, vm: Vm) -> None:
        from pykvm.devices.ioapic import VERSION, IoApic
        from pykvm.kvm.irqchip import SplitIrqChip

        super().__init__(vm)
        self.vm = vm
        self.irqchip = SplitIrqChip(vm)
        self.ioapic_version = VERSION
        self._ioapic = IoApic(self._deliver, on_route_change=self._set_routes)
        self._pins: dict[int, SharedLine] = {}

    def attach(self, ports: Bus, mmio: Bus) -> None:
        """Attach the IOAPIC, and the speaker's port."""
        from pykvm.devices.ioapic import LENGTH

        super().attach(ports, mmio)
        mmio.attach(IOAPIC, LENGTH, self._ioapic)

    def connect(self, gsi: int, line: IrqLine, on_failure: Callable[[Exception], None]) -> None:
        """Have a line drive a pin of the IOAPIC."""
        number = IOAPIC_TIMER_PIN if gsi == TIMER_IRQ else gsi
        # ISA interrupt 0 and global system interrupt 2 are the same pin
        shared = self._pins.setdefault(number, SharedLine())
        shared.line.listener = self._ioapic.line(number).set
        pin = shared.new_input()

        def drive(level: bool) -> None:
            if self.vm.fd < 0:
                return  # a closed machine's device may still be used
            try:
                pin.set(level)
            except KvmIoctlError as error:
                on_failure(error)

        line.listener = drive

    def end_of_interrupt(self, vector: int) -> None:
        """The guest has ended a level-triggered interrupt (KVM_EXIT_IOAPIC_EOI)."""
        self._ioapic.end_of_interrupt(vector)

    def may_wake_halted(self) -> bool:
        """Whether the IOAPIC has an entry that IF does not hold back."""
        return self._ioapic.may_send_unmaskable()

    def copy(self, new: Self) -> None:
        """Make the IOAPIC as new; lines keep their levels."""
        super().copy(new)
        self._ioapic.reset()

    def _deliver(self, address: int, data: int) -> bool:
        from pykvm.kvm.interrupts import signal_msi

        try:
            return signal_msi(self.vm, address, data)
        except KvmIoctlError as error:
            # KVM's word for a message that no local APIC answers to: the guest's affair
            if error.errno != EPERM:
                raise
            return False

    def _set_routes(self) -> None:
        from pykvm.kvm.interrupts import MsiRoute, set_gsi_routing

        set_gsi_routing(self.vm, (MsiRoute(*route) for route in self._ioapic.routes()))


class KernelControllers(NoControllers):
    """Two PICs, an IOAPIC, local APICs and a PIT with the speaker's port, all in the kernel."""

    has_apics = has_pics = True
    ioapic_version = KVM_IOAPIC_VERSION

    def __init__(self, vm: Vm) -> None:
        from pykvm.kvm.irqchip import IrqChip, Pit

        super().__init__(vm)
        self.vm = vm
        self._chip = IrqChip(vm)
        self._route_timer()
        self._pit = Pit(self._chip)
        self.irqchip, self.pit = self._chip, self._pit
        self._lines: list[tuple[IrqLine, Callable[[bool], None]]] = []

    def attach(self, ports: Bus, mmio: Bus) -> None:
        """Nothing: all is in the kernel."""

    def _route_timer(self) -> None:
        """Lead ISA interrupt 0 to the IOAPIC's input 2, where PCs have it and the tables say so;
        KVM would lead it to input 0."""
        from pykvm.kvm.interrupts import isa_routes, set_gsi_routing

        set_gsi_routing(self.vm, isa_routes({TIMER_IRQ: IOAPIC_TIMER_PIN}))

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


class UserControllers(NoControllers):
    """Two PICs and a PIT with the speaker's port, all of this process; the kernel has nothing.

    HLT leaves the guest, and what interrupts it, it is given by hand (`pykvm.cpu.injection`).
    """

    has_pics = True

    def __init__(self, vm: Vm | None = None) -> None:
        from pykvm.isa_interrupts import IsaInterrupts

        super().__init__(vm)
        self._isa = self.isa = IsaInterrupts()

    def attach(self, ports: Bus, mmio: Bus) -> None:
        """Attach all of them."""
        self._isa.attach(ports)

    def connect(self, gsi: int, line: IrqLine, on_failure: Callable[[Exception], None]) -> None:
        """Have a line drive an input of the PICs; 16 and above lead nowhere."""
        if gsi < ISA_IRQS:
            line.listener = lambda level: self._isa.set_input(gsi, level)

    def copy(self, new: Self) -> None:
        """Make all of them as new; lines keep their levels."""
        self._isa.reset()


def _irq_level(gsi: int, level: bool) -> object:
    return ffi.new("struct kvm_irq_level *", {"irq": gsi, "level": level})


KINDS: dict[str, type[NoControllers]] = {
    "kernel": KernelControllers,
    "split": SplitControllers,
    "user": UserControllers,
    "none": NoControllers,
}
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
            f"irqchip kernel or split, not {kind}"
        )
    limit = min(vm.check(lib.KVM_CAP_MAX_VCPUS) or VCPUS_UNTOLD, MAX_PROCESSORS)
    if count > limit:
        raise MachineError(f"{count} processors: this host's KVM gives a machine at most {limit}")
