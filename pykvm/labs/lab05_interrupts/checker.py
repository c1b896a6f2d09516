"""What interrupt handlers must do, of real mode and of long mode: see README.md."""

from __future__ import annotations

from typing import Any

from pykvm.labs.lab05_interrupts.faults import IDT, LONG_REGISTERS, faulted, quad
from pykvm.labs.lab05_interrupts.ticks import (
    BUTTON_IRQ,
    FLAGS,
    IF,
    LOAD,
    in_service,
    interrupted,
    set_up,
    word,
)
from pykvm.labs.steps import Wrong, expect, step
from pykvm.labs.student import Student
from pykvm.labs.work import Work

DIVISOR = 1193
REAL_REGISTERS = ("AX", "BX", "CX", "DX", "SI", "DI", "BP", "DS", "ES")


@step("puts its handlers where the table of vectors says", look="README.md, section 1")
def sets_vectors(work: Work) -> None:
    found, end = set_up(work)
    for irq, vector in ((0, 0x20), (BUTTON_IRQ, 0x2A)):
        at = 4 * vector
        offset, segment = word(found["low"], at), word(found["low"], at + 2)
        if not LOAD <= segment * 16 + offset < end:
            raise Wrong(
                f"the vector of IRQ {irq}, {vector:#x}, at {at:#x}, leads to "
                f"{segment:04x}:{offset:04x}, outside of the image at {LOAD:#x} to {end - 1:#x}"
            )


@step("sets up both interrupt controllers", look="README.md, section 2")
def sets_up_pics(work: Work) -> None:
    found, _ = set_up(work)
    for name, base, mask, open_ in (
        ("master", 0x20, 0xFA, "IRQ 0, and input 2, through which the slave's requests come"),
        ("slave", 0x28, 0xFB, "IRQ 10, its input 2"),
    ):
        pic = found[name]
        if pic["init_state"]:
            raise Wrong(f"the {name} PIC still waits for an ICW: ICW1 to ICW4, all four, in order")
        expect(pic["irq_base"], base, f"the vector of the {name} PIC's first input (ICW2)")
        if pic["imr"] != mask:
            raise Wrong(
                f"the {name} PIC's mask is {pic['imr']:08b}, it should be {mask:08b}: open is "
                f"{open_} (a 1 closes)"
            )


@step("has the timer tick 1000 times a second", look="README.md, section 3")
def sets_up_timer(work: Work) -> None:
    timer = set_up(work)[0]["timer"]
    expect(timer["mode"], 2, "the mode of the timer's counter 0")
    expect(timer["count"], DIVISOR, "what counter 0 counts down from")


ZEROS = [0] * len(REAL_REGISTERS)


@step(
    "counts every tick",
    look="README.md, section 2 (end of interrupt)",
    after=(sets_vectors, sets_up_pics, sets_up_timer),
)
def counts(work: Work) -> None:
    if not word(set_up(work)[0]["low"], FLAGS) & IF:
        raise Wrong("interrupts are off when the program at 0x3000 begins: STI comes before it")
    wanted = work.random.randrange(5, 20)
    found, ticks, _ = interrupted(work, wanted, b"", ZEROS)
    if found["end"] == "halted" and wanted <= ticks < wanted + 100:
        return
    raise Wrong(
        f"a program that waits for {wanted} ticks: {found['end']} with {ticks} in the word at "
        f"0x500; {in_service(found)}"
    )


@step(
    "takes each byte of the button",
    look="README.md, sections 2 and 3",
    after=(sets_vectors, sets_up_pics),
)
def takes_bytes(work: Work) -> None:
    given = bytes(work.random.randrange(256) for _ in range(work.random.randrange(6, 20)))
    found, _, taken = interrupted(work, 0, given, ZEROS)
    if found["end"] != "halted":
        raise Wrong(
            f"the button gave {given.hex(' ')}; {found['end']} with {len(taken)} bytes taken "
            f"({taken.hex(' ')}); {in_service(found)}"
        )
    expect(taken.hex(" "), given.hex(" "), "the bytes at 0x600")
    expect(found["extra"], 0, "how often the button was read without having been pressed")


@step(
    "leaves no trace in what it interrupts",
    look="README.md, section 3",
    after=(counts, takes_bytes),
)
def leaves_no_trace(work: Work) -> None:
    values = [work.random.randrange(1, 1 << 16) for _ in REAL_REGISTERS]
    # another segment, and one in which nothing of the interrupt's lies
    values[7:] = [work.random.randrange(0x2000, 0x8000) for _ in range(2)]
    given = bytes(work.random.randrange(256) for _ in range(5))
    found, ticks, taken = interrupted(work, 5, given, values)
    context = f"with DS = {values[7]:#06x} in the program that is interrupted"
    if found["end"] != "halted":
        raise Wrong(
            f"{context}: {found['end']}, {ticks} ticks and {len(taken)} bytes counted; a handler "
            "finds in DS what the program had there: it has to save, set and restore it, or to use "
            "CS"
        )
    after = [word(found["low"], 0x730 + 2 * i) for i in range(len(values))]
    for name, old, new in zip(REAL_REGISTERS, values, after, strict=True):
        expect(new, old, f"{name} of the interrupted program, after the interrupts")
    expect(taken.hex(" "), given.hex(" "), f"the bytes at 0x600, {context}")


def as_gate(work: Work, handler: int, selector: int, **more: Any) -> int:
    found = work.scenario(make_gate, handler, selector, more)
    if not isinstance(found, bytes) or len(found) != 16:
        raise Wrong(f"gate() returned {found!r:.80}: it should be 16 bytes")
    return int.from_bytes(found, "little")


def make_gate(student: Student, handler: int, selector: int, more: dict[str, Any]) -> Any:
    """What the student's `gate` returns."""
    made = student.get(IDT, "gate")(handler, selector, **more)
    return bytes(made) if isinstance(made, (bytes, bytearray)) else made


@step("writes gates of long mode", look="README.md, section 5; SDM vol. 3A, 6.14.1")
def writes_gates(work: Work) -> None:
    for i in range(6):
        handler = work.random.getrandbits(64) if i else 0xFFFF_8000_1234_5678
        selector = work.random.randrange(1, 1 << 13) << 3
        dpl, ist = work.random.randrange(4), work.random.randrange(8)
        trap = bool(i % 2)
        made = as_gate(work, handler, selector, trap=trap, dpl=dpl, ist=ist)
        call = f"gate({handler:#x}, {selector:#x}, trap={trap}, dpl={dpl}, ist={ist})"
        offset = made & 0xFFFF | (made >> 48 & 0xFFFF_FFFF_FFFF) << 16
        expect(offset, handler, f"the offset in {call} (bits 15:0, 63:48 and 95:64)")
        for name, shift, bits, right in (
            ("the selector (bits 31:16)", 16, 16, selector),
            ("IST (bits 34:32)", 32, 3, ist),
            ("bits 39:35, which are 0,", 35, 5, 0),
            ("the type (bits 43:40)", 40, 4, 15 if trap else 14),
            ("bit 44, which is 0,", 44, 1, 0),
            ("DPL (bits 46:45)", 45, 2, dpl),
            ("P (bit 47)", 47, 1, 1),
            ("bits 127:96, which are 0,", 96, 32, 0),
        ):
            expect(made >> shift & (1 << bits) - 1, right, f"{name} in {call}")


@step("lays out the whole table", look="README.md, section 5")
def lays_out(work: Work) -> None:
    gates = {vector: work.random.randbytes(16) for vector in work.random.sample(range(256), 9)}
    made = work.call(IDT, "table", gates)
    if not isinstance(made, (bytes, bytearray)) or len(made) != 4096:
        raise Wrong(f"table() returned {made!r:.60}: it should be 4096 bytes, 256 gates of 16")
    for vector in range(256):
        right = gates.get(vector, bytes(16))
        expect(made[16 * vector : 16 * vector + 16], right, f"the gate of vector {vector:#x}")


def expect_registers(before: list[int], after: list[int], what: str) -> None:
    for name, old, new in zip(LONG_REGISTERS, before, after, strict=True):
        expect(new, old, f"{name} after {what}")


BUILT = (writes_gates, lays_out)


@step("the handler of #UD goes on behind the UD2", look="README.md, section 6", after=BUILT)
def skips(work: Work) -> None:
    times = work.random.randrange(2, 9)
    [(end, memory, before, after)] = faulted(work, bytes([times, 0, 0, 0]))
    if end != "halted":
        raise Wrong(
            f"{times} UD2: {end}, {quad(memory, 0x500)} counted at 0x500.  A fault's saved RIP is "
            "that of the instruction itself: IRETQ executes it again"
        )
    expect(quad(memory, 0x500), times, f"the quadword at 0x500 after {times} UD2")
    expect_registers(before, after, f"{times} UD2")


@step(
    "the handler of #PF notes where and why, and goes on at R15",
    look="README.md, section 6",
    after=BUILT,
)
def notes(work: Work) -> None:
    cases = (("reads", 0), ("writes", 2))
    found = faulted(work, bytes([0, 3, 0, 0]), bytes([0, 0, 3, 0]))
    for (what, code), (end, memory, before, after) in zip(cases, found, strict=False):
        told = f"after three {what} at {before[-1]:#x}, which is not mapped"
        if end != "halted":
            raise Wrong(
                f"{told}: {end}.  #PF pushes an error code, so RIP is at RSP + 8: IRETQ wants the "
                "code gone, and RIP replaced by R15"
            )
        expect(quad(memory, 0x508), before[-1], f"the quadword at 0x508 (CR2) {told}")
        expect(quad(memory, 0x510), code, f"the quadword at 0x510 (the error code) {told}")
        expect_registers(before, after, f"three {what} that faulted")


@step("INT 0x30 adds RDI and RSI", look="README.md, section 6", after=BUILT)
def adds(work: Work) -> None:
    calls = work.random.randrange(1, 5)
    [(end, _, before, after)] = faulted(work, bytes([0, 0, 0, calls]))
    if end != "halted":
        raise Wrong(
            f"INT 0x30: {end}.  INT's saved RIP is behind it already: this handler leaves it alone"
        )
    right = (before[5] + before[4]) % (1 << 64)
    expect_registers([right, *before[1:]], after, "INT 0x30 (RAX = RDI + RSI)")
