"""Single steps of one vCPU, and what KVM's own (KVM_GUESTDBG_SINGLESTEP) leave out.

The debugger and `pykvm trace --step` stand on it.  What they do at a step is their own: the
debugger keeps interrupts away where it can and has the whole machine stop; a trace shows
interrupts as they come, and goes on without leaving the loop, which is faster.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pykvm._shim import lib
from pykvm.errors import DebugError
from pykvm.kvm.runloop import ACCESSES, INTERRUPTED
from pykvm.kvm.state import EventFlag, MpState
from pykvm.x86 import Cr0, Rflags, code_bits, linear_ip

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.cpu.kvm import KvmCpu
    from pykvm.debug.facilities import Facilities
    from pykvm.kvm.registers import Regs, Sregs
    from pykvm.machine import Machine

DEBUG: int = lib.KVM_EXIT_DEBUG


def refuse_second(machine: Machine) -> None:
    """See that nobody debugs or steps a machine.

    Raises:
        DebugError: somebody does.
    """
    for cpu in machine.cpus:
        if cpu.on_trap is not None:
            raise DebugError("the machine is debugged already: close its debugger first")
        if cpu.is_stepped:
            raise DebugError("the machine is traced step by step: finish that trace first")


class Stepping:
    """Has a processor leave the guest after each instruction, also where KVM would forget to.

    Args:
        cpu: it.
        facilities: what its host does.
        has_apics: whether a processor that halts sleeps in the kernel.
        arm: asks KVM for the next step.  To be called after each step, too: POPF and IRET load a
            TF of their own, and KVM forgets the step of a processor whose RIP was set since.

    Attributes:
        in_access: whether it is in the middle of an instruction, at an access that was answered
            but is not complete.
    """

    def __init__(
        self, cpu: KvmCpu, facilities: Facilities, *, has_apics: bool, arm: Callable[[], None]
    ) -> None:
        self._cpu = cpu
        self._facilities = facilities
        self._has_apics = has_apics
        self._arm = arm
        self._is_on = False
        self.in_access = False

    def begin(self, enter: Callable[[], int] | None = None) -> None:
        """Have every access of the guest end where it is complete, or where it is left to Python.

        KVM's emulator forgets the step when an instruction leaves the guest in its middle
        (`x86_emulate_instruction` looks at what is to be stepped only where it goes on by
        itself), and the next instruction would be done, too.

        Args:
            enter: what enters the guest; by default `self.enter`.
        """
        self._switch(on=True)
        self._cpu.enter = enter or self.enter

    def end(self) -> None:
        """Have the processor run as if it had never been stepped; KVM is not told."""
        self._switch(on=False)
        self._cpu.enter = None

    def _switch(self, *, on: bool) -> None:
        self._is_on = on
        self.in_access = False
        self._cpu.loop.use_routes(not on)

    def enter(self) -> int:
        """As `RunLoop.enter`; KVM_EXIT_DEBUG also where an access is complete.

        That one has no `Vcpu.last_exit`: `in_access` tells it from KVM's own, and is to be cleared.
        """
        if self.in_access:
            self._cpu.loop.kick()
        reason = self._cpu.loop.enter()
        if reason == INTERRUPTED:
            if self.in_access:
                return DEBUG
            if self._is_on:  # INIT takes the step away
                self._arm()
        self.in_access = self._is_on and reason in ACCESSES
        return reason

    def do_halt(self) -> int | None:
        """Do the HLT that comes next for a host that would run over it: go behind it, halt there.

        Without a local APIC in the kernel to sleep in, the processor only goes behind it.

        Returns:
            the linear address behind it; None where it is left to the host.
        """
        vcpu = self._cpu.vcpu
        if self._facilities.halts_in_step or vcpu.get_mp_state() is not MpState.RUNNABLE:
            return None
        regs, sregs = vcpu.get_regs(), vcpu.get_sregs()
        # ring 3 is not let do it (SDM vol. 2A, HLT)
        if sregs.cr0 & Cr0.PE and (sregs.ss.dpl or regs.rflags & Rflags.VM):
            return None
        regs.rip += 1
        vcpu.set_regs(regs)
        # the shadow of STI is over with the instruction that it was for
        events = replace(vcpu.get_vcpu_events(), interrupt_shadow=0, flags=EventFlag.SHADOW)
        vcpu.set_vcpu_events(events)
        if self._has_apics:
            vcpu.set_mp_state(MpState.HALTED)
        return linear_pc(regs, sregs)


def linear_pc(regs: Regs, sregs: Sregs) -> int:
    """CS:RIP as a linear address."""
    return linear_ip(regs.rip, sregs.cs.base, code_bits(sregs.cs, sregs.efer))
