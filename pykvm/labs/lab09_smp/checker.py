"""What two processors that count together must do: see README.md."""

from __future__ import annotations

from collections.abc import Iterator

from pykvm.labs.lab09_smp.stage import Access, Seen, go_by_exits, go_by_steps, go_free
from pykvm.labs.steps import Wrong, expect, step
from pykvm.labs.work import Work

FILE = "two.s"
BURSTS = 1000
SHOWN = 8
AFTER_RESET = 0xFFFF0000
"""The base of CS of a processor that has never been started."""


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


def blame_report(seen: Seen, total: int, what: str) -> None:
    """`Wrong` unless the sum, modulo 256, was sent to port 0xE9."""
    if not seen.debug:
        raise Wrong(
            f"both processors halted, and nothing was sent to port 0xe9, {what}: does processor 0 "
            "come back from counting to where it left?  Of two on one stack, each returns to the "
            "other's address",
            "README.md, sections 2 and 5",
        )
    expect(seen.debug.hex(" "), f"{total % 256:02x}", f"what is sent to port 0xe9, in hex, {what}")


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
            blame_report(seen, initial + 2 * rounds, f"after 2 * {rounds} from {initial:#x} on")


@step("no update is lost from exit to exit", look="README.md, section 3", after=counts)
def adds(work: Work) -> None:
    image = work.assemble(FILE)
    rounds, initial = some_work(work, 6)
    seen = Seen(*work.scenario(go_by_exits, image, rounds, initial, None))
    how = "take turns, an exit each"
    blame_end(seen, how)
    blame_loss(seen, how)
    blame_report(seen, initial + 2 * rounds, f"after 2 * {rounds} from {initial:#x} on")


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
        seen = Seen(*work.scenario(go_by_steps, image, rounds, initial, plan, seconds=60))
        how = "take turns, some instructions each"
        blame_end(seen, how)
        blame_loss(seen, how)
