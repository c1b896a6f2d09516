"""What a paravirtual console and its driver must do: see README.md."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from random import Random
from typing import Any

from pykvm.labs.lab11_paravirt.hostile import attack
from pykvm.labs.lab11_paravirt.stage import BASE, MOST, PORTS, Access, Seen, Stage, text
from pykvm.labs.steps import Wrong, shown, step
from pykvm.labs.student import Student
from pykvm.labs.work import Work

DRIVER = "driver.s"
SECONDS = 10.0
AROUND = 12
ENDS = {
    "timeout": "did not halt in time: it waits for ever",
    "budget": "did not halt: it goes to the ports for ever",
}

Texts = list[tuple[int, int]]
"""Length and seed of each."""


def run_each(student: Student, image: bytes, texts: Texts) -> list[tuple[Any, ...]]:
    """Each text on a console of its own, and a wire that takes all."""
    return until_one_hangs(Stage(student).run(image, length, seed) for length, seed in texts)


def until_one_hangs(guests: Iterable[Seen]) -> list[tuple[Any, ...]]:
    """What became of each, as plain values, up to the first that did not halt in time: there is
    no time for another one, and one is enough to tell of."""
    found = []
    for seen in guests:
        found.append(tuple(seen))
        if seen.end == "timeout":
            break
    return found


def some_texts(work: Work, *lengths: int) -> Texts:
    return [(length, work.random.randrange(1 << 32)) for length in lengths]


def blame(seen: Seen, length: int, seed: int, how: str = "") -> None:
    """`Wrong` unless the text came out, and the guest halted."""
    right = text(length, seed)
    ended = ENDS.get(seen.end, seen.end)
    if seen.sent == right and seen.end == "halted":
        return
    if seen.sent == right:
        raise Wrong(f"all of a text of {length} bytes came out{how}, but the guest {ended}")
    if seen.elsewhere and not seen.sent:
        raise Wrong(f"nothing came out by send(){how}: the guest sent it to COM1, or port 0xe9")
    at = next(
        (i for i, (one, other) in enumerate(zip(seen.sent, right, strict=False)) if one != other),
        min(len(seen.sent), len(right)),
    )
    if not seen.sent:
        what = "none"
    elif at == len(seen.sent):
        what = f"the first {at}"
    elif at == len(right):
        what = f"all, and then {shown(seen.sent[at : at + AROUND])}"
    else:
        came, lacking = shown(seen.sent[at : at + AROUND]), shown(right[at : at + AROUND])
        what = (
            f"{len(seen.sent)}, right up to byte {at}; from there on {lacking} was to come, "
            f"not {came}"
        )
    raise Wrong(f"of the {length} bytes of a text came out{how}: {what}; the guest {ended}")


def bring(work: Work, texts: Texts) -> list[tuple[Seen, int, int]]:
    """What came of each text: that, its length and its seed."""
    found = work.scenario(run_each, work.assemble(DRIVER), texts, seconds=SECONDS)
    return [(Seen(*values), *one) for values, one in zip(found, texts, strict=False)]


@step("brings a short text out", look="README.md, sections 1 to 3", needs=("machine",))
def brings(work: Work) -> None:
    for seen, length, seed in bring(work, some_texts(work, work.random.randrange(20, 40), 1, 0)):
        blame(seen, length, seed)


@step(
    "brings a long text out in few exits: the ring fills, and wraps",
    look="README.md, sections 2 and 4",
    after=brings,
)
def wraps(work: Work) -> None:
    lengths = work.random.randrange(150, 250), MOST + work.random.randrange(1, 900)
    for seen, length, seed in bring(work, some_texts(work, *lengths)):
        blame(seen, length, seed)
        most = 8 + length // 64
        if seen.exits > most:
            by_port = ", ".join(f"{port:#x}: {count}" for port, count in seen.ports.items())
            raise Wrong(
                f"{length} bytes took {seen.exits} exits (by port: {by_port}), {most} are allowed; "
                f"a UART takes {length}",
                "README.md, section 4",
            )


def run_slow(student: Student, image: bytes, texts: Texts) -> list[tuple[Any, ...]]:
    """On a wire that has room for some bytes, or none, with each access to a port anew."""
    return until_one_hangs(run_slowly(student, image, *each) for each in texts)


def run_slowly(student: Student, image: bytes, length: int, seed: int) -> Seen:
    """One text on such a wire."""
    random = Random(seed)
    room = [0]
    stage = Stage(student, partial(take, room))

    def before(_: Access) -> None:
        room[0] = random.choice((0, 1, random.randrange(40), random.randrange(400)))

    stage.tap.before = before
    return stage.run(image, length, seed)


def take(room: list[int], offered: int) -> int:
    """What a wire takes that has so much room."""
    taken = min(offered, room[0])
    room[0] -= taken
    return taken


@step("waits for a wire that does not take all", look="README.md, section 4", after=wraps)
def waits(work: Work) -> None:
    texts = some_texts(work, 9, work.random.randrange(1500, 2500))
    found = work.scenario(run_slow, work.assemble(DRIVER), texts, seconds=SECONDS)
    for values, (length, seed) in zip(found, texts, strict=False):
        blame(Seen(*values), length, seed, " by a slow wire")


def run_again(student: Student, image: bytes, texts: Texts, cut: int) -> list[tuple[Any, ...]]:
    """Guests one after the other on one console; the wire is stuck for the first, which is cut."""
    room = [cut]
    stage = Stage(student, partial(take, room))
    (length, seed), *others = texts
    stage.run(image, length, seed, max_exits=12)
    room[0] = 1 << 20
    return until_one_hangs(stage.run(image, length, seed) for length, seed in others)


@step("begins anew with each guest", look="README.md, section 7", after=waits)
def starts_over(work: Work) -> None:
    texts = some_texts(work, 1500, work.random.randrange(30, 90), work.random.randrange(1100, 1500))
    cut = work.random.randrange(100, 200)
    found = work.scenario(run_again, work.assemble(DRIVER), texts, cut, seconds=SECONDS)
    how = " after another guest had used the same Console"
    for values, (length, seed) in zip(found, texts[1:], strict=False):
        blame(Seen(*values), length, seed, how)


def be_hostile(work: Work, rounds: int, *ways: str) -> None:
    """Attack the device: wrong words are found soon, an address must be wrong just so."""
    seed = work.random.randrange(1 << 32)
    image = work.assemble(DRIVER)
    if not work.scenario(attack, image, ways, seed, rounds, seconds=SECONDS):
        raise Wrong(f"the guest never used ports {BASE:#x} to {BASE + PORTS - 1:#x}")


@step(
    "survives whatever is in the guest's memory, and whoever changes it",
    look="README.md, section 6",
    after=brings,
)
def survives_memory(work: Work) -> None:
    be_hostile(work, 100, "memory", "race")


@step("survives any writes to its ports", look="README.md, section 6", after=brings)
def survives_ports(work: Work) -> None:
    be_hostile(work, 400, "ports")
