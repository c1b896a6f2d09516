"""Which events are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pykvm._shim import lib
from pykvm.kvm.recorder import INTR

if TYPE_CHECKING:
    from pykvm.trace.event import Event

KINDS: dict[str, frozenset[int]] = {
    "io": frozenset([lib.KVM_EXIT_IO]),
    "mmio": frozenset([lib.KVM_EXIT_MMIO]),
    "hlt": frozenset([lib.KVM_EXIT_HLT]),
    "msr": frozenset([lib.KVM_EXIT_X86_RDMSR, lib.KVM_EXIT_X86_WRMSR]),
    "intr": frozenset([INTR]),
    "step": frozenset([lib.KVM_EXIT_DEBUG]),
}
"""Exit reasons by the name that the user types."""

OTHER = "other"
"""All that has no name of its own."""

EVERYTHING = frozenset((*KINDS, OTHER))

_NAMED = frozenset().union(*KINDS.values())


class Selection(NamedTuple):
    """What the user wants to see.

    Attributes:
        kinds: names of `KINDS`, or `OTHER`; None for all but "intr", pykvm's own ticks.
        ports: with any, of I/O exits only those to them.
    """

    kinds: frozenset[str] | None = None
    ports: tuple[range, ...] = ()

    def takes(self, event: Event) -> bool:
        """Whether it is to be shown."""
        record = event.record
        if self.ports and record.reason == lib.KVM_EXIT_IO:
            last = record.address + record.size
            if not any(record.address < ports.stop and last > ports.start for ports in self.ports):
                return False
        if self.kinds is None:
            # who names ports wants to see those
            return record.reason != INTR and (not self.ports or record.reason == lib.KVM_EXIT_IO)
        if record.reason in _NAMED:
            return any(record.reason in KINDS.get(kind, ()) for kind in self.kinds)
        return OTHER in self.kinds
