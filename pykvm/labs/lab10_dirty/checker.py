"""What snapshots and a migration must do: see README.md."""

from __future__ import annotations

from typing import Any

from pykvm.labs.steps import Wrong, expect, step
from pykvm.labs.student import Student
from pykvm.labs.work import Work

FILE, GUEST = "migrate.py", "guest.py"
PAGE_SIZE, PAGES = 4096, 256
SLICE, MOST_ROUNDS = 50, 8
CODE, COUNTER, CLOCK, FIRST = 1, 3, 7, 32
SPARE = 8
"""Pages that KVM may count as dirty though nobody wrote them."""
QUARTER = PAGES * PAGE_SIZE // 4
MARK = 8
"""Where in each page something is that no one changes."""


@step("reads a dirty log", look="README.md, section 1")
def reads_bitmaps(work: Work) -> None:
    pages = [*sorted(work.random.sample(range(1, PAGES - 1), 20)), PAGES - 1]
    bitmap = bytearray(PAGES // 8)
    for page in pages:
        bitmap[page // 8] |= 1 << page % 8
    got = work.call(FILE, "dirty_pages", bytes(bitmap))
    expect(got, pages, f"dirty_pages({bytes(bitmap).hex(' ')})")
    expect(work.call(FILE, "dirty_pages", bytes(8)), [], "dirty_pages() of a log without a bit")


def take_snapshots(student: Student, working_set: int, count: int) -> tuple[list[int], list[Any]]:
    """How many pages each snapshot holds, and which differ from what RAM was."""
    snapshots_of = student.get(FILE, "Snapshots")
    with student.get(GUEST, "Guest")(working_set) as guest:
        snapshots = snapshots_of(guest)
        sizes, truth = [], []
        for _ in range(count):
            guest.run_slice()
            sizes.append(int(snapshots.take()))
            truth.append(bytes(guest.ram))
        wrong = []
        for number in reversed(range(count)):
            ram = bytes(snapshots.ram(number))
            if len(ram) != len(truth[number]):
                raise Wrong(f"ram({number}) has {len(ram)} bytes, not {len(truth[number])}")
            wrong.append(differing(ram, truth[number]))
    return sizes, wrong[::-1]


def differing(one: bytes, other: bytes) -> list[int]:
    """The pages in which two RAMs differ."""
    starts = range(0, len(one), PAGE_SIZE)
    return [at // PAGE_SIZE for at in starts if one[at:][:PAGE_SIZE] != other[at:][:PAGE_SIZE]]


def hint_at(pages: list[int]) -> str:
    """What the pages that differ have in common."""
    if CLOCK in pages:
        return ": page 7 is written by the clock device, from userspace"
    return ""


@step("a snapshot gives back RAM as it was", look="README.md, sections 2, 3", after=reads_bitmaps)
def snapshots(work: Work) -> None:
    _, wrong = work.scenario(take_snapshots, work.random.randrange(2, 12), 4)
    for number, pages in enumerate(wrong):
        if pages:
            raise Wrong(
                f"of 4 snapshots, ram({number}) differs from what RAM was in the pages "
                f"{pages[:10]}{hint_at(pages)}"
            )


@step("later snapshots hold what was written", look="README.md, section 2", after=snapshots)
def increments(work: Work) -> None:
    working_set = work.random.randrange(2, 12)
    sizes, _ = work.scenario(take_snapshots, working_set, 4)
    expect(sizes[0], PAGES, "how many pages the first snapshot holds")
    for number, size in enumerate(sizes[1:], 1):
        if not working_set + 2 <= size <= working_set + 2 + SPARE:
            raise Wrong(
                f"snapshot {number} holds {size} pages; the guest and its clock wrote "
                f"{working_set + 2} since the one before"
            )


def migrate(student: Student, working_set: int, before: int, key: int) -> dict[str, Any]:
    """Move a guest to another process; what it said here and there, and what the wire saw."""
    import os
    import signal
    import socket

    module = student.load(GUEST)
    here, there = socket.socketpair()
    results_in, results_out = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            here.close()
            answer = repr(arrive(student, module, there))
        except BaseException as error:
            answer = repr(f"{type(error).__name__}: {error}"[:300])
        os.write(results_out, answer.encode())
        os._exit(0)
    there.close()
    os.close(results_out)
    try:
        found = depart(student, module, here, working_set, before, key)
        here.close()
        with os.fdopen(results_in, "rb") as pipe:
            found["there"] = pipe.read().decode()
    finally:
        os.kill(child, signal.SIGKILL)
    return found


def arrive(student: Student, module: Any, end: Any) -> tuple[list[int], list[bytes]]:
    """At the other end: what the guest says when it goes on, and the beginning of each page."""
    with module.Guest(1) as guest:
        student.get(FILE, "receive")(guest, module.Wire(end))
        guest.run_slice()
        heads = [bytes(guest.ram[n * PAGE_SIZE :][:16]) for n in range(PAGES)]
        return list(guest.said), heads


def depart(  # noqa: PLR0917
    student: Student, module: Any, end: Any, working_set: int, before: int, key: int
) -> dict[str, Any]:
    """At this end: send it, and count the bytes of each round."""
    rounds = [0]

    class Counted(module.Wire):  # type: ignore[misc]
        def send(self, message: bytes) -> None:
            rounds[-1] += len(message)
            super().send(message)

    class Watched(module.Guest):  # type: ignore[misc]
        def run_slice(self) -> None:
            if len(rounds) > MOST_ROUNDS:
                raise Wrong(
                    f"send() would run more than {MOST_ROUNDS} slices of a guest that always "
                    "writes more than a few pages: after so many it has to be stopped all the same"
                )
            rounds.append(0)
            super().run_slice()

    with Watched(working_set) as guest:
        for page in range(2, PAGES):
            guest.ram[page * PAGE_SIZE + MARK :][:4] = mark(page, key)
        for _ in range(before):
            guest.run_slice()
        rounds[:] = [0]
        student.get(FILE, "send")(guest, Counted(end))
        return {"said": list(guest.said), "rounds": rounds}


def mark(page: int, key: int) -> bytes:
    """What nobody changes in a page."""
    return (page * 0x01000193 ^ key).to_bytes(5, "little")[:4]


def move(work: Work, working_set: int) -> dict[str, Any]:
    """Have a guest moved; `Wrong` unless it goes on there as if nothing had happened."""
    from ast import literal_eval

    before, key = work.random.randrange(1, 4), work.random.randrange(1 << 32)
    found: dict[str, Any] = work.scenario(migrate, working_set, before, key, seconds=40)
    there = literal_eval(found["there"])
    if isinstance(there, str):
        raise Wrong(f"receive(), or the guest after it, raised {there}")
    said, heads = there
    last = len(found["said"])
    for i, number in enumerate(said, last + 1):
        if number != i << 16 | i:
            raise Wrong(
                f"here the guest came to {last}; there it goes on with {number >> 16} in RAM and "
                f"{number & 0xFFFF} in EDI: {i} was to come in both"
            )
    total = last + SLICE
    for page, head in enumerate(heads):
        right = expected_head(page, working_set, total)
        if page >= 2 and head[MARK : MARK + 4] != mark(page, key):
            raise Wrong(f"page {page}, which the guest never wrote, or its rest, did not come over")
        if right is not None and head[:4] != right.to_bytes(4, "little"):
            got = int.from_bytes(head[:4], "little")
            raise Wrong(
                f"after {total} rounds page {page} begins with {got} there, not with "
                f"{right}{hint_at([page])}"
            )
    return found


def expected_head(page: int, working_set: int, total: int) -> int | None:
    """The first number in a page after so many rounds of the guest."""
    if page in (COUNTER, CLOCK):
        return total
    if FIRST <= page < FIRST + working_set:
        index = page - FIRST
        return sum(i for i in range(1, total + 1) if i % working_set == index) & 0xFFFFFFFF
    return None


@step("a guest moves to another process", look="README.md, section 4", after=snapshots)
def migrates(work: Work) -> None:
    move(work, work.random.randrange(2, 9))


@step("it runs while most of it is sent", look="README.md, section 4", after=migrates)
def is_live(work: Work) -> None:
    rounds = move(work, work.random.randrange(2, 9))["rounds"]
    if len(rounds) < 2:
        raise Wrong("send() never called guest.run_slice(): the guest stood still all the time")
    if rounds[-1] > QUARTER:
        raise Wrong(
            f"{rounds[-1]} bytes were sent after the guest was stopped, though it writes few "
            "pages: send all once while it runs, then what it wrote meanwhile"
        )


@step("it ends with a guest that writes too fast, too", look="README.md, section 4", after=is_live)
def ends(work: Work) -> None:
    # more pages than rounds in a slice: each slice writes others than the one before
    move(work, work.random.randrange(70, 100))
