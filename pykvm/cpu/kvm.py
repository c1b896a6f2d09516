"""A processor played by KVM: the C run loop below, the buses above."""

from __future__ import annotations

import threading
from contextlib import suppress
from struct import Struct

from pykvm._shim import ffi, lib
from pykvm.cpu.entry import load_state
from pykvm.cpu.kvm_parts import SETTLING_EXITS, LoopedVcpu, dispatch, settle
from pykvm.cpu.sleep import sleeps_for_ever
from pykvm.cpu.stop import Stop, StopReason
from pykvm.cpu.ticks import Ticks
from pykvm.errors import GuestCrash, PykvmError, UnclaimedAccess
from pykvm.kvm import ioctl
from pykvm.kvm.runloop import BUDGET_SPENT, EVENTS_FULL, INTERRUPTED, NO_BUDGET, RunLoop
from pykvm.kvm.vcpu import Vcpu
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pykvm.boot.state import BootState
    from pykvm.cpu.injection import Injector
    from pykvm.cpu.shared import Shared
    from pykvm.cpu.snapshot import CpuSnapshot
    from pykvm.kvm.exits import Exit
    from pykvm.kvm.vm import Vm


_STORES = {
    size: Struct(letter).pack_into for size, letter in ((1, "<B"), (2, "<H"), (4, "<I"), (8, "<Q"))
}
"""Put a number of so many bytes into a buffer."""

_IO: int = lib.KVM_EXIT_IO
_MMIO: int = lib.KVM_EXIT_MMIO
_HLT: int = lib.KVM_EXIT_HLT
_DEBUG: int = lib.KVM_EXIT_DEBUG
_IRQ_WINDOW_OPEN: int = lib.KVM_EXIT_IRQ_WINDOW_OPEN
_MSR = (lib.KVM_EXIT_X86_RDMSR, lib.KVM_EXIT_X86_WRMSR)
_IOAPIC_EOI: int = lib.KVM_EXIT_IOAPIC_EOI


class KvmCpu(LoopedVcpu):
    """One vCPU with its run loop.

    Args:
        vm: the VM it belongs to.
        index: its number.
        cpuid: what CPUID tells it, a `struct kvm_cpuid2 *`.
        shared: the rest of the machine.
        alone: whether it is the only processor of the machine.
        budget: another processor's `loop.budget_cell`, to share it.
        stats: keep counts by port and the time spent in the guest.

    Attributes:
        is_asleep: whether its last tick of this run found that it sleeps for ever.
        keeps_time: whether devices look at their clocks at its ticks.
        enter: what a debugger has put in the place of `loop.enter`.
        on_trap: called in its thread, under the machine's lock, where it met what it is debugged
            for; says whether the machine shall stop.  None: it shall.
    """

    def __init__(
        self,
        vm: Vm,
        index: int,
        cpuid: Any,
        shared: Shared,
        *,
        alone: bool = True,
        budget: Any = None,
        stats: bool = False,
    ) -> None:
        self.index = index
        self.is_asleep = False
        self.keeps_time = index == 0
        self.enter: Callable[[], int] | None = None
        self.on_trap: Callable[[], bool] | None = None
        self._running = self._has_run = False
        self.vcpu = Vcpu(vm, index)
        try:
            self.loop = RunLoop(
                self.vcpu, shared.routes, count_ports=stats, timed=stats, budget=budget
            )
            self.vcpu.set_cpuid2(cpuid)
            # cffi's own struct: importing `Sregs`, a dataclass, would be felt in a short run
            self._reset_sregs = ffi.new("struct kvm_sregs *")
            ioctl.call(self.vcpu.fd, "KVM_GET_SREGS", self._reset_sregs)
            if not shared.has_apics:
                # KVM has CPUID's APIC bit follow it, whether or not there is an APIC
                self._reset_sregs.apic_base = 0
        except BaseException:
            self.vcpu.close()
            raise
        self._shared = shared
        self._ports, self._mmio = shared.ports, shared.mmio
        self._requests = shared.requests
        self._lock = shared.lock
        self._has_apic = shared.has_apics
        self._is_one_of_many = not alone
        self._ticks = Ticks(self.loop.set_timer, begins_fast=shared.has_apics)
        self._thread = 0
        self._injector: Injector | None = None
        if shared.isa is not None:
            from pykvm.cpu.injection import Injector

            self._injector = Injector(self, shared, shared.isa, self._ticks, self._on_tick)

    def settle(self) -> None:
        """Finish the access that the guest was stopped at; see `kvm_parts.settle`."""
        self._refuse_while_running()
        if self._has_run:
            settle(self.loop)

    def finish_access(self) -> None:
        """As `settle`, for a guest that goes on: its devices see what is left of the access."""
        self._refuse_while_running()
        self.loop.budget = NO_BUDGET
        for _ in range(SETTLING_EXITS):
            self.loop.kick()
            reason = self.loop.enter()
            with self._lock:
                self._deliver_posted()
                if reason == INTERRUPTED:
                    return
                if reason not in (_IO, _MMIO):
                    # nothing else ends an access, but the step that it was
                    if reason == _DEBUG and self.on_trap is not None:
                        self.on_trap()
                    return
                dispatch(self.loop.exit, self._ports if reason == _IO else self._mmio)

    @property
    def has_run(self) -> bool:
        """Whether it is no longer as KVM made it."""
        return self._has_run

    @property
    def runs_here(self) -> bool:
        """Whether it is this thread that runs it: in a device, whose access is dispatched."""
        return self._running and self._thread == threading.get_ident()

    @property
    def is_stepped(self) -> bool:
        """Whether somebody enters it in his own way, to look at it after each instruction."""
        return self.enter is not None

    def reset(self, vm: Vm) -> None:
        """Be as KVM makes them in `vm`, a new one with the same interrupt controllers."""
        if self._has_run:
            from pykvm.cpu.reset import reset

            reset(self.vcpu, vm, has_apic=self._has_apic)
            if self._injector is not None:
                self._injector.reset()
            self._has_run = False

    def load(self, state: BootState) -> None:
        """Take the registers of `state`; what it does not name stays as `reset` left it."""
        load_state(self.vcpu, self._reset_sregs, state)

    def run(self, start: int, deadline: int | None = None) -> None:
        """Run the guest until somebody wants it to stop (see `Cpu.run`)."""
        self._refuse_while_running()
        try:
            # in here, so that no exception of a signal handler leaves it set
            self._running = self._has_run = True
            self._thread = threading.get_ident()
            self.is_asleep = False
            self._run(start, deadline)
        except UnclaimedAccess as error:
            words = str(error)
            raise self._crash(self.vcpu.last_exit(), lambda _: words) from None
        finally:
            self._running = False

    def _refuse_while_running(self) -> None:
        if self._running:
            raise RuntimeError("the processor is running: stop it and wait for `run` to return")

    def _run(self, start: int, deadline: int | None) -> None:
        loop, requests, injector = self.loop, self._requests, self._injector
        enter, access, lock = self.enter or loop.enter, loop.access, self._lock
        words, io, ports, mmio, page = requests.words, _IO, self._ports, self._mmio, loop.page
        self._ticks.begin(start, deadline)
        try:
            while not words:
                if injector is not None and not injector.prepare():
                    continue
                reason = enter()
                with lock:
                    is_write, size, offset, count, posted, address, value = access()
                    if posted:
                        self._deliver_posted()
                    if reason == io:
                        bus = ports
                    elif reason == _MMIO:
                        bus = mmio
                    else:
                        self._handle(reason)
                        continue
                    if count == 1 and is_write:
                        bus.write(address, size, value)
                    elif count == 1 and size in _STORES:
                        _STORES[size](page, offset, bus.read(address, size))
                    else:
                        dispatch(loop.exit, bus)
        finally:
            loop.stop_timer()
            # what is left when KVM_RUN failed, or a signal handler raised
            with self._lock:
                self._deliver_posted()

    def _deliver_posted(self) -> None:
        for writes in self.loop.posted_writes():
            bus = self._mmio if writes.is_mmio else self._ports
            bus.write_block(writes.address, writes.size, writes.data)

    def _handle(self, reason: int) -> None:
        """What is neither I/O nor MMIO: a reason to stop, a crash, or nothing."""
        if reason == INTERRUPTED:
            self._on_tick()
        elif reason == _HLT:
            if not self.halt():
                self._requests.post(Stop(StopReason.HALTED))
        elif reason == BUDGET_SPENT:
            self._requests.post(Stop(StopReason.BUDGET))
        elif reason == _DEBUG:
            if self.on_trap is None or self.on_trap():
                self._requests.note_trap()
        elif reason in _MSR:
            self._shared.msrs.reply(self.vcpu.page)
        elif reason == _IOAPIC_EOI:
            self._shared.end_of_interrupt(self.vcpu.page.details().vector)
        elif reason not in (EVENTS_FULL, _IRQ_WINDOW_OPEN):
            self._on_rare_exit()

    def _on_tick(self) -> None:
        if self._ticks.is_over:
            self._requests.post(Stop(StopReason.TIMEOUT))
            return
        if self.keeps_time:
            self._shared.on_tick()
        if self._has_apic:
            self.is_asleep = self.sleeps_for_ever()
            if self.is_asleep:
                self._shared.on_sleep()
        self._ticks.go_on(asleep=self.is_asleep and not self.keeps_time)

    def _on_rare_exit(self) -> None:
        """What few guests ever make: only then are the exits' dataclasses imported."""
        from pykvm.cpu.causes import explain, harmless, requested_stop

        exit = self.vcpu.last_exit()
        if harmless(exit):
            return
        stop = requested_stop(exit)
        if stop is not None:
            self._requests.post(stop)
            return
        raise self._crash(exit, lambda snapshot: explain(exit, snapshot))

    def halt(self) -> bool:
        """Sleep, since HLT was executed outside of KVM; False where any HLT is the end."""
        if self._injector is None:
            return False
        self._injector.halt()
        return True

    def sleeps_for_ever(self) -> bool:
        """Whether only another processor can wake it, as it is now."""
        return self._has_apic and sleeps_for_ever(self.vcpu)

    def kick(self) -> None:
        """Make a `run` under way look at the machine's stop request; from any thread."""
        self.loop.kick()
        if self._injector is not None:
            self._injector.wake()

    def snapshot(self) -> CpuSnapshot:
        """The registers and the code at RIP, for people to read."""
        from pykvm.cpu.snapshot import take_snapshot

        return take_snapshot(self.vcpu, self._shared.memory)

    def _crash(self, exit: Exit, explain: Callable[[CpuSnapshot | None], str]) -> GuestCrash:
        snapshot = None
        # a crash matters more than a failure to read what belongs to it
        with suppress(PykvmError):
            snapshot = self.snapshot()
        processor = self.index if self._is_one_of_many else None
        return GuestCrash(explain(snapshot), exit, snapshot, processor)

    def close(self) -> None:
        """Close the vCPU's descriptor and its timer.

        Raises:
            RuntimeError: it is running.
        """
        self._refuse_while_running()
        self.loop.close()
        self.vcpu.close()
