"""The debugger: breakpoints, watchpoints, steps, on all processors of a machine at once.

All stop when one does, and what has stopped the others meanwhile is told by the next `resume`.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from pykvm.cpu.stop import Stop, StopReason
from pykvm.debug.cpus import DebuggedCpu
from pykvm.debug.points import Event, Point
from pykvm.debug.stepping import refuse_second
from pykvm.debug.target import open_target
from pykvm.errors import GuestCrash, GuestMemoryError
from pykvm.x86 import LONGEST_INSTRUCTION

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pykvm.debug.paging import Translation
    from pykvm.debug.target import TargetCpu
    from pykvm.machine import Machine

__all__ = ["Debugger", "Event", "Point"]

_BELL = Stop(StopReason.STOPPED, detail="the debugger was interrupted")
"""Known by identity: what counts is the debugger's own flag, since a word may come too late."""

_REPEATS = b"\xf2\xf3"
_STRINGS = b"\x6c\x6d\x6e\x6f\xa4\xa5\xa6\xa7\xaa\xab\xac\xad\xae\xaf"
_PREFIXES = b"\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0" + bytes(range(0x40, 0x50))


class Debugger:
    """Debugs a machine, which runs through `resume` instead of `Machine.run` meanwhile.

        with Debugger(machine) as debugger:
            debugger.insert(Point("software", 0x1234))
            print(debugger.resume())

    One at a time on a machine.  Leaving the `with` block takes all points away.

    Args:
        machine: what is debugged; loaded, and not running.

    Attributes:
        machine: as given.
        cpus: its processors, with what can be asked of one alone.

    Raises:
        DebugError: there is a debugger on the machine already, or a trace that steps it.
    """

    def __init__(self, machine: Machine) -> None:
        refuse_second(machine)
        self.machine = machine
        self._target = open_target(machine)
        self._traced: Sequence[TargetCpu] = self._target.cpus
        self._interrupted = False
        self.cpus = tuple(DebuggedCpu(self, cpu) for cpu in machine.cpus)

    def __enter__(self) -> Debugger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take all points away and let the machine be as it was.  Idempotent."""
        # the machine, and with it its memory, may be closed already
        with suppress(GuestMemoryError):
            for point in self.points:
                self._target.remove(point)
        for traced in self._traced:
            traced.release()
        self._traced = []

    @property
    def points(self) -> tuple[Point, ...]:
        """All points, in the order they were inserted."""
        return tuple(self._target.points)

    def insert(self, point: Point) -> None:
        """Stop at `point` from now on; a point that is there stays as it is.

        A "software" breakpoint is INT3 in memory, at the page that is mapped there now.  Where
        none is, or the host's KVM does not leave the guest for INT3, it takes a debug register
        while one is free; else processors are stepped all the time, which is slow.  So are
        "hardware" breakpoints and "write" watchpoints on hosts whose debug registers have no
        effect; such a watchpoint is met when the value changes.

        A "read" watchpoint is met by an access that leaves the value as it was.

        An emulated machine has any number of each, and all are exact: a "read" watchpoint is met
        by each read, a "write" watchpoint by each write.

        Raises:
            DebugError: there is no such point, no debug register is left for it, or the host
                cannot watch for it.
        """
        self._target.insert(point)

    def remove(self, point: Point) -> None:
        """Do not stop at `point` any more; without effect if it is not there."""
        self._target.remove(point)

    def translate(self, processor: int, gva: int) -> Translation:
        """The walk of a processor's page tables for a linear address."""
        return self._target.linear.translate(processor, gva)

    def read(self, processor: int, gva: int, length: int) -> bytes:
        """The `length` bytes at a linear address, as a processor maps it now.

        Breakpoints are hidden.

        Raises:
            TranslationError: they are not all mapped to RAM.
        """
        return self._target.linear.read(processor, gva, length)

    def peek(self, processor: int, gva: int, length: int) -> bytes:
        """As `read`, as far as it is RAM: up to `length` bytes, possibly none."""
        return self._target.linear.peek(processor, gva, length)

    def write(self, processor: int, gva: int, data: bytes) -> None:
        """Store `data` there, whatever the page's rights; breakpoints stay.

        Raises:
            TranslationError: it is not all mapped to RAM; nothing is stored then.
        """
        self._target.linear.write(processor, gva, data)

    def interrupt(self) -> None:
        """Make `resume` return "interrupted": the one under way, or else the next one.

        From any thread or signal handler.
        """
        self._interrupted = True
        self.machine.stop(_BELL)

    def resume(
        self,
        *,
        step: Collection[int] = (),
        only: Collection[int] | None = None,
        timeout: float | None = None,
    ) -> Event:
        """Run the guest until something happens.

        A processor at a breakpoint first executes that instruction, the others standing still.
        So does one that got nowhere last time, since another had met something at once: each
        call takes every processor that can run an instruction further, or more.  What happened to
        another one when the last call returned is told before anything runs; a step that was done
        then counts if it is asked for again.

        Args:
            step: numbers of processors that execute one instruction, without interrupts where
                the host's KVM can hold them back.  A step over HLT halts; the next one waits for
                what wakes the processor.
            only: numbers of processors that run, the others stand still; None for all.
            timeout: seconds until it returns "ended", with a stop for StopReason.TIMEOUT.

        Returns:
            what happened first, on the processor with the lowest number.

        Raises:
            ValueError: a number is no processor's, or one to step is not among those to run.
            Exception: whatever `Machine.run` raises but a GuestCrash.
        """
        chosen = self._choose(step, only)
        deadline = None if timeout is None else time.monotonic() + timeout
        event = self._tell(chosen, step)
        if event is not None:
            return event
        self._target.begin()
        event = self._step_over_points(chosen, step, deadline)
        if event is None and not any(traced.hit for traced in chosen):
            event = self._run(chosen, step, (), deadline)
        return event if event is not None else self._must_tell(chosen, step)

    def _choose(self, step: Collection[int], only: Collection[int] | None) -> list[TargetCpu]:
        numbers = range(len(self._traced))
        wanted = set(numbers if only is None else only)
        if not self._traced:
            raise ValueError("the debugger is closed")
        if not wanted or not wanted <= set(numbers) or not set(step) <= wanted:
            raise ValueError(
                f"cannot run processors {sorted(wanted)} and step {sorted(step)} of them: "
                f"there are 0 to {len(numbers) - 1}"
            )
        return [self._traced[number] for number in sorted(wanted)]

    def _tell(self, chosen: Sequence[TargetCpu], step: Collection[int]) -> Event | None:
        """The first thing that happened to one of them and still holds."""
        for traced in chosen:
            hit, traced.hit = traced.hit, None
            if hit is None:
                continue
            if hit.point is not None and hit.point not in self._target.points:
                continue
            if hit.kind == "step" and traced.index not in step:
                continue
            if hit.address != traced.pc:  # somebody has set it since
                continue
            if hit.kind == "halted":
                stop = Stop(StopReason.HALTED)
                return Event("ended", traced.index, address=hit.address, stop=stop)
            return Event(hit.kind, traced.index, hit.point, hit.address)
        return None

    def _must_tell(self, chosen: Sequence[TargetCpu], step: Collection[int]) -> Event:
        event = self._tell(chosen, step)
        assert event is not None, "a run without an event of its own leaves a hit"
        return event

    def _step_over_points(
        self, chosen: Sequence[TargetCpu], step: Collection[int], deadline: float | None
    ) -> Event | None:
        """Take who cannot run with the others an instruction further; all, if one meets something.

        Else who meets something at each instruction would keep the others where they are.

        Returns:
            what happened instead, or None.
        """
        rest = []
        for traced in chosen:
            here = traced.point_here()
            if here is None and not (len(chosen) > 1 and traced.has_stood_still):
                rest.append(traced)
                continue
            event = self._step_over(traced, here, deadline, is_step=traced.index in step)
            if event is not None:
                return event
        for traced in rest if any(traced.hit for traced in chosen) else ():
            if traced.is_runnable:
                event = self._step_over(traced, None, deadline, is_step=traced.index in step)
                if event is not None:
                    return event
        return None

    def _step_over(
        self, traced: TargetCpu, point: Point | None, deadline: float | None, *, is_step: bool
    ) -> Event | None:
        """Execute the next instruction, with no other processor that could miss a breakpoint there.

        What it has met, also behind it, is left as its `hit`; so is the step, if it is asked for.

        Returns:
            what happened instead, or None.
        """
        start = traced.pc
        lifted = [] if point is None else self._breakpoints_at(point.address)
        repeats = point is not None and self._is_repeated_string(traced.index, start)
        while True:
            with self._target.bare(traced.index, start):
                event = self._run([traced], {traced.index}, lifted, deadline)
            if event is not None:
                return event
            assert traced.hit is not None
            if traced.hit.kind != "step":
                return None
            # each iteration is a step, yet the breakpoint is the instruction's
            if not repeats or traced.pc != start:
                break
        if not is_step:
            traced.hit = None
            traced.note_point()
        return None

    def _breakpoints_at(self, address: int) -> list[Point]:
        return [p for p in self._target.points if p.is_breakpoint and p.address == address]

    def _is_repeated_string(self, processor: int, pc: int) -> bool:
        found = self._target.linear.peek(processor, pc, LONGEST_INSTRUCTION)
        rest = found.lstrip(_PREFIXES + _REPEATS)
        prefixes = found[: len(found) - len(rest)]
        return bool(rest) and rest[0] in _STRINGS and any(p in _REPEATS for p in prefixes)

    def _run(
        self,
        chosen: Sequence[TargetCpu],
        step: Collection[int],
        lifted: Collection[Point],
        deadline: float | None,
    ) -> Event | None:
        """Run until something happens.

        Returns:
            it, unless it is a `hit` of one of `chosen`, or more: then None.
        """
        for traced in chosen:
            traced.prepare(step=traced.index in step, lifted=lifted)
        numbers = [traced.index for traced in chosen]
        while not any(traced.hit for traced in chosen):
            if self._interrupted:
                break
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            event = None
            try:
                stop = self.machine.run(left, only=numbers)
                if stop is not _BELL and stop.reason is not StopReason.DEBUG:
                    event = Event("ended", numbers[0], stop=stop)
            except GuestCrash as crash:
                whose = numbers[0] if crash.processor is None else crash.processor
                event = Event("crash", whose, crash=crash)
            for traced in chosen:
                traced.finish()
            if event is not None:
                return self._with_address(event)
        if self._interrupted:
            self._interrupted = False
            return self._with_address(Event("interrupted", numbers[0]))
        return None

    def _with_address(self, event: Event) -> Event:
        return event._replace(address=self._traced[event.processor].pc)
