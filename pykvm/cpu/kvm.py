"""A processor played by KVM: the C run loop below, the buses above."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pykvm._shim import ffi, lib
from pykvm.cpu.stop import Stop, StopReason, StopRequest
from pykvm.errors import GuestCrash, PykvmError, UnclaimedAccess
from pykvm.kvm import ioctl
from pykvm.kvm.runloop import BUDGET_SPENT, INTERRUPTED, NO_BUDGET, RunLoop
from pykvm.kvm.structs import store
from pykvm.kvm.vcpu import Vcpu

if TYPE_CHECKING:
    import threading

    from pykvm.boot.state import BootState
    from pykvm.bus import Bus
    from pykvm.cpu.snapshot import CpuSnapshot
    from pykvm.kvm.routes import Routes
    from pykvm.kvm.vm import Vm
    from pykvm.memory import GuestMemory

TICK_NS = 10_000_000
"""How long a posted write or a signal to the process may wait for Python, in ns."""

SETTLING_EXITS = 4096
"""More exits than any string instruction takes in real mode."""

_IO: int = lib.KVM_EXIT_IO
_MMIO: int = lib.KVM_EXIT_MMIO
_HLT: int = lib.KVM_EXIT_HLT


class KvmCpu:
    """One vCPU with its run loop.

    Args:
        vm: the VM it belongs to.
        index: its number.
        ports, mmio: where its accesses go.
        memory: guest RAM, to show code with.
        routes: what the C loop answers itself.
        requests: where it looks for stop requests.
        lock: held while devices are called; it serialises all vCPUs and input threads.
        stats: keep counts by port and the time spent in the guest.
    """

    def __init__(
        self,
        vm: Vm,
        index: int,
        *,
        ports: Bus,
        mmio: Bus,
        memory: GuestMemory,
        routes: Routes,
        requests: StopRequest,
        lock: threading.RLock,
        stats: bool = False,
    ) -> None:
        self.index = index
        self._running = self._has_run = False
        self.vcpu = Vcpu(vm, index)
        try:
            self.loop = RunLoop(self.vcpu, routes, count_ports=stats, timed=stats)
            self.vcpu.set_cpuid2(vm.system.supported_cpuid_raw())
            # cffi's own struct: importing `Sregs`, a dataclass, would be felt in a short run
            self._reset_sregs = ffi.new("struct kvm_sregs *")
            ioctl.call(self.vcpu.fd, "KVM_GET_SREGS", self._reset_sregs)
        except BaseException:
            self.vcpu.close()
            raise
        self._ports = ports
        self._mmio = mmio
        self._memory = memory
        self._requests = requests
        self._lock = lock

    def settle(self) -> None:
        """Have KVM finish the access that the guest was stopped at; no further instruction runs.

        KVM does so when it is entered again, and would write a register, or go on behind the
        instruction, of whatever was loaded since (KVM API section 5, "immediate_exit").

        Raises:
            PykvmError: it is a string instruction that goes on and on.
        """
        self._refuse_while_running()
        if not self._has_run:
            return
        self.loop.budget = NO_BUDGET
        for _ in range(SETTLING_EXITS):
            self.loop.kick()
            if self.loop.enter() == INTERRUPTED:
                return
        raise PykvmError("the guest is in the middle of a long string instruction: make a new one")

    def load(self, state: BootState) -> None:
        """Take the registers of `state`; what it does not name is as KVM made it."""
        if self._has_run:
            from pykvm.cpu.reset import reset

            reset(self.vcpu)
        regs = ffi.new("struct kvm_regs *")
        sregs = ffi.new("struct kvm_sregs *", self._reset_sregs[0])
        for name in ("rip", "rsp", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rflags"):
            setattr(regs, name, getattr(state, name))
        for name in ("cr0", "cr3", "cr4", "efer"):
            setattr(sregs, name, getattr(state, name))
        for name in ("ds", "es", "fs", "gs"):
            store(state.data, getattr(sregs, name))
        for name in ("cs", "ss", "gdt", "idt"):
            store(getattr(state, name), getattr(sregs, name))
        ioctl.call(self.vcpu.fd, "KVM_SET_SREGS", sregs)
        ioctl.call(self.vcpu.fd, "KVM_SET_REGS", regs)

    def run(self, deadline: int | None = None, max_exits: int | None = None) -> Stop:
        """Run the guest until it stops (see `Cpu.run`)."""
        self._refuse_while_running()
        try:
            # in here, so that no exception of a signal handler leaves it set
            self._running = self._has_run = True
            return self._run(deadline, max_exits)
        except UnclaimedAccess as error:
            snapshot = self._snapshot_if_possible()
            raise GuestCrash(str(error), self.vcpu.last_exit(), snapshot) from None
        finally:
            self._running = False

    def _refuse_while_running(self) -> None:
        if self._running:
            raise RuntimeError("the processor is running: stop it and wait for `run` to return")

    def _run(self, deadline: int | None, max_exits: int | None) -> Stop:
        loop = self.loop
        loop.budget = NO_BUDGET if max_exits is None else max_exits
        self._arm(deadline)
        try:
            while True:
                stop = self._requests.take()
                if stop is not None:
                    return stop
                reason = loop.enter()
                with self._lock:
                    if loop.has_posted_writes:
                        self._deliver_posted()
                    if reason == _IO:
                        self._dispatch(self._ports)
                    elif reason == _MMIO:
                        self._dispatch(self._mmio)
                    else:
                        stop = self._handle(reason, deadline)
                        if stop is not None:
                            return stop
        finally:
            loop.stop_timer()
            # what is left when KVM_RUN failed, or a signal handler raised
            with self._lock:
                self._deliver_posted()

    def _arm(self, deadline: int | None) -> None:
        """Have the loop return at the next tick, or at the deadline if that comes first."""
        next_tick = time.monotonic_ns() + TICK_NS
        first = next_tick if deadline is None else min(deadline, next_tick)
        self.loop.set_timer(max(first, 1), TICK_NS)

    def _deliver_posted(self) -> None:
        for writes in self.loop.posted_writes():
            bus = self._mmio if writes.is_mmio else self._ports
            bus.write_block(writes.address, writes.size, writes.data)

    def _dispatch(self, bus: Bus) -> None:
        """Do on the bus what the guest did, all elements of it, and put back what it reads."""
        exit = self.loop.exit
        size: int = exit.size
        count: int = exit.count
        address: int = exit.address
        data = ffi.buffer(exit.data, size * count)
        if exit.is_write:
            if count == 1:
                bus.write(address, size, int.from_bytes(data, "little"))
            else:
                bus.write_block(address, size, bytes(data))
        elif count == 1:
            data[:] = bus.read(address, size).to_bytes(size, "little")
        else:
            data[:] = bus.read_block(address, size, count)

    def _handle(self, reason: int, deadline: int | None) -> Stop | None:
        """What is neither I/O nor MMIO: a reason to stop, a crash, or None to go on."""
        if reason == INTERRUPTED:
            return self._on_tick(deadline)
        if reason == _HLT:
            return Stop(StopReason.HALTED)
        if reason == BUDGET_SPENT:
            return Stop(StopReason.BUDGET)
        return self._on_rare_exit(reason)

    def _on_tick(self, deadline: int | None) -> Stop | None:
        if deadline is None:
            return None
        left = deadline - time.monotonic_ns()
        if left <= 0:
            return Stop(StopReason.TIMEOUT)
        if left < TICK_NS:
            self._arm(deadline)
        return None

    def _on_rare_exit(self, reason: int) -> Stop | None:
        from pykvm.cpu.causes import explain, harmless, requested_stop
        from pykvm.kvm.runloop import EVENTS_FULL

        if reason == EVENTS_FULL:
            return None
        exit = self.vcpu.last_exit()
        if harmless(exit):
            return None
        stop = requested_stop(exit)
        if stop is not None:
            return stop
        snapshot = self._snapshot_if_possible()
        raise GuestCrash(explain(exit, snapshot), exit, snapshot)

    def kick(self) -> None:
        """Make a `run` under way look at the machine's stop request; from any thread."""
        self.loop.kick()

    def snapshot(self) -> CpuSnapshot:
        """The registers and the code at RIP, for people to read."""
        from pykvm.cpu.snapshot import take_snapshot

        return take_snapshot(self.vcpu, self._memory)

    def _snapshot_if_possible(self) -> CpuSnapshot | None:
        """For a crash, which matters more than a failure to read what belongs to it."""
        try:
            return self.snapshot()
        except PykvmError:
            return None

    def close(self) -> None:
        """Close the vCPU's descriptor and its timer.

        Raises:
            RuntimeError: it is running.
        """
        self._refuse_while_running()
        self.loop.close()
        self.vcpu.close()
