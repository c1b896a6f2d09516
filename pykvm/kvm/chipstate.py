"""The state of the interrupt controllers and the timer that KVM emulates, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from pykvm.kvm.structs import NESTED


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
