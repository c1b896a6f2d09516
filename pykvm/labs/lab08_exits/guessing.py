"""Guests whose exits are to be predicted."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from pykvm.labs.lab08_exits.programs import FIRST_PORT, STATUS, Host, Step, measure, written
from pykvm.labs.steps import Wrong
from pykvm.labs.student import Student
from pykvm.labs.work import Work

FILE = "predict.py"
PAGE_SIZE = 4096
MOST_EXITS = 400
"""A guest with more would only take longer."""
RING = 120
"""So many writes, and some more, fit into the kernel's ring."""

Case = tuple[list[Step], Host, str]
"""A guest, its host, and what it is about."""


def plain_host(random: Random) -> Host:
    """A host whose kernel answers nothing."""
    ram = random.choice((0x8_0000, 0xC_0000, 0x10_0000))
    return {"ram": ram, "devices": [], "coalesced": [], "eventfds": []}


def kernel_host(random: Random) -> Host:
    """A host whose kernel answers some accesses."""
    size = random.choice((1, 2, 4))
    return {
        **plain_host(random),
        "devices": [0x21, 0x42, 0xA1],
        "coalesced": [(FIRST_PORT + 4, random.choice((1, 2, 4)))],
        "eventfds": [(FIRST_PORT + 8, size)],
    }


def port(random: Random, size: int) -> int:
    """A port of the quiet device that an access of that size fits at."""
    return FIRST_PORT + random.randrange(4 // size) * size


def plain_cases(random: Random) -> list[Case]:
    """Each kind of step alone, aligned, then all of them mixed."""
    host = plain_host(random)
    ram, size, count = host["ram"], random.choice((2, 4)), random.randrange(3, 30)
    at = port(random, size)
    hole = ram + 8 * random.randrange(64)
    poll = ("poll", STATUS, random.randrange(1, 9))
    cases: list[Case] = [
        ([("out", at, size)], host, "an access to a port is one exit, however wide it is"),
        ([("in", at, size)], host, "an access to a port is one exit, however wide it is"),
        ([("store", ram - 8, size), ("load", 0x5000, 1)], host, "RAM is the guest's own"),
        ([("add", ram - 16, size)], host, "RAM is the guest's own"),
        ([("store", hole, size)], host, "where there is no RAM, each access is an exit"),
        ([("load", ram, 1)], host, "the first byte behind RAM is no RAM"),
        ([("add", hole, size)], host, "ADD to memory reads and writes"),
        ([("cpuid",)], host, "the kernel answers CPUID"),
        ([poll], host, "the look that finds it ready is an exit, too"),
        ([("loop", count, [("in", at, 1)])], host, "a loop does it so often"),
        ([("loop", 0, [("in", at, 1)])], host, "a loop does it so often, if at all"),
        ([("loop", 3, [("loop", 4, [("out", at, 1)]), poll])], host, "a loop in a loop"),
        ([("outs", at, size, count)], host, "REP OUTS: section 3, about hosts that differ"),
        ([("outs", at, size, 1)], host, "REP OUTS of one element"),
        ([("outs", at, size, 0)], host, "REP OUTS of nothing does nothing"),
    ]
    for _ in range(6):
        host = plain_host(random)
        cases.append((some_guest(random, host), host, "a mixture"))
    return cases


def edge_cases(random: Random) -> list[Case]:
    """Accesses across a page's edge."""
    host = plain_host(random)
    ram = host["ram"]
    edge = ram + PAGE_SIZE * random.randrange(1, 8)
    return [
        ([("store", ram + 1, 4)], host, "not aligned, but in one page"),
        ([("store", edge - 2, 4)], host, "a page's edge takes an access apart"),
        ([("load", edge - 1, 2)], host, "a page's edge takes an access apart"),
        ([("add", edge - 1, 4)], host, "a page's edge takes both accesses of ADD apart"),
        ([("load", ram - 2, 4)], host, "half of it is RAM"),
        ([("add", ram - 1, 2)], host, "half of it is RAM"),
        ([("store", ram - PAGE_SIZE - 2, 4)], host, "all of it is RAM"),
        ([("loop", 5, [("store", edge - 3, 4), ("store", edge - 4, 4)])], host, "both kinds"),
    ]


def kernel_cases(random: Random) -> list[Case]:
    """Accesses that the kernel may answer."""
    host = kernel_host(random)
    ((zone, length),), ((bell, size),) = host["coalesced"], host["eventfds"]
    other = {1: 2, 2: 4, 4: 1}[size]
    count = random.randrange(3, 20)
    cases: list[Case] = [
        ([("in", 0x21, 1), ("out", 0x42, 1), ("in", 0xA1, 1)], host, "devices in the kernel"),
        ([("out", zone, 1)], host, "a write to a coalesced zone stays in the kernel's ring"),
        ([("in", zone, 1)], host, "only writes are coalesced"),
        ([("out", zone + length - 1, 2)], host, "the access must lie wholly in the zone"),
        ([("outs", zone, 1, count)], host, "REP OUTS to a coalesced zone"),
        ([("out", bell, size)], host, "a write of the ioeventfd's size"),
        ([("out", bell, other)], host, "a write of another size than the ioeventfd's"),
        ([("in", bell, size)], host, "an ioeventfd knows no reads"),
    ]
    for _ in range(3):
        host = kernel_host(random)
        cases.append((some_guest(random, host), host, "a mixture"))
    return cases


def some_guest(random: Random, host: Host) -> list[Step]:
    """A mixture of steps, with no more exits than a check has time for, and not so many writes
    to the coalesced zone that its ring would be full."""
    while True:
        steps = [_some_step(random, host, 2) for _ in range(random.randrange(2, 7))]
        if _weight(steps) <= (RING if host["coalesced"] else MOST_EXITS):
            return steps


def _some_step(random: Random, host: Host, depth: int) -> Step:
    size = random.choice((1, 2, 4))
    kinds = ["out", "in", "outs", "load", "store", "add", "cpuid", "poll", *["loop"] * depth]
    if host["devices"]:
        kinds += ["out", "in"] * 3
    kind = random.choice(kinds)
    if kind == "loop":
        inside = [_some_step(random, host, depth - 1) for _ in range(random.randrange(1, 4))]
        return (kind, random.randrange(7), inside)
    if kind == "poll":
        return (kind, STATUS, random.randrange(6))
    if kind == "cpuid":
        return (kind,)
    if kind == "outs":
        return (kind, port(random, size), size, random.randrange(20))
    if kind in ("load", "store", "add"):
        base = random.choice((0x2_0000, host["ram"] - 0x100, host["ram"], host["ram"] + 0x80))
        return (kind, base + 4 * random.randrange(32), size)
    at = port(random, size)
    if host["devices"]:
        at = random.choice((at, host["coalesced"][0][0], host["eventfds"][0][0], 0x21))
    return (kind, at, 1 if at == 0x21 else size)


def _weight(steps: Sequence[Step]) -> int:
    weight = 0
    for kind, *rest in steps:
        if kind == "loop":
            weight += rest[0] * _weight(rest[1])
        else:
            weight += {"outs": rest[-1], "poll": 6}.get(kind, 2) if rest else 0
    return weight


def spelled_out(steps: Sequence[Step], whole: bool) -> list[Step]:
    """The same guest without REP OUTS: with one OUT for it if `whole`, else one an element."""
    plain: list[Step] = []
    for kind, *rest in steps:
        if kind == "loop":
            plain.append((kind, rest[0], spelled_out(rest[1], whole)))
        elif kind == "outs":
            where, size, count = rest
            plain.append(("loop", min(count, 1) if whole else count, [("out", where, size)]))
        else:
            plain.append((kind, *rest))
    return plain


def look_at_all(
    student: Student, cases: list[tuple[list[Step], Host]]
) -> list[tuple[Any, tuple[int, int]]]:
    """What the student predicts for each guest, and how many exits it takes here, at the least and
    at the most: as a KVM takes it that gives a REP OUTS whole, and one that does not."""
    exits = student.get(FILE, "exits")
    found = []
    for steps, host in cases:
        predicted = exits(steps, host)
        least = most = measure(spelled_out(steps, whole=True), host)
        if has_strings(steps):
            most = measure(spelled_out(steps, whole=False), host)
        found.append((predicted, (least, most)))
    return found


def has_strings(steps: Sequence[Step]) -> bool:
    """Whether there is a REP OUTS in it."""
    return any(kind == "outs" or (kind == "loop" and has_strings(rest[1])) for kind, *rest in steps)


def hold_against(work: Work, cases: list[Case]) -> None:
    """`Wrong` at the first guest that takes other exits than the student's function says."""
    found = work.scenario(look_at_all, [(steps, host) for steps, host, _ in cases])
    for (steps, host, about), (predicted, measured) in zip(cases, found, strict=True):
        if predicted != measured:
            raise Wrong(
                f"exits() of {written(steps)} ({told(host)}) gave {predicted!r}, this host takes "
                f"{measured} ({about})"
            )


def told(host: Host) -> str:
    """A host in words, ports in hexadecimal as in its guests."""
    words = [f"ram {host['ram']:#x}", *(f"device {port:#x}" for port in host["devices"])]
    for key in ("coalesced", "eventfds"):
        words += [f"{key} ({at:#x}, {size})" for at, size in host[key]]
    return ", ".join(words)
