"""Running a student's faults.s with the table that their idt.py makes."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from pykvm.labs.lab05_interrupts.ticks import LOAD, PROGRAM, ROOM, assembled
from pykvm.labs.steps import Wrong
from pykvm.labs.student import Student
from pykvm.labs.toolchain import assemble
from pykvm.labs.work import Work

HERE = Path(__file__).parent
FAULTS, IDT = "faults.s", "idt.py"
IDTR, GATES = 0x700, 0x8000
EMULATOR = 8 << 30
"""Bytes of address space: it sets aside much that it never touches."""
LONG_REGISTERS = ("RAX", "RBX", "RCX", "RDX", "RSI", "RDI", "RBP", *(f"R{n}" for n in range(8, 15)))


def run_faults(
    student: Student, image: bytes, handlers: dict[int, int], before: bytes, cases: list[bytes]
) -> list[tuple[str, bytes]]:
    """How each case ends with the student's handlers and table, and memory then.

    On KVM if it can, else in the emulator.
    """
    from pykvm.errors import GuestCrash
    from pykvm.kvm import probes
    from pykvm.kvm.system import System
    from pykvm.machine import Machine
    from pykvm.memory import Gpa
    from pykvm.x86 import Mode

    with System() as system:
        able = probes.result(system, "int_long").ok and probes.result(system, "page_fault").ok
    idt = student.load(IDT)
    gates = {vector: idt.gate(handler, 0x08) for vector, handler in handlers.items()}
    found = []
    with Machine("16M", accel="kvm" if able else "emu") as machine:
        for counts in cases:
            machine.load(image, mode=Mode.LONG, entry=PROGRAM, bios=False)
            machine.memory.write(Gpa(GATES), bytes(idt.table(gates)))
            machine.memory.write(Gpa(0x500), bytes(24))
            machine.memory.write(Gpa(IDTR), b"\xff\x0f" + GATES.to_bytes(8, "little"))
            machine.memory.write(Gpa(0x710), counts)
            machine.memory.write(Gpa(0x720), before)
            try:
                end = machine.run(timeout=1.5).reason.value
            except GuestCrash as error:
                end = f"crashed: {error.cause}"
            found.append((end, machine.memory.read(Gpa(0), 0x900)))
            if end != "halted":
                break
    return found


class Faulted(NamedTuple):
    """How the student's handlers did: how it ended, the low memory, registers before and after."""

    end: str
    memory: bytes
    before: list[int]
    after: list[int]


def faulted(work: Work, *cases: bytes) -> list[Faulted]:
    """How faults.s does in each case: so many UD2, reads and writes that fault, INT 0x30.

    Nothing behind the first case that does not end well.
    """
    image = assembled(work, FAULTS)
    addresses = [int.from_bytes(image[i : i + 8], "little") for i in (0, 8, 16)]
    for address in addresses:
        if not LOAD + 24 <= address < LOAD + len(image):
            raise Wrong(
                f"faults.s begins with {address:#x}: the first three quadwords are the addresses "
                "of the three handlers"
            )
    handlers = dict(zip((6, 14, 0x30), addresses, strict=True))
    before = [work.random.getrandbits(62) for _ in LONG_REGISTERS]
    before[-1] = work.random.randrange(1 << 33, 1 << 45) & ~7  # not mapped: above 4 GiB
    packed = b"".join(value.to_bytes(8, "little") for value in before)
    whole = image.ljust(ROOM, b"\0") + assemble(HERE / "long_program.s", "long")
    counts = [case + b"\0" for case in cases]
    answer = work.scenario(run_faults, whole, handlers, packed, counts, seconds=10, memory=EMULATOR)
    found = []
    for reason, memory in answer:
        astray = reason == "halted" and not memory[0x714]
        end = "it went on in the wrong place" if astray else reason
        after = [quad(memory, 0x7A0 + 8 * i) for i in range(len(before))]
        found.append(Faulted(end, memory, before, after))
    return found


def quad(memory: bytes, at: int) -> int:
    """The quadword at an address."""
    return int.from_bytes(memory[at : at + 8], "little")
