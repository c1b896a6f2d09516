"""What of debugging the host really does, as its probes say (`pykvm doctor`)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from pykvm.kvm.capabilities import Capability
from pykvm.kvm.probes import result
from pykvm.kvm.state import DebugControl

if TYPE_CHECKING:
    from pykvm.kvm.vm import Vm


class Facilities:
    """Found out when first asked, since a probe of what does not work may take a second.

    Args:
        vm: a VM of the host.
    """

    def __init__(self, vm: Vm) -> None:
        self._vm = vm

    def _passes(self, *probes: str) -> bool:
        return all(result(self._vm.system, name).ok for name in probes)

    @cached_property
    def software(self) -> bool:
        """Whether INT3 leaves the guest, in whatever mode it is."""
        return self._passes("sw_breakpoint_long", "sw_breakpoint")

    @cached_property
    def hardware(self) -> bool:
        """Whether debug registers stop it before instructions."""
        return self._passes("hw_breakpoint_long", "hw_breakpoint")

    @cached_property
    def watch(self) -> bool:
        """Whether debug registers stop it after accesses to memory."""
        return self._passes("watchpoint")

    @cached_property
    def halts_in_step(self) -> bool:
        """Whether HLT halts when it is stepped over."""
        return self._passes("single_step_hlt")

    @cached_property
    def block_irq(self) -> DebugControl:
        """The flag that keeps interrupts away from a step, or none."""
        offered = self._vm.check(Capability.SET_GUEST_DEBUG2)
        return DebugControl.BLOCKIRQ & DebugControl(offered & DebugControl.BLOCKIRQ)
