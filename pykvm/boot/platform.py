"""What firmware's tables tell of a machine beyond what all of pykvm's have."""

from __future__ import annotations

from pykvm.named import NamedTuple

PENTIUM_PRO = 0x600
APIC_AND_FPU = 1 << 9 | 1 << 0

KVM_IOAPIC_VERSION = 0x11
"""What KVM's IOAPIC says in its version register."""


class Platform(NamedTuple):
    """Processors and interrupt controllers.

    Attributes:
        cpus: how many processors; their APIC IDs count from 0, and the first one boots.
        signature, features: EAX and EDX of their CPUID leaf 1.
        ioapic_version: what the IOAPIC's version register says, in its low byte; None for neither
            an IOAPIC nor local APICs.
        has_pics: there are two 8259 PICs, too, and an 8254 timer.
        has_screen: there is a VGA's text screen.
    """

    cpus: int = 1
    signature: int = PENTIUM_PRO
    features: int = APIC_AND_FPU
    ioapic_version: int | None = KVM_IOAPIC_VERSION
    has_pics: bool = True
    has_screen: bool = False

    @property
    def has_interrupts(self) -> bool:
        """Whether devices' interrupt lines lead anywhere."""
        return self.has_pics or self.ioapic_version is not None
