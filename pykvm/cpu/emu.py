"""A processor played by the emulator: Unicorn below, the buses above.

What a processor with KVM does by itself falls to this process here: exceptions and interrupts are
delivered by `pykvm.emu.vectoring`, HLT is waited in, and there is no local APIC.
"""

from __future__ import annotations

import threading
import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

from pykvm.cpu.injection import Bell
from pykvm.cpu.stop import Stop, StopReason
from pykvm.cpu.ticker import Ticker
from pykvm.emu.accesses import Accesses
from pykvm.emu.cpuid import cpuid
from pykvm.emu.delivery import Interruptible
from pykvm.emu.engine import Engine
from pykvm.emu.events import Event, TaskGateMet, TripleFault, exception
from pykvm.emu.face import EmulatedFace
from pykvm.emu.failure import crash, failure, triple_fault
from pykvm.emu.interrupts import Interrupts
from pykvm.emu.linear import PhysicalMemory
from pykvm.emu.loading import load_boot_state
from pykvm.emu.outcomes import Called, Failed, Handlers, Out, Outcome, Raised
from pykvm.emu.vcpu import EmulatedVcpu
from pykvm.errors import UnclaimedAccess

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.boot.state import BootState
    from pykvm.cpu.shared import Shared
    from pykvm.cpu.snapshot import CpuSnapshot

TICK_NS = 10_000_000
"""How long devices and signals may wait for a look at them, in ns."""

_VECTORS = 256


class EmuCpu(EmulatedFace):
    """The one processor of an emulated machine.

    Args:
        make_engine: makes the emulator, with the machine's memory in it.
        shared: the rest of the machine.
        stats: keep counts by port and the time spent in the guest.

    Attributes:
        index: 0.
        is_asleep: never: a HLT that nothing can end ends the run.
        keeps_time: always.
        physical: guest memory as the processor finds it.
    """

    index = 0
    is_asleep = False
    keeps_time = True

    def __init__(
        self, make_engine: Callable[[Handlers], Engine], shared: Shared, *, stats: bool = False
    ) -> None:
        self._make_engine = make_engine
        self._shared = shared
        self._requests, self._lock = shared.requests, shared.lock
        self.physical = PhysicalMemory(shared.memory, shared.mmio)
        self.accesses = Accesses(
            shared.ports, shared.mmio, shared.lock, look=self._look, detailed=stats
        )
        self._interrupts = Interrupts(shared.isa)
        self._bell = Bell()
        self._ticker = Ticker(self._get_out, TICK_NS)
        self._running = self._has_run = self._is_halted = self._is_closed = False
        self._ram_was_touched = False
        self._deadline: int | None = None
        self._thread = 0
        self._use_new_engine()
        if shared.isa is not None:
            shared.isa.intr.listener = self._on_intr
        shared.memory.on_view = self._on_ram_view

    def _use_new_engine(self, inside_ns: int = 0) -> None:
        handlers = Handlers(
            self._may_access_port,
            self.accesses.read_port,
            self.accesses.read_memory,
            self.accesses.write_memory,
            cpuid,
        )
        self.engine = self._make_engine(handlers)
        self.engine.inside_ns = inside_ns
        self._interruptible = Interruptible(self.engine, self.physical)
        self.emulated = EmulatedVcpu(
            self.engine, self._interruptible.translate, lambda: self._is_halted
        )
        if self.traps is not None:
            self.traps.move_to(self.engine)

    # ---- what a machine needs

    @property
    def has_run(self) -> bool:
        """Whether it is no longer as it was made."""
        return self._has_run

    @property
    def runs_here(self) -> bool:
        """Whether it is this thread that runs it: in a device, whose access is dispatched."""
        return self._running and self._thread == threading.get_ident()

    def settle(self) -> None:
        """There is nothing to finish: the emulator stops between instructions only."""
        self._refuse_while_running()

    def reset(self) -> None:
        """Be as new."""
        if self._has_run:
            self._use_new_engine(self.engine.inside_ns)
            self._has_run = self._is_halted = False

    def load(self, state: BootState) -> None:
        """Take the registers of `state`; what it does not name stays as `reset` left it."""
        load_boot_state(state, self.engine.state)
        self.engine.forget_translations()
        self.engine.forget_code()

    def sleeps_for_ever(self) -> bool:
        """No: it says so itself."""
        return False

    def kick(self) -> None:
        """Make a `run` under way look at the machine's stop request; from any thread."""
        self._get_out()
        self._bell.ring()

    def _get_out(self) -> None:
        if not self._is_closed:
            self.engine.stop()

    def snapshot(self) -> CpuSnapshot:
        """The registers and the code at RIP, for people to read."""
        from pykvm.cpu.snapshot import take_snapshot

        return take_snapshot(self.vcpu, self._shared.memory)

    def close(self) -> None:
        """Use the emulator no more.

        Raises:
            RuntimeError: it is running.
        """
        self._refuse_while_running()
        self._is_closed = True

    # ---- running

    def run(self, start: int, deadline: int | None = None) -> None:
        """Run the guest until somebody wants it to stop (see `Cpu.run`)."""
        if self._is_closed:
            raise ValueError("the machine is closed")
        self._refuse_while_running()
        try:
            # in here, so that no exception of a signal handler leaves it set
            self._running = self._has_run = True
            self._thread = threading.get_ident()
            self._deadline = deadline
            self._run()
        except UnclaimedAccess as error:
            words = str(error)
            raise crash(self.snapshot, self.accesses.last, lambda _: words) from None
        finally:
            self._running = False

    def _refuse_while_running(self) -> None:
        if self._running:
            raise RuntimeError("the processor is running: stop it and wait for `run` to return")

    def _run(self) -> None:
        self._arm()
        # to start a thread for one instruction would be most of what a step takes
        with nullcontext() if self.is_in_step else self._ticker:
            while not self._requests.is_waiting:
                if not self._prepare():
                    continue
                outcome = self.engine.run()
                with self._lock:
                    self._handle(outcome)
                    if self.meets_trap(outcome):
                        self._requests.note_trap()
                    if self._ticker.is_due:
                        self._on_tick()

    def _arm(self) -> None:
        """Have the ticker kick at the next tick, or when a deadline or the timer comes first."""
        next_tick = time.monotonic_ns() + TICK_NS
        if self._deadline is not None:
            next_tick = min(next_tick, self._deadline)
        self._ticker.set(self._interrupts.next_look(next_tick))

    def _on_tick(self) -> None:
        if self._deadline is not None and time.monotonic_ns() >= self._deadline:
            self._requests.post(Stop(StopReason.TIMEOUT))
        else:
            self._shared.on_tick()
        self._arm()

    def _prepare(self) -> bool:
        """Before an entry: interrupt the guest if that is due, and wait while it halts.

        Returns:
            whether to enter it; if not, ask again after a look at the stop request.
        """
        with self._lock:
            self._bell.silence()
            if self.accesses.left == 0:
                self._requests.post(Stop(StopReason.BUDGET))
                return False
            self._interrupts.look()
            self._interrupt()
            if self._requests.is_waiting:
                return False
            if self._ram_was_touched:
                self._ram_was_touched = False
                self.engine.forget_code()
            if not self._is_halted:
                return True
            if not (self.engine.state.interrupt_flag and self._interrupts.may_come):
                self._requests.post(Stop(StopReason.HALTED))
                return False
            now = time.monotonic_ns()
            until = self._interrupts.next_look(now + TICK_NS)
        self._bell.wait(until - now)
        with self._lock:
            self._on_tick()
        return False

    def _interrupt(self) -> None:
        """Deliver what the controllers have, or have the guest stop before it can take it."""
        interrupts, state = self._interrupts, self.engine.state
        if self.is_in_step and not self._is_halted:
            self.engine.await_interrupt_flag(False)
            return
        if interrupts.are_pending and state.interrupt_flag and not state.is_shadowed:
            self._is_halted = False
            self._deliver(Event(interrupts.take(), is_external=True))
            if self.meets_trap(None):
                self._requests.note_trap()
        self.engine.await_interrupt_flag(interrupts.are_pending)

    def _on_intr(self, level: bool) -> None:
        if level:  # in its own thread, too: the instruction under way is to be the last one
            self.kick()

    def _on_ram_view(self) -> None:
        self._ram_was_touched = True

    def _look(self) -> None:
        if self._requests.is_waiting or self.accesses.left == 0 or self._ram_was_touched:
            self._get_out()

    def _may_access_port(self, port: int, size: int) -> bool:
        return self._interruptible.may_access_port(port, size)

    # ---- what comes out of the guest

    def _handle(self, outcome: Outcome) -> None:
        match outcome:
            case Out():
                self.accesses.write_port(*outcome)
                if self._interrupts.have_timer:
                    self._arm()  # it may just have set it
            case Raised() if outcome.vector >= _VECTORS:
                words = f"it raised {outcome.vector}, which is no vector"
                raise failure(self.snapshot, 0, words)
            case Raised(is_software=True):
                self._deliver(Event(outcome.vector, is_software=True))
            case Raised():
                self._deliver(exception(outcome.vector, outcome.error_code))
            case Called():
                self._interruptible.call(outcome)
            case Failed():
                raise failure(self.snapshot, outcome.number, outcome.words)
            case _ if self._interruptible.has_just_halted():
                self.accesses.halt()
                self._halt()

    def _halt(self) -> None:
        """Wait for an interrupt; without controllers any HLT is the end, not of a step, but all."""
        self._is_halted = self._shared.isa is not None
        if not self._is_halted:
            self._requests.post(Stop(StopReason.HALTED))
            if self.traps is not None and self.is_in_step:
                self.traps.steps = False

    def _deliver(self, event: Event) -> None:
        try:
            self._interruptible.deliver(event)
        except TripleFault:
            self.accesses.shut_down()
            raise triple_fault(self.snapshot) from None
        except TaskGateMet:
            words = f"vector {event.vector} leads to a task gate"
            raise failure(self.snapshot, 0, words) from None
