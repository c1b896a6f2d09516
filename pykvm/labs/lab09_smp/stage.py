"""The machine on which a checker has two processors take turns, and what it saw there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pykvm.labs.student import Student

if TYPE_CHECKING:
    from pykvm.kvm.recorder import Recorder
    from pykvm.machine import Machine

COUNTER = 0x3FF
ROUNDS = 0x1004
SLICE = 0.02
"""Seconds that a processor may spin before the other one has its turn."""
PATIENCE = 10
"""Turns without an exit after which both are let go together."""
TURNS = 2000
HLT = b"\xf4"

Access = tuple[int, bool, int]
"""Which processor, whether it wrote, what was read or written."""


class Seen(NamedTuple):
    """What became of a guest.

    Attributes:
        accesses: to the counter, in order.
        debug: what was sent to port 0xE9.
        halted: which processors halted.
        trouble: how it ended otherwise; else empty.
        behind: how many accesses there were when something was first sent to port 0xE9.
        place: the base of processor 1's CS at the end.
    """

    accesses: list[Access]
    debug: bytes
    halted: list[int]
    trouble: str
    behind: int
    place: int


class Stage:
    """A machine of two processors, and who touched the counter when.

    Args:
        image: the guest.
        rounds: how often each shall count.
        initial: what is in the counter before.
    """

    def __init__(self, machine: Machine, image: bytes, rounds: int, initial: int) -> None:
        from pykvm.kvm.recorder import Recorder
        from pykvm.memory import Gpa

        self.machine = machine
        machine.load(image, bios=False)
        machine.memory.write_uint(Gpa(ROUNDS), 2, rounds)
        machine.ports.write(COUNTER, 1, initial)
        self._recorders: list[Recorder] = [Recorder(1 << 14) for _ in machine.cpus]
        for cpu, recorder in zip(machine.cpus, self._recorders, strict=True):
            cpu.loop.record(recorder)
        self.accesses: list[Access] = []
        self.halted: set[int] = set()
        self.trouble = ""
        self.behind = -1

    def note(self) -> int:
        """Take what was recorded; returns how many accesses to the counter were among it."""
        found = [record for recorder in self._recorders for record in recorder.take()]
        found = sorted((r for r in found if r.address == COUNTER), key=lambda r: r.left)
        self.accesses += [(r.vcpu, r.is_write, r.value & 0xFF) for r in found]
        if self.behind < 0 and self.machine.debug_output:
            self.behind = len(self.accesses)
        return len(found)

    def turn(self, processor: int) -> bool:
        """Let one run to its next exit; returns whether it came to one, or halted."""
        stop = self.run(SLICE, max_exits=1, only=[processor])
        if stop == "halted":
            self.halted.add(processor)
        return stop != "timeout"

    def run(self, timeout: float, **options: Any) -> str:
        """Run it, and note what happened; returns why it stopped."""
        from pykvm.errors import GuestCrash

        try:
            stop = self.machine.run(timeout=timeout, **options).reason.value
        except GuestCrash as crash:
            whose = "" if crash.processor is None else f"processor {crash.processor} "
            self.trouble = f"{whose}crashed: {crash.cause}"
            stop = "crash"
        self.note()
        return stop

    def finish(self) -> None:
        """Let both go to the end."""
        if self.trouble or len(self.halted) == 2:
            return
        stop = self.run(3)
        if stop == "halted":
            self.halted = {0, 1}
        elif stop == "timeout":
            self.trouble = "did not end: a processor waits for ever, or does not halt"
        else:
            self.trouble = self.trouble or f"ended with {stop}"

    def seen(self) -> tuple[Any, ...]:
        """A `Seen`, as a plain value."""
        return tuple(
            Seen(
                self.accesses,
                self.machine.debug_output[:100],
                sorted(self.halted),
                self.trouble,
                self.behind,
                self.machine.cpus[1].vcpu.get_sregs().cs.base,
            )
        )


def go_free(_: Student, image: bytes, rounds: int, initial: int) -> tuple[Any, ...]:
    """Both run as they like."""
    from pykvm.machine import Machine

    with Machine("1M", smp=2) as machine:
        stage = Stage(machine, image, rounds, initial)
        stage.finish()
        return stage.seen()


def go_by_exits(
    _: Student, image: bytes, rounds: int, initial: int, favour: int | None
) -> tuple[Any, ...]:
    """One exit a turn: in turn, or as long as it gets ahead that of `favour`."""
    from pykvm.machine import Machine

    with Machine("1M", smp=2) as machine:
        stage = Stage(machine, image, rounds, initial)
        who = favour or 0
        in_vain = 0
        for _turn in range(TURNS):
            moved = who not in stage.halted and stage.turn(who)
            in_vain = 0 if moved else in_vain + 1
            if stage.trouble or len(stage.halted) == 2 or in_vain >= PATIENCE:
                break
            who = favour if favour is not None and (moved or who != favour) else 1 - who
        stage.finish()
        return stage.seen()


def go_by_steps(
    _: Student, image: bytes, rounds: int, initial: int, bursts: list[tuple[int, int]]
) -> tuple[Any, ...]:
    """Some instructions of the one, then some of the other, as `bursts` says."""
    from pykvm.debug.debugger import Debugger
    from pykvm.machine import Machine

    with Machine("1M", smp=2) as machine:
        stage = Stage(machine, image, rounds, initial)
        for turn in range(6):  # until both are under way
            if stage.turn(turn % 2) and turn > 1:
                break
        with Debugger(machine) as debugger:
            for who, length in bursts:
                if stage.trouble or len(stage.halted) == 2:
                    break
                if who not in stage.halted:
                    step_on(stage, debugger, who, length)
                stage.note()
        stage.finish()
        return stage.seen()


def step_on(stage: Stage, debugger: Any, who: int, length: int) -> None:
    """Some instructions of one processor, HLT not among them: hosts step over it differently."""
    for _ in range(length):
        event = debugger.resume(step=[who], only=[who], timeout=1)
        if event.kind == "crash":
            stage.trouble = f"processor {who} crashed: {event.crash.cause}"
        if event.kind != "step" or debugger.peek(who, event.address, 1) == HLT:
            if event.kind != "crash":
                stage.halted.add(who)
            return
