"""What a VM made by hand must do: see README.md."""

from __future__ import annotations

import os
from contextlib import suppress
from random import Random

from pykvm.labs.steps import Wrong, expect, step
from pykvm.labs.student import Student
from pykvm.labs.work import Work

FILE = "vm.py"
MACHINES = 40
DESCRIPTORS_SPARE = 8
"""What a solution may keep once: an open /dev/kvm, the loader's own."""


def word(value: int) -> bytes:
    """16 bits, little-endian."""
    return (value & 0xFFFF).to_bytes(2, "little")


def arithmetic(random: Random) -> tuple[bytes, int, int]:
    """A guest that calculates with AX: its code, AX before, AX after."""
    ax = start = random.randrange(0x10000)
    code = b"\x66\x05\x00\x00\x01\x00"  # add eax, 0x10000, which AX does not show
    for _ in range(random.randrange(3, 12)):
        value = random.randrange(1, 0x10000)
        kind = random.randrange(3)
        code += bytes((0x05, 0x2D, 0x35)[kind : kind + 1]) + word(value)  # add, sub, xor ax, imm16
        ax = (ax + value, ax - value, ax ^ value)[kind] & 0xFFFF
    return code + b"\xf4", start, ax


def in_memory(random: Random) -> tuple[bytes, int, int]:
    """One that goes through RAM at a place of its own, by DS, ES and the stack."""
    value, key = random.randrange(0x10000), random.randrange(0x10000)
    place = random.randrange(0x4000, 0xF000) & ~1
    code = (
        b"\xa3"
        + word(place)  # mov [place], ax
        + b"\xbc\x00\x40"  # mov sp, 0x4000
        + b"\xb8"
        + word(key)  # mov ax, key
        + b"\x50"  # push ax
        + b"\x5b"  # pop bx
        + b"\xa1"
        + word(place)  # mov ax, [place]
        + b"\x31\xd8"  # xor ax, bx
        + b"\xf4"  # hlt
    )
    return code, value, value ^ key


def with_exits(random: Random) -> tuple[bytes, int, int]:
    """One that leaves KVM_RUN several times before its HLT."""
    start, outs = random.randrange(0x8000), random.randrange(2, 20)
    return b"\xe6\x80\x40" * outs + b"\xf4", start, start + outs  # out 0x80, al; inc ax; ...; hlt


def try_it(work: Work, guest: tuple[bytes, int, int], what: str) -> None:
    code, before, after = guest
    got = work.call(FILE, "run", code, before)
    expect(got, after, f"AX after {what} ({code.hex(' ')}), begun with AX = {before:#x}")


@step("a guest of one HLT comes back, with AX as it was", look="README.md, sections 2 and 3")
def halts(work: Work) -> None:
    before = work.random.randrange(1, 0x10000)
    try_it(work, (b"\xf4", before, before), "a guest that is but HLT")


@step("guests calculate: ADD, SUB, XOR", look="README.md, section 3", after=halts)
def calculates(work: Work) -> None:
    for _ in range(3):
        try_it(work, arithmetic(work.random), "arithmetic")


@step("guests use their memory and a stack", look="README.md, section 2", after=halts)
def remembers(work: Work) -> None:
    for _ in range(2):
        try_it(work, in_memory(work.random), "a guest that stores and loads")


@step("a guest goes on behind an exit that is no HLT", look="README.md, section 4", after=halts)
def goes_on(work: Work) -> None:
    try_it(work, with_exits(work.random), "a guest with OUT instructions on its way")


def run_astray(student: Student, code: bytes) -> str:
    """The name and text of what `run` raises."""
    try:
        result = student.get(FILE, "run")(code, 0)
    except RuntimeError as error:
        return str(error)
    raise Wrong(f"run() returned {result!r} for a guest that wrote where it has no memory")


@step(
    "a guest that ends otherwise is a RuntimeError that names the exit",
    look="README.md, section 4",
    after=halts,
)
def goes_astray(work: Work) -> None:
    code = (
        b"\xb8"
        + word(work.random.randrange(0x1000, 0xF000))  # mov ax, above RAM
        + b"\x8e\xd8"  # mov ds, ax
        + b"\xa2\x00\x00"  # mov [0], al
        + b"\xf4"  # hlt
    )
    said = work.scenario(run_astray, code)
    if "mmio" not in said.lower():
        raise Wrong(f"the RuntimeError says {said!r}, not which exit it was: Mmio")


def run_many(student: Student) -> int:
    """How many descriptors are open after many machines, beyond those before."""
    run = student.get(FILE, "run")
    run(b"\xf4", 0)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(MACHINES):
        # what matters is how it leaves, not how it went
        with suppress(RuntimeError):
            run(b"\xf4", 0)
    return len(os.listdir("/proc/self/fd")) - before


@step("a machine gives back all its descriptors", look="README.md, section 5", after=halts)
def gives_back(work: Work) -> None:
    left = work.scenario(run_many)
    if left > DESCRIPTORS_SPARE:
        raise Wrong(
            f"{MACHINES} machines left {left} descriptors open: a VM lives as long as any "
            "descriptor of it, its memory pinned"
        )
