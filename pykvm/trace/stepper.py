"""Single steps of one vCPU: what each instruction has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.kvm.state import DebugControl, MpState

if TYPE_CHECKING:
    from pykvm.kvm.recorder import Record
    from pykvm.kvm.vcpu import Vcpu
    from pykvm.trace.event import Place
    from pykvm.trace.locator import Locator

_NAMES = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"),
    *(f"r{i}" for i in range(8, 16)),
    "rflags",
)


class Stepper:
    """Has a vCPU leave the guest after each instruction, and compares registers.

    The instruction of a step is the one that stood at RIP before.  Where an interrupt came instead,
    the next step is in its handler.

    Some hosts step over HLT without halting (the probe `single_step_hlt`): that is made up for.

    Args:
        vcpu: it; no thread runs it just now.
        locator: finds its instructions.
        has_apic: whether it has a local APIC in the kernel, where it sleeps.
    """

    def __init__(self, vcpu: Vcpu, locator: Locator, *, has_apic: bool) -> None:
        self._vcpu = vcpu
        self._locator = locator
        self._has_apic = has_apic
        self._before = self._registers()
        self._next: Place | None = None
        sregs = vcpu.get_sregs()
        is_64 = bool(sregs.cs.l and sregs.efer & 1 << 10)
        rip = vcpu.get_regs().rip
        linear = rip if is_64 else (sregs.cs.base + rip) & 0xFFFF_FFFF
        self._next = locator.at(linear, 64 if is_64 else 32 if sregs.cs.db else 16)
        vcpu.set_guest_debug(int(DebugControl.ENABLE | DebugControl.SINGLESTEP))

    def step(self, record: Record) -> tuple[Place | None, dict[str, int]]:
        """What the step that a KVM_EXIT_DEBUG ended has done: the instruction, and what changed."""
        now = self._registers()
        changes = {name: now[name] for name in _NAMES if now[name] != self._before[name]}
        done, self._before = self._next, now
        # the guest has run, and may have written code
        self._locator.forget()
        self._next = self._locator.at(record.address, record.code_width)
        return done, changes

    def halt(self, done: Place | None, record: Record) -> bool:
        """Have it halt if the step's instruction was HLT and the host has gone on behind it.

        Returns:
            whether that is the machine's affair, since there is no APIC that could wake it.
        """
        if done is None or done.instruction.text != "hlt":
            return False
        if record.address != done.instruction.address + 1:
            return False  # an interrupt has come instead, or woken it
        if not self._has_apic:
            return True
        if self._vcpu.get_mp_state() is MpState.RUNNABLE:
            self._vcpu.set_mp_state(MpState.HALTED)
        return False

    def end(self) -> None:
        """Step no more."""
        self._vcpu.set_guest_debug(0)

    def _registers(self) -> dict[str, int]:
        regs = self._vcpu.get_regs()
        return {name: getattr(regs, name) for name in _NAMES}
