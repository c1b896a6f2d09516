"""Interrupts into a VM with an in-kernel irqchip: lines, messages and the routes between."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pykvm._shim import ffi, lib
from pykvm.kvm import ioctl
from pykvm.kvm.vm import Vm
from pykvm.named import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    pass


class IrqchipRoute(NamedTuple):
    """A global system interrupt that goes to a chip's pin.

    Attributes:
        gsi: what `irq_line` and `IrqFd` name.
        chip: the in-kernel chip, a `Chip`.
        pin: 0 to 7 of a PIC, 0 to 23 of the IOAPIC.
    """

    gsi: int
    chip: int
    pin: int


class MsiRoute(NamedTuple):
    """A global system interrupt that sends a message.

    Attributes:
        gsi: what `IrqFd` names.
        address: where the message is written: 0xFEE00000 and what follows (SDM vol. 3A, 11.11).
        data: what is written: vector, delivery mode, trigger.
    """

    gsi: int
    address: int
    data: int


PIC_PINS, IOAPIC_PINS = 8, 24
_PICS = (lib.KVM_IRQCHIP_PIC_MASTER, lib.KVM_IRQCHIP_PIC_SLAVE)


def isa_routes(moved: Mapping[int, int]) -> list[IrqchipRoute]:
    """KVM's routing table of a new VM, but for some that go to another pin of the IOAPIC.

    In it, global system interrupts 0 to 15 go to the PICs, and all 24 to the IOAPIC, each to the
    pin of its number (arch/x86/kvm/irq_comm.c, default_routing).

    Args:
        moved: the IOAPIC's pin by gsi; whatever else went there goes to the PICs only.
    """
    pics = [
        IrqchipRoute(gsi, _PICS[gsi // PIC_PINS], gsi % PIC_PINS) for gsi in range(2 * PIC_PINS)
    ]
    taken = set(moved.values())
    pins = {gsi: gsi for gsi in range(IOAPIC_PINS) if gsi not in taken} | dict(moved)
    return pics + [IrqchipRoute(gsi, lib.KVM_IRQCHIP_IOAPIC, pin) for gsi, pin in pins.items()]


def irq_line(vm: Vm, gsi: int, level: bool) -> None:
    """Drive an interrupt line (KVM_CAP_IRQCHIP, KVM API 4.25).

    An edge-triggered input needs two calls: it latches the rise.

    Args:
        vm: a VM with an `IrqChip`; ENXIO without.
        gsi: unless routed otherwise, 0 to 15 are the PICs' and 0 to 23 the IOAPIC's inputs.
        level: asserted or not.
    """
    line = ffi.new("struct kvm_irq_level *")
    line.irq = gsi
    line.level = level
    ioctl.call(vm.fd, "KVM_IRQ_LINE", line)


def signal_msi(vm: Vm, address: int, data: int) -> bool:
    """Send a message-signalled interrupt (KVM_CAP_SIGNAL_MSI, KVM API 4.71).

    Args:
        vm: a VM with in-kernel local APICs.
        address, data: as in `MsiRoute`.

    Returns:
        Whether it was delivered; False if the guest blocked it.
    """
    msi = ffi.new("struct kvm_msi *")
    msi.address_lo = address & 0xFFFFFFFF
    msi.address_hi = address >> 32
    msi.data = data
    return ioctl.call(vm.fd, "KVM_SIGNAL_MSI", msi) > 0


def set_gsi_routing(vm: Vm, routes: Iterable[IrqchipRoute | MsiRoute]) -> None:
    """Replace the whole routing table (KVM_CAP_IRQ_ROUTING, KVM API 4.52).

    Args:
        vm: a VM with an in-kernel irqchip, whole or split.
        routes: a gsi may have a PIC's and the IOAPIC's pin at once.
    """
    entries = list(routes)
    table = ffi.new("struct kvm_irq_routing *", {"nr": len(entries), "entries": len(entries)})
    for entry, route in zip(table.entries[0 : len(entries)], entries, strict=True):
        entry.gsi = route.gsi
        if isinstance(route, MsiRoute):
            entry.type = lib.KVM_IRQ_ROUTING_MSI
            entry.u.msi.address_lo = route.address & 0xFFFFFFFF
            entry.u.msi.address_hi = route.address >> 32
            entry.u.msi.data = route.data
        else:
            entry.type = lib.KVM_IRQ_ROUTING_IRQCHIP
            entry.u.irqchip.irqchip = route.chip
            entry.u.irqchip.pin = route.pin
    ioctl.call(vm.fd, "KVM_SET_GSI_ROUTING", table)
