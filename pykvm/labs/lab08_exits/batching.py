"""The batch printer, as its driver must find it, and guests that use it."""

from __future__ import annotations

from typing import Any, NamedTuple

from pykvm.bus import Device
from pykvm.labs.lab08_exits.programs import forget_emulators
from pykvm.labs.steps import expect
from pykvm.labs.student import Student
from pykvm.labs.work import Work

FILE = "batch.py"
BASE, PORTS = 0x330, 12
ADDRESS, LENGTH, DOORBELL = 0, 4, 8
NAMES = {ADDRESS: "ADDRESS", LENGTH: "LENGTH", DOORBELL: "DOORBELL/STATUS"}
OK, NO_MEMORY, TOO_LONG = range(3)
LARGEST = 4096
BROKEN = 7
"""What the checker's printer says when it has had enough: a status that the text does not know."""
WHERE, HOW_MUCH, RESULT = 0x500, 0x504, 0x508
UNTOUCHED = 0xDEADBEEF

Op = tuple[str, int, int, int]
"""("write", offset, size, value) or ("read", offset, size, what is to come), as the bus does."""
Text = tuple[int, bytes]
"""Where a text lies, and the text."""


class Exact(Device):
    """The checker's own batch printer, which keeps what a driver asked for.

    Args:
        memory: the guest's.
        rings: after so many rings of the doorbell it is broken.

    Attributes:
        asked: (address, length) of each ring.
        sent: what was printed.
    """

    name = "batch printer"
    width = 4

    def __init__(self, memory: Any, rings: int) -> None:
        self._memory = memory
        self._rings = rings
        self._registers = {ADDRESS: 0, LENGTH: 0, DOORBELL: OK}
        self.asked: list[tuple[int, int]] = []
        self.sent = bytearray()

    def read(self, offset: int, size: int) -> int:
        """A register."""
        return self._registers.get(offset, -1) if size == 4 else -1

    def write(self, offset: int, size: int, value: int) -> None:
        """A register, or a ring."""
        if size == 4 and offset in (ADDRESS, LENGTH):
            self._registers[offset] = value
        elif size == 4 and offset == DOORBELL and len(self.asked) < 1 << 16:
            self._registers[DOORBELL] = self._ring()

    def _ring(self) -> int:
        from pykvm.memory import Gpa

        address, length = self._registers[ADDRESS], self._registers[LENGTH]
        self.asked.append((address, length))
        if len(self.asked) > self._rings:
            return BROKEN
        if length > LARGEST:
            return TOO_LONG
        if not self._memory.contains(address, length):
            return NO_MEMORY
        self.sent += self._memory.read(Gpa(address), length)
        return OK


class Driven(NamedTuple):
    """What became of a driver.

    Attributes:
        end: how it ended.
        result: what it left at RESULT.
        sent: what was printed, as long as the text and one byte more.
        asked: (address, length) of the first 200 rings; none with the student's printer.
        exits: how many I/O exits it took.
    """

    end: str
    result: int
    sent: bytes
    asked: list[tuple[int, int]]
    exits: int


def drive_all(student: Student, image: bytes, jobs: list[tuple[Text, int]]) -> list[Any]:
    """Run a driver with the checker's printer, for each text, and how many rings it shall bear.

    Returns:
        a `Driven` for each, as a plain value, up to the first that did not halt.
    """
    found = []
    for text, rings in jobs:
        found.append(_drive(image, text, None, rings))
        if found[-1][0] != "halted":
            break
    return found


def drive_own(student: Student, image: bytes, text: Text) -> tuple[Any, ...]:
    """Run a driver with the student's printer; a `Driven`, as a plain value."""
    return _drive(image, text, student.get(FILE, "BatchPrinter"), 0)


def _drive(image: bytes, text: Text, make: Any, rings: int) -> tuple[Any, ...]:
    from pykvm.errors import GuestCrash
    from pykvm.machine import Machine
    from pykvm.memory import Gpa

    forget_emulators()
    address, content = text
    most = 4 * len(content) + 1000 if make is None else len(content)
    with Machine("1M", irqchip="none", stats=True) as machine:
        exact = Exact(machine.memory, rings)
        sent = exact.sent
        if make is None:
            machine.ports.attach(BASE, PORTS, exact)
        else:
            machine.ports.attach(BASE, PORTS, make(machine.memory, sent.extend))
        machine.load(image, bios=False)
        for at, value in ((WHERE, address), (HOW_MUCH, len(content)), (RESULT, UNTOUCHED)):
            machine.memory.write_uint(Gpa(at), 4, value)
        machine.memory.write(Gpa(address), content)
        try:
            end = machine.run(timeout=2, max_exits=most).reason.value
        except GuestCrash as error:
            end = f"crashed: {error.cause}"
        result = machine.memory.read_uint(Gpa(RESULT), 4)
        exits = machine.stats().exits.get("KVM_EXIT_IO", 0)
        printed = bytes(sent[: len(content) + 1])
        return tuple(Driven(end, result, printed, exact.asked[:200], exits))


def operate(
    student: Student, ram: dict[int, bytes], ops: list[Op]
) -> tuple[list[int], list[bytes]]:
    """Read and write the student's batch printer, with 1 MiB of RAM behind it.

    Args:
        ram: what is there before.
        ops: what to do.

    Returns:
        what each read gave (else -1), and what was sent after each op.
    """
    from pykvm.memory import Gpa, GuestMemory

    sent = bytearray()
    given, printed = [], []
    with GuestMemory(1 << 20) as memory:
        for address, data in ram.items():
            memory.write(Gpa(address), data)
        printer = student.get(FILE, "BatchPrinter")(memory, sent.extend)
        for kind, *rest in ops:
            sent.clear()
            given.append(printer.read(*rest[:2]) if kind == "read" else -1)
            if kind == "write":
                printer.write(*rest)
            printed.append(bytes(sent))
    return given, printed


class Ops:
    """Accesses to a batch printer, and what each must give."""

    def __init__(self) -> None:
        self.ops: list[Op] = []
        self.right: list[Any] = []

    def write(self, offset: int, value: int, prints: bytes = b"", size: int = 4) -> Ops:
        """A write, and what is printed at once."""
        self.ops.append(("write", offset, size, value))
        self.right.append(prints)
        return self

    def read(self, offset: int, value: int, size: int = 4) -> Ops:
        """A read, and what it gives."""
        self.ops.append(("read", offset, size, value))
        self.right.append(value)
        return self

    def ring(self, address: int, length: int, status: int, prints: bytes = b"") -> Ops:
        """Set both registers, ring the doorbell, look at the status."""
        self.write(ADDRESS, address).write(LENGTH, length)
        return self.write(DOORBELL, 1, prints).read(DOORBELL, status)


def hold_ops(work: Work, ram: dict[int, bytes], script: Ops) -> None:
    """`Wrong` at the first op that does not give what it must."""
    ops = script.ops
    given, printed = work.scenario(operate, ram, ops, seconds=5)
    for at, wanted in enumerate(script.right):
        got = given[at] if ops[at][0] == "read" else printed[at]
        if isinstance(got, int) and not isinstance(got, bool):
            got &= (1 << 8 * ops[at][2]) - 1
        before = "; ".join(map(op_told, ops[max(at - 3, 0) : at])) or "nothing"
        expect(got, wanted, f"after: {before}: {op_told(ops[at])}")


def op_told(op: Op) -> str:
    """An op in words."""
    name = NAMES.get(op[1], f"offset {op[1]}")
    size = "" if op[2] == 4 else " (1 byte)" if op[2] == 1 else f" ({op[2]} bytes)"
    return f"read {name}{size}" if op[0] == "read" else f"write {op[3]:#x} to {name}{size}"
