"""The switch to protected mode, and what a processor makes of descriptors: see README.md."""

from __future__ import annotations

from random import Random
from typing import Any

from pykvm.labs.guest_runs import Run
from pykvm.labs.steps import Wrong, expect, step
from pykvm.labs.student import Student
from pykvm.labs.work import Work

GUEST, FILE = "switch.s", "descriptors.py"
TWO_MIB = 0x200000
WHOLE = 0xFFFFFFFF
LETTERS = {
    b"": "not even to its first letter",
    b"R": "as far as R: it does not arrive behind the far jump",
    b"RP": "as far as P: the far jump is done, an access to 2 MiB is not",
}


def run(work: Work, word: bytes) -> Run:
    """The student's guest, in RAM that is not all zeros."""
    image = work.assemble(GUEST)
    noise = work.random.randbytes(0x8000)
    ram = {0x8000: noise, TWO_MIB: word, TWO_MIB + 4: work.random.randbytes(8)}
    return work.run(image, ram=ram, want=[(TWO_MIB, 8)], seconds=4)


@step("the guest comes to its HLT", look="README.md, sections 3 and 5", needs=("machine",))
def comes_through(work: Work) -> None:
    done = run(work, b"abcd")
    if done.reason != "halted":
        where = LETTERS.get(done.debug, f"and said {done.debug[:20]!r}")
        raise Wrong(f"the guest {done.told()}; it came {where}")


@step(
    "it has copied the complement of the word at 2 MiB",
    look="README.md, section 3",
    after=comes_through,
)
def reaches_far(work: Work) -> None:
    for _ in range(2):
        word = work.random.randbytes(4)
        (memory,) = run(work, word).memory
        right = bytes(byte ^ 0xFF for byte in word)
        expect(memory[4:], right, f"the four bytes at 2 MiB + 4, of {word!r} at 2 MiB")


@step("it ends in flat 32-bit protected mode", look="README.md, section 3", after=comes_through)
def is_protected(work: Work) -> None:
    registers = run(work, b"abcd").registers
    expect(registers["cr0"] & 1, 1, "CR0.PE at the end")
    code = registers["cs"]
    expect(bool(code["db"]), True, "CS's D bit: whether its code is 32-bit")
    for name in ("cs", "ds", "ss"):
        segment: dict[str, Any] = registers[name]
        expect((segment["base"], segment["limit"]), (0, WHOLE), f"base and limit of {name.upper()}")
    for name in ("ds", "ss"):
        kind = registers[name]["type"]
        if kind & 0xA != 2:
            raise Wrong(f"{name.upper()} has the type {kind:#x}: not writable data (2 or 3)")


def take_apart(student: Student, values: list[int]) -> list[tuple[Any, ...]]:
    """What `decode` says of each descriptor."""
    decode = student.get(FILE, "decode")
    return [tuple(decode(value)) for value in values]


def descriptor(base: int, limit: int, access: int, flags: int) -> int:
    """64 bits; `limit` is the field of 20 bits (SDM vol. 3A, figure "Segment Descriptor")."""
    return (
        (limit & 0xFFFF)
        | (base & 0xFFFFFF) << 16
        | access << 40
        | (limit >> 16) << 48
        | flags << 52
        | (base >> 24) << 56
    )


def one_of(random: Random) -> tuple[int, tuple[Any, ...]]:
    """A descriptor, and what it says."""
    base, limit = random.randrange(1 << 32), random.randrange(1 << 20)
    kind, present, dpl = random.choice(["code", "data", "system"]), random.random() < 0.7, 0
    dpl = random.randrange(4)
    low = {"code": 0x18, "data": 0x10, "system": 0}[kind] | random.randrange(8)
    fine, wide = random.random() < 0.5, random.random() < 0.5
    long = kind == "code" and random.random() < 0.3
    flags = (0 if fine else 8) | (4 if wide and not long else 0) | (2 if long else 0)
    bits = 64 if long else 32 if wide else 16
    access = low | present << 7 | dpl << 5
    bytes_of_it = limit if fine else limit << 12 | 0xFFF
    value = descriptor(base, limit, access, flags)
    return value, (base, bytes_of_it, kind, present, dpl, bits)


@step("takes descriptors apart", look="README.md, section 2")
def takes_apart(work: Work) -> None:
    cases = [one_of(work.random) for _ in range(40)]
    fields = ("base", "limit", "kind", "present", "dpl", "bits")
    got = work.scenario(take_apart, [value for value, _ in cases])
    for (value, right), parts in zip(cases, got, strict=True):
        for name, part, wanted in zip(fields, parts, right, strict=True):
            expect(part, wanted, f"decode({value:#018x}).{name}")


def jump_all(student: Student, cases: list[tuple[bytes, int, int]]) -> list[object]:
    """What `far_jump` says of each."""
    far_jump = student.get(FILE, "far_jump")
    return [far_jump(*case) for case in cases]


def jump(random: Random, case: str) -> tuple[bytes, int, int, str]:
    """A GDT, its limit, a selector, and what a far jump does."""
    entries = [0] + [
        descriptor(random.randrange(1 << 32), 0xFFFFF, 0x9A | random.randrange(2), 0xC)
        for _ in range(random.randrange(3, 8))
    ]
    index = random.randrange(1, len(entries) - 1)
    access, limit, low = 0x9A, 8 * len(entries) - 1, 0
    right = f"#GP({8 * index:#x})"
    match case:
        case "ok" | "conforming":
            access, right = (0x9E, "ok") if case == "conforming" else (0x9A, "ok")
            low = random.randrange(1, 4) if case == "conforming" else 0
        case "null":
            index, low, right = 0, random.randrange(4), "#GP(0x0)"
        case "limit":
            limit = 8 * index + random.randrange(7)
        case "exact":
            limit, right = 8 * index + 7, "ok"
        case "data":
            access = 0x92
        case "system":
            access = 0x8B
        case "absent":
            access, right = 0x1A, f"#NP({8 * index:#x})"
        case "absent data":
            access = 0x12
        case "ring 3":
            access, low = 0xFA, 0
        case "rpl":
            low = random.randrange(1, 4)
        case "ldt":
            low, right = 4, f"#GP({8 * index | 4:#x})"
    if index:
        entries[index] = descriptor(0, 0xFFFFF, access, 0xC)
    table = b"".join(entry.to_bytes(8, "little") for entry in entries)
    return table + bytes(64), limit, 8 * index | low, right


CASES = {
    "ok": "a present 32-bit code segment of ring 0",
    "null": "the null selector, whatever its RPL",
    "limit": "a descriptor that ends behind the GDT's limit",
    "exact": "a descriptor whose last byte is the one at the GDT's limit",
    "data": "a data segment",
    "system": "a system segment",
    "absent": "a code segment that is not present",
    "absent data": "a data segment that is not present: its type is looked at first",
    "ring 3": "a nonconforming code segment of ring 3",
    "rpl": "a selector with an RPL above 0",
    "ldt": "a selector whose TI bit names the LDT, which there is not",
    "conforming": "a conforming code segment of ring 0, whatever the RPL",
}


@step("knows what a far jump does", look="README.md, section 4", after=takes_apart)
def knows_jumps(work: Work) -> None:
    cases = [(jump(work.random, name), what) for name, what in CASES.items() for _ in range(4)]
    got = work.scenario(jump_all, [case[:3] for case, _ in cases])
    for ((table, limit, selector, right), what), answer in zip(cases, got, strict=True):
        at = selector & 0xFFF8
        entry = int.from_bytes(table[at : at + 8], "little")
        expect(
            answer,
            right,
            f"far_jump() to the selector {selector:#x}, GDT limit {limit:#x}, where {entry:#018x} "
            f"is: {what}",
        )
