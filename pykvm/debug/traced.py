"""One processor under the debugger: what makes it stop, and what has stopped it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from pykvm.debug.debugregs import DR6_BITS, DR6_BS, hit_owners
from pykvm.debug.stepping import Stepping, linear_pc
from pykvm.debug.target import Hit
from pykvm.errors import PykvmError
from pykvm.kvm.exits import Debug
from pykvm.kvm.state import DebugControl, DebugRegs, MpState

if TYPE_CHECKING:
    from collections.abc import Collection

    from pykvm.cpu.kvm import KvmCpu
    from pykvm.debug.plan import Plan
    from pykvm.debug.points import Point

_DB, _BP = 1, 3
_DR6_CLEAR = 0xFFFF0FF0
_HLT = b"\xf4"


class Traced:
    """A processor under the debugger.

    Args:
        cpu: the processor; `on_trap` of it is this object's until `release`.
        plan: the points that there are, and how each is watched for.

    Attributes:
        hit: what has stopped it and was not told yet.
    """

    def __init__(self, cpu: KvmCpu, plan: Plan) -> None:
        self.cpu = cpu
        self.index = cpu.index
        self.hit: Hit | None = None
        self._plan = plan
        self._step = self._sleeps = False
        self._began_at: int | None = None
        self._ended_at = -1
        self._lifted: Collection[Point] = ()
        self._owners: tuple[Point | int | None, ...] = ()
        self._stepping = Stepping(cpu, plan.facilities, has_apics=plan.has_apics, arm=self._arm)
        cpu.on_trap = self._on_trap

    def release(self) -> None:
        """Let the processor run as if it had never been debugged."""
        self.cpu.on_trap = None
        self._stepping.end()
        # the machine may be closed already
        with suppress(PykvmError):
            self.cpu.vcpu.set_guest_debug(0)

    @property
    def pc(self) -> int:
        """The linear address of its next instruction."""
        return linear_pc(self.cpu.vcpu.get_regs(), self.cpu.vcpu.get_sregs())

    @property
    def is_runnable(self) -> bool:
        """Whether it neither halts nor waits to be started."""
        return self.cpu.vcpu.get_mp_state() is MpState.RUNNABLE

    @property
    def has_stood_still(self) -> bool:
        """Whether it could have gone on when it last ran, but is where it was."""
        return self.hit is None and self._began_at == self._ended_at and self.is_runnable

    def point_here(self) -> Point | None:
        """The breakpoint at the instruction that it is about to execute."""
        if not self._plan.has_breakpoints or not self.is_runnable:
            return None
        return self._plan.breakpoint_at(self.index, self.pc)

    def prepare(self, *, step: bool, lifted: Collection[Point] = ()) -> None:
        """Say what shall stop it, before it runs.

        It need not run where there is a `hit` already: the instruction was HLT.

        Args:
            step: one instruction does.
            lifted: points without effect for now.
        """
        self._step, self._lifted = step, lifted
        self.hit = None
        self._began_at = start = self.pc
        if not (step or self._plan.by_steps):
            self._stepping.end()
        else:
            self._stepping.begin()
            halted_at = self._halt(start)
            if halted_at is not None:
                self.hit = self._after_halt(halted_at)
        self._arm()

    def finish(self) -> None:
        """Finish what it was in the middle of when it stopped, and note where that has led it."""
        if self.hit is None:
            self.cpu.finish_access()
        if self._stepping.in_access:
            self._on_trap()
        self._ended_at = self.pc
        if self.hit is not None:
            self.hit = self.hit._replace(address=self._ended_at)
        elif not self._step:
            self.note_point()

    def note_point(self) -> None:
        """Take it for a hit if it has come to a breakpoint, whose instruction it has not begun."""
        point = self.point_here()
        if point is not None:
            self.hit = Hit("breakpoint", self.pc, point)

    def _arm(self, inject: DebugControl | None = None) -> None:
        """Tell KVM what shall stop it; after each step anew."""
        plan, vcpu = self._plan, self.cpu.vcpu
        control = DebugControl.ENABLE
        if self._step or plan.by_steps:
            control |= DebugControl.SINGLESTEP
        if self._step and not self._sleeps:  # else what wakes it could not come in
            control |= plan.facilities.block_irq
        if plan.patches:
            control |= DebugControl.USE_SW_BP
        registers: tuple[int, ...] = ()
        self._owners = ()
        if plan.registers.points:
            loaded = plan.registers.load(vcpu.get_debugregs(), self._lifted)
            registers, self._owners = loaded.registers, loaded.owners
            if loaded.in_use:
                control |= DebugControl.USE_HW_BP
        if inject is not None:
            control |= inject
        vcpu.set_guest_debug(0 if control is DebugControl.ENABLE else control, registers)

    def _on_trap(self) -> bool:
        """Whether what it met is the debugger's affair; if it is the guest's, it gets it."""
        if self._stepping.in_access:
            self._stepping.in_access = False
            exit = Debug(exception=_DB, pc=self.pc, dr6=DR6_BS, dr7=0)
        else:
            last = self.cpu.vcpu.last_exit()
            assert isinstance(last, Debug)
            exit = last
        self.hit = self._breakpoint(exit) if exit.exception == _BP else self._debug(exit)
        return self.hit is not None

    def _breakpoint(self, exit: Debug) -> Hit | None:
        point = self._plan.software_at(self.index, exit.pc)
        if point is not None:
            return Hit("breakpoint", exit.pc, point)
        self._arm(DebugControl.INJECT_BP)
        return None

    def _debug(self, exit: Debug) -> Hit | None:
        self._sleeps = False
        changed = self._plan.values.changed(self.index)
        met = hit_owners(self._owners, exit.dr6)
        points = [owner for owner in met if not isinstance(owner, int)]
        for point in points:
            if point.is_breakpoint:
                return Hit("breakpoint", exit.pc, point)
        for point in (*points, *changed):
            # registers stop at any access: where the value has changed it was no read
            if point.kind != "read" or (point in points and point not in changed):
                return Hit("watchpoint", exit.pc, point)
        is_step = bool(exit.dr6 & DR6_BS)
        own = sum(1 << owner for owner in met if isinstance(owner, int))
        if not (self._step or self._plan.by_steps):
            own |= exit.dr6 & ~_DR6_CLEAR & ~DR6_BITS
        if own:
            self._pass_on(own)
        if self._step and is_step:
            return Hit("step", exit.pc)
        return None if own else self._next_step(exit.pc)

    def _next_step(self, pc: int) -> Hit | None:
        """Whether one of many steps has led to a breakpoint; if not, there is another one."""
        point = self._plan.stepped_at(pc)
        if point is not None:
            return Hit("breakpoint", pc, point)
        halted_at = self._halt(pc)
        if halted_at is not None:
            return self._after_halt(halted_at)
        self._arm()
        return None

    def _pass_on(self, bits: int) -> None:
        """Give the guest the #DB that its own registers, or its own TF, have brought."""
        vcpu = self.cpu.vcpu
        registers: DebugRegs = vcpu.get_debugregs()
        vcpu.set_debugregs(replace(registers, dr6=registers.dr6 & ~DR6_BITS | bits))
        self._arm(DebugControl.INJECT_DB)

    def _halt(self, pc: int) -> int | None:
        """Do the instruction at `pc` for the host if it is an HLT that it would run over.

        Args:
            pc: the linear address of the next instruction.

        Returns:
            the linear address behind it; None where it is another instruction, or the host's.
        """
        plan = self._plan
        if plan.facilities.halts_in_step:  # the others' code need not be read for it
            return None
        gpa = plan.linear.gpa(self.index, pc)
        if gpa is None or plan.linear.read_physical(gpa, 1) != _HLT:
            return None
        return self._stepping.do_halt()

    def _after_halt(self, pc: int) -> Hit | None:
        if not self._plan.has_apics:
            self._sleeps = self.cpu.halt()
            if not self._sleeps:
                return Hit("halted", pc)
        if self._step:
            return Hit("step", pc)
        self._arm()
        return None
