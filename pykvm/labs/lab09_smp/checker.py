"""What two processors that count together must do: see README.md."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from pykvm.labs.steps import Wrong, expect, step
from pykvm.labs.student import Student
from pykvm.labs.work import Work

if TYPE_CHECKING:
    from pykvm.kvm.recorder import Recorder
    from pykvm.machine import Machine

FILE = "two.s"
COUNTER = 0x3FF
ROUNDS = 0x1004
SLICE = 0.02
"""Seconds that a processor may spin before the other one has its turn."""
PATIENCE = 10
"""Turns without an exit after which both are let go together."""
TURNS, BURSTS = 2000, 1000
HLT = b"\xf4"
AFTER_RESET = 0xFFFF0000
"""The base of CS of a processor that has never been started."""
SHOWN = 8

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


def told(accesses: list[Access]) -> str:
    """Accesses in words, as a trace has them."""
    words = (
        f"processor {who} {'OUT' if is_write else 'IN'} {value:#04x}"
        for who, is_write, value in accesses
    )
    return "; ".join(words)


def lost_update(accesses: list[Access]) -> int:
    """The place of the first write whose processor had read before another one wrote; or -1."""
    read_at = [-1, -1]
    wrote_at = [-1, -1]
    for i, (who, is_write, _) in enumerate(accesses):
        if is_write and wrote_at[1 - who] > read_at[who]:
            return i
        (wrote_at if is_write else read_at)[who] = i
    return -1


def blame_loss(seen: Seen, how: str) -> None:
    """`Wrong` for a lost update, with the trace of it."""
    at = lost_update(seen.accesses)
    if at >= 0:
        raise Wrong(
            f"an update is lost when the processors {how}: the trace of port 0x3ff says: "
            f"{told(seen.accesses[max(at - SHOWN + 1, 0) : at + 1])}"
        )


def blame_end(seen: Seen, how: str) -> None:
    """`Wrong` unless both halted."""
    if seen.trouble:
        last = told(seen.accesses[-4:]) or "none"
        raise Wrong(
            f"when the processors {how}, the guest {seen.trouble}; the last accesses to the "
            f"counter: {last}"
        )


def some_work(work: Work, most: int) -> tuple[int, int]:
    """How often each shall count, and from where on."""
    return work.random.randrange(3, most), work.random.randrange(0x20, 0x60)


@step("starts the second processor", look="README.md, sections 1 and 2")
def starts(work: Work) -> None:
    seen = Seen(*work.scenario(go_free, work.assemble(FILE), *some_work(work, 30)))
    others = [access for access in seen.accesses if access[0] == 1]
    if not others and seen.place == AFTER_RESET:
        ended = seen.trouble or "halted"
        raise Wrong(
            "processor 1 never began: it still waits for INIT and SIPI; processor 0 touched the "
            f"counter {len(seen.accesses)} times; the guest {ended}"
        )


@step("each counts as often as the word at 0x1004 says", look="README.md, section 3", after=starts)
def counts(work: Work) -> None:
    for _ in range(2):
        rounds, initial = some_work(work, 60)
        seen = Seen(*work.scenario(go_free, work.assemble(FILE), rounds, initial))
        blame_end(seen, "run freely")
        for who in (0, 1):
            writes = sum(1 for other, is_write, _ in seen.accesses if is_write and other == who)
            expect(writes, rounds, f"OUTs of processor {who} to port 0x3ff, {rounds} rounds asked")


@step("processor 0 reports the sum when both are done", look="README.md, section 5", after=counts)
def reports(work: Work) -> None:
    image = work.assemble(FILE)
    for favour in (0, 1):
        rounds, initial = some_work(work, 6)
        seen = Seen(*work.scenario(go_by_exits, image, rounds, initial, favour))
        how = f"run one after the other, processor {favour} as far as it can first"
        blame_end(seen, how)
        late = sum(1 for access in seen.accesses[seen.behind :] if access[1])
        if seen.debug and seen.behind >= 0 and late:
            raise Wrong(
                f"when they {how}, the report comes before {late} of the OUTs to the counter: "
                "wait for the other processor"
            )
        if lost_update(seen.accesses) < 0:
            total = bytes([(initial + 2 * rounds) & 0xFF])
            expect(seen.debug, total, f"what is sent to port 0xe9, from {initial:#x} on")


@step("no update is lost from exit to exit", look="README.md, section 3", after=counts)
def adds(work: Work) -> None:
    image = work.assemble(FILE)
    rounds, initial = some_work(work, 6)
    seen = Seen(*work.scenario(go_by_exits, image, rounds, initial, None))
    how = "take turns, an exit each"
    blame_end(seen, how)
    blame_loss(seen, how)
    total = bytes([(initial + 2 * rounds) & 0xFF])
    expect(seen.debug, total, f"what is sent to port 0xe9 after 2 * {rounds} from {initial:#x} on")


def bursts(work: Work, slow: int) -> Iterator[tuple[int, int]]:
    """Who runs how many instructions: one or two of the slow one, then several of the other."""
    for _ in range(BURSTS):
        yield slow, work.random.choice((1, 1, 2))
        yield 1 - slow, work.random.randrange(2, 12)


@step(
    "no update is lost from instruction to instruction",
    look="README.md, section 4",
    after=(adds, reports),
    needs=("single_step",),
)
def holds(work: Work) -> None:
    image = work.assemble(FILE)
    for slow in (1, 0, 1):
        rounds, initial = work.random.randrange(8, 12), some_work(work, 6)[1]
        plan = list(bursts(work, slow))
        seen = Seen(*work.scenario(go_by_steps, image, rounds, initial, plan, seconds=20))
        how = "take turns, some instructions each"
        blame_end(seen, how)
        blame_loss(seen, how)
