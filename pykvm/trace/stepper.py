"""Single steps of one vCPU: what each instruction has changed."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pykvm._shim import lib
from pykvm.debug.stepping import DEBUG, Stepping, linear_pc
from pykvm.errors import PykvmError
from pykvm.kvm.recorder import Record
from pykvm.kvm.state import DebugControl
from pykvm.trace.event import timed
from pykvm.trace.registers import changes_between, values_of
from pykvm.x86 import code_bits, linear_ip

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.cpu.kvm import KvmCpu
    from pykvm.debug.facilities import Facilities
    from pykvm.kvm.recorder import Recorder
    from pykvm.kvm.registers import Regs
    from pykvm.trace.event import Event
    from pykvm.trace.locator import ExitLocator

_HLT: int = lib.KVM_EXIT_HLT


class Stepper:
    """Has a vCPU leave the guest after each instruction, and compares registers.

    The instruction of a step is the one that stood at RIP before.  Where an interrupt came instead,
    the next step is in its handler.

    Args:
        cpu: the processor; no thread runs it just now.
        recorder: at work for it.
        locator: finds its instructions.
        facilities: what the host does.
        has_apics: whether a processor that halts sleeps in the kernel.
        tell: takes events, in order.
    """

    def __init__(
        self,
        cpu: KvmCpu,
        recorder: Recorder,
        locator: ExitLocator,
        facilities: Facilities,
        *,
        has_apics: bool,
        tell: Callable[[list[Event]], None],
    ) -> None:
        self._cpu = cpu
        self._recorder = recorder
        self._locator = locator
        self._has_apics = has_apics
        self._tell = tell
        self._completing: list[Record] = []
        self._last_left = lib.shim_tsc()
        self._is_on = True
        self._stepping = Stepping(cpu, facilities, has_apics=has_apics, arm=self._arm)
        regs, sregs = cpu.vcpu.get_regs(), cpu.vcpu.get_sregs()
        self._width = code_bits(sregs.cs, sregs.efer)
        self._before = values_of(regs)
        self._next = locator.at(linear_pc(regs, sregs), self._width)
        self._arm()
        self._stepping.begin(self._enter)

    def holds(self, records: list[Record]) -> bool:
        """Take records that end with a step; False if these do not, and are to be told at once."""
        if self._stepping.in_access:
            self._completing += records
        return self._stepping.in_access

    def end(self) -> None:
        """Step no more."""
        self._is_on = False
        self._stepping.end()
        # a processor that cannot be told ends up stepping for nobody
        with suppress(PykvmError):
            self._cpu.vcpu.set_guest_debug(0)

    def _arm(self) -> None:
        self._cpu.vcpu.set_guest_debug(int(DebugControl.ENABLE | DebugControl.SINGLESTEP))

    def _enter(self) -> int:
        """As `RunLoop.enter`, which a step does not leave."""
        with self._recorder.aside():
            halts = self._halts()
        while self._is_on:
            if halts:
                return _HLT
            reason = self._stepping.enter()
            if reason != DEBUG:
                return reason
            with self._recorder.aside():
                self._on_step()
                halts = self._halts()
        return self._cpu.loop.enter()

    def _on_step(self) -> None:
        *before, last = self._completing + self._recorder.take()
        self._completing = []
        self._stepping.in_access = False
        # the guest has run, and may have written code
        self._locator.forget()
        events = [timed(record, place=self._locator.find(record)) for record in before]
        regs = self._cpu.vcpu.get_regs()
        last = self._locator.with_segment(last)
        # of the two kinds of KVM_RUN that complete an instruction only KVM's own is called so
        last = last._replace(
            reason=DEBUG, address=linear_ip(regs.rip, last.cs_base, last.code_width)
        )
        self._tell([*events, self._step(last, regs)])
        if self._is_on:
            self._arm()

    def _step(self, record: Record, regs: Regs) -> Event:
        """The event of a step that has led to `record.address`."""
        now = values_of(regs)
        changes = changes_between(self._before, now)
        done, self._before = self._next, now
        self._next = self._locator.at(record.address, record.code_width)
        self._width, self._last_left = record.code_width, record.left
        return timed(record, place=done, changes=changes)

    def _halts(self) -> bool:
        """Do HLT where the host would run over it; whether that is the machine's affair.

        It is where no APIC could wake the processor.
        """
        is_hlt = self._next is not None and self._next.instruction.text == "hlt"
        if not is_hlt or not self._is_on or self._stepping.in_access:
            return False
        behind = self._stepping.do_halt()
        if behind is None:
            return False
        record = _record_of_halt(self._cpu.index, self._last_left, behind, self._width)
        self._tell([self._step(record, self._cpu.vcpu.get_regs())])
        return not self._has_apics


def _record_of_halt(vcpu: int, tsc: int, address: int, width: int) -> Record:
    """A step for which KVM was not entered; what it took is the next one's."""
    return Record(
        entered=tsc,
        left=tsc,
        paused=0,
        address=address,
        value=0,
        rip=0,
        cs_base=0,
        count=0,
        reason=DEBUG,
        vcpu=vcpu,
        size=0,
        is_write=False,
        handled=0,
        code_width=width,
    )
