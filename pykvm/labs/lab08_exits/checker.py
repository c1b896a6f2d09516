"""What predictions, the C loop's help, and batches must come to: see README.md."""

from __future__ import annotations

from random import Random
from typing import Any

from pykvm.labs.lab08_exits.batching import (
    ADDRESS,
    BROKEN,
    DOORBELL,
    LARGEST,
    LENGTH,
    NO_MEMORY,
    OK,
    TOO_LONG,
    Driven,
    Ops,
    Text,
    drive_all,
    drive_own,
    hold_ops,
)
from pykvm.labs.lab08_exits.guessing import (
    edge_cases,
    hold_against,
    kernel_cases,
    plain_cases,
)
from pykvm.labs.lab08_exits.loop import Act
from pykvm.labs.lab08_exits.printing import (
    CONTROL,
    DATA,
    ONLINE,
    RESET,
    STATUS,
    Truth,
    guest_of,
    play_all,
    polling_guest,
    print_phases,
    run_printer,
    some_acts,
    told,
    true_course,
)
from pykvm.labs.steps import Wrong, expect, step
from pykvm.labs.student import Student
from pykvm.labs.work import Work

DRIVER = "driver.s"
FEW = 20
"""So often may Python be asked while 200 characters are printed."""
MANY = 1 << 20
TIMES_FEWER = 1000
"""By how much a batch must beat one character after the other, in exits a byte."""


@step(
    "predicts the exits of ports, memory and loops", look="README.md, section 3", needs=("machine",)
)
def predicts(work: Work) -> None:
    hold_against(work, plain_cases(work.random))


@step(
    "predicts what a page's edge takes apart",
    look="README.md, section 3",
    after=predicts,
    needs=("kvm",),
)
def predicts_edges(work: Work) -> None:
    hold_against(work, edge_cases(work.random))


@step(
    "predicts what the kernel answers itself",
    look="README.md, sections 2 and 3",
    after=predicts,
    needs=("kvm", "irqchip", "coalesced_pio", "ioeventfd"),
)
def predicts_kernel(work: Work) -> None:
    hold_against(work, kernel_cases(work.random))


def hold_printed(acts: list[Act], given: list[int], sent: bytes, how: str) -> None:
    """`Wrong` at the first act after which a guest could tell the student's printer by."""
    right, right_sent = true_course(acts)
    for at, (got, wanted) in enumerate(zip(given, right, strict=True)):
        if got != wanted:
            before = "; ".join(map(told, acts[max(at - 12, 0) : at])) or "nothing"
            raise Wrong(
                f"{how}, after: {before}: {told(acts[at])} gave {got:#04x}, without shortcuts it "
                f"gives {wanted:#04x}"
            )
    expect(sent, right_sent, f"{how}: what is printed in all by {len(acts)} random accesses")


@step("a guest cannot tell that C answers", look="README.md, section 4")
def cannot_tell(work: Work) -> None:
    scripts = [some_acts(work.random, 60) for _ in range(40)]
    for acts, (given, sent) in zip(scripts, work.scenario(play_all, scripts), strict=True):
        hold_printed(acts, given, sent, "on a model of the C loop")


def job(random: Random) -> tuple[list[Act], bytes]:
    """A driver prints 200 characters, and polls before each."""
    text = bytes(random.choices(range(0x20, 0x7F), k=200))
    acts: list[Act] = []
    for character in text:
        acts += [("read", STATUS, 1), ("write", DATA, character)]
    return acts, text


@step("Python is hardly asked any more", look="README.md, section 4", after=cannot_tell)
def is_fast(work: Work) -> None:
    begins: tuple[tuple[str, list[Act]], ...] = (
        ("CONTROL was set to ONLINE", [("write", CONTROL, ONLINE)]),
        ("paper ran low", [("paper", 1)]),
        (
            "it was taken off line, printed to, and its ERROR read",
            [
                ("write", CONTROL, 0),
                ("write", DATA, 0x58),
                ("read", STATUS, 1),
                ("write", CONTROL, ONLINE),
            ],
        ),
        ("CONTROL was set to RESET and ONLINE", [("write", CONTROL, RESET | ONLINE)]),
    )
    jobs = [job(work.random) for _ in begins]
    phases = [begin + acts for (_, begin), (acts, _) in zip(begins, jobs, strict=True)]
    found = work.scenario(print_phases, phases)
    for (what, _), (_, text), (counts, sent) in zip(begins, jobs, found, strict=True):
        expect(sent, text, f"what is printed after {what}")
        total = sum(counts.values())
        if total > FEW:
            most = max(counts, key=lambda name: counts[name])
            raise Wrong(
                f"after {what}, 200 characters, each with a look at STATUS before, asked Python "
                f"{total} times, most often for: {most} ({counts[most]} times); {FEW} is the limit"
            )


def run_both(
    student: Student, acts: list[Act], text: bytes
) -> tuple[tuple[Any, ...], tuple[Any, ...], bytes, bytes]:
    """Run a script, and a driver that polls, on a machine with the student's printer."""
    sent, printed = bytearray(), bytearray()
    make = student.get("printer.py", "Printer")
    script = run_printer(make(sent.extend), guest_of(acts), want=2 * len(acts))
    driver = run_printer(make(printed.extend), polling_guest(len(text)), text)
    return script, driver, bytes(sent), bytes(printed)


@step("so it is on a machine", look="README.md, section 4", after=is_fast, needs=("kvm",))
def is_fast_on_a_machine(work: Work) -> None:
    acts = [act for act in some_acts(work.random, 250) if act != ("tick",)]
    text = bytes(work.random.choices(range(0x20, 0x7F), k=400))
    script, driver, sent, printed = work.scenario(run_both, acts, text, seconds=15)
    end, _, _, memory = script
    expect(end, "halted", "how a guest ends that reads and writes the printer at random")
    words = memoryview(memory).cast("H")
    given = [word if act[0] == "read" else -1 for act, word in zip(acts, words, strict=True)]
    hold_printed(acts, given, sent, "on a machine")
    end, exits, dispatches, _ = driver
    expect(end, "halted", "how a guest ends that prints 400 characters")
    expect(printed, text, "what it printed")
    if dispatches > exits // 4:
        raise Wrong(f"of {exits} exits of that guest, {dispatches} reached Python")


RAM_END = 1 << 20


@step("prints a buffer at each ring", look="README.md, section 5")
def prints_batches(work: Work) -> None:
    text = work.random.randbytes(LARGEST)
    at = work.random.randrange(0x1000, 0xF_0000)
    some = work.random.randrange(1, LARGEST)
    ops = Ops().read(DOORBELL, OK).ring(at, some, OK, text[:some])
    ops.read(ADDRESS, at).read(LENGTH, some).write(DOORBELL, 0, text[:some])
    ops.ring(at, LARGEST, OK, text).ring(at + 5, 3, OK, text[5:8])
    ops.write(LENGTH, 1).write(DOORBELL, 9, text[5:6])
    ops.write(LENGTH, 4).write(ADDRESS, at + 9).write(DOORBELL, 0, text[9:13])
    hold_ops(work, {at: text}, ops)


@step("refuses what it cannot print", look="README.md, section 5", after=prints_batches)
def refuses(work: Work) -> None:
    text = work.random.randbytes(64)
    last = RAM_END - len(text)
    wild = work.random.randrange(RAM_END, 1 << 32)
    ops = Ops().ring(last, 64, OK, text).ring(last + 1, 64, NO_MEMORY).ring(last, 64, OK, text)
    ops.ring(RAM_END, 1, NO_MEMORY).ring(wild, 16, NO_MEMORY)
    ops.ring(0xFFFF_FFFF, 2, NO_MEMORY).ring(0xFFFF_F000, LARGEST, NO_MEMORY)
    ops.ring(0x1000, LARGEST + 1, TOO_LONG).ring(0x1000, 0xFFFF_FFFF, TOO_LONG)
    ops.ring(0xFFFF_FFFF, 0xFFFF_FFFF, TOO_LONG).ring(0x1000, 0, OK)
    ops.ring(wild, 16, NO_MEMORY).write(ADDRESS, last).write(LENGTH, 8).read(DOORBELL, NO_MEMORY)
    ops.write(DOORBELL, 1, text[:8])
    for offset, size in ((ADDRESS, 1), (LENGTH, 2), (LENGTH + 2, 2), (ADDRESS + 1, 4)):
        ops.write(offset, 0x7F, size=size)
    ops.write(DOORBELL, 1, size=1).write(DOORBELL, 1, size=2).write(DOORBELL + 1, 1, size=1)
    ops.read(ADDRESS, last).read(LENGTH, 8)
    ops.read(ADDRESS, 0xFF, size=1).read(LENGTH + 2, 0xFFFF, size=2).read(DOORBELL, 0xFF, size=1)
    ops.read(DOORBELL, OK).write(DOORBELL, 1, text[:8])
    hold_ops(work, {last: text}, ops)


def some_text(random: Random, length: int) -> Text:
    """A text, and where it is to lie."""
    return random.randrange(0x2_0000, 0x8_0000), random.randbytes(length)


@step(
    "the driver prints a text of any length, and stops at an error",
    look="README.md, section 6",
    needs=("machine",),
)
def drives(work: Work) -> None:
    image = work.assemble(DRIVER)
    some = work.random.randrange(1, 500)
    lengths = (1, LARGEST, LARGEST + some, 0x1_0000 + some, 0)
    jobs = [(some_text(work.random, length), MANY) for length in lengths]
    jobs.append((some_text(work.random, 5 * LARGEST), 2))
    for (text, rings), plain in zip(jobs, work.scenario(drive_all, image, jobs), strict=False):
        judge_driver(Driven(*plain), text, rings)


def judge_driver(found: Driven, text: Text, rings: int) -> None:
    """`Wrong` unless a driver did right with a printer that bears so many rings."""
    address, content = text
    asked = ", ".join(f"{length} at {place:#x}" for place, length in found.asked[:4]) or "none"
    more = ", ..." if len(found.asked) > 4 else ""
    about = f"a text of {len(content)} bytes at {address:#x} (rings: {asked}{more})"
    for _, length in found.asked:
        if length > LARGEST:
            raise Wrong(f"{about}: the driver asked for {length} bytes at once")
    if len(found.asked) > rings + 1:
        raise Wrong(f"{about}: STATUS was {BROKEN} after ring {rings + 1}, yet it rang on")
    is_broken = len(found.asked) > rings
    if not is_broken:
        expect(found.sent, content, f"what is printed of {about}")
    expect(found.end, "halted", f"how the driver ends with {about}")
    expect(found.result, BROKEN if is_broken else OK, f"the dword at 0x508 after {about}")


def compare(student: Student, image: bytes, text: Text, few: bytes) -> tuple[Any, ...]:
    """The exits of the chatty way with a few bytes, and a `Driven` of the student's own."""
    _, exits, *_ = run_printer(Truth(), polling_guest(len(few)), few)
    return exits, drive_own(student, image, text)


@step(
    f"a batch takes {TIMES_FEWER} times fewer exits a byte",
    look="README.md, section 6",
    after=(refuses, drives),
    needs=("machine",),
)
def saves(work: Work) -> None:
    few = work.random.randbytes(500)
    address, content = some_text(work.random, work.random.randrange(20_000, 60_000))
    image = work.assemble(DRIVER)
    exits, plain = work.scenario(compare, image, (address, content), few, seconds=8)
    found = Driven(*plain)
    chatty = exits / len(few)
    ratio = chatty * len(content) / max(found.exits, 1)
    if (found.end != "halted" or found.sent == content) and ratio < TIMES_FEWER:
        raise Wrong(
            f"one character after the other takes {chatty:.2f} exits a byte; your driver and "
            f"printer took {found.exits} for {len(content)} bytes, {ratio:.0f} times fewer a "
            f"byte: {TIMES_FEWER} times fewer are asked for"
        )
    expect(found.end, "halted", "how your driver ends with your printer")
    expect(found.sent, content, f"what they print of {len(content)} bytes")
