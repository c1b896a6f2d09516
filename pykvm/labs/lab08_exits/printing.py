"""The printer as a guest sees it, scripts of accesses to it, and guests that play them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from itertools import takewhile
from random import Random
from typing import Any

from pykvm.bus import Device, Shortcuts
from pykvm.labs.lab08_exits.loop import BASE, Act, CLoop, play
from pykvm.labs.lab08_exits.programs import forget_emulators
from pykvm.labs.student import Student

FILE = "printer.py"
DATA, STATUS, CONTROL, COUNT = range(4)
NAMES = ("DATA", "STATUS", "CONTROL", "COUNT")
READY, ERROR, PAPER_LOW = 1, 2, 4
ONLINE, RESET = 1, 0x80
PORTS = 4

PAPER_PORT = 0x32F
"""Where a guest tells the checker to change the paper."""
TEXT, RESULTS = 0x2000, 0x4000


class Truth(Device):
    """What a guest must see: the printer without any shortcut."""

    name = "printer"

    def __init__(self) -> None:
        self.sent = bytearray()
        self.online = self.error = self.paper_low = False
        self.count = 0

    def set_paper_low(self, low: bool) -> None:
        """Paper runs low, or not."""
        self.paper_low = low

    def read(self, offset: int, size: int) -> int:
        """A register."""
        if offset == STATUS:
            status = READY * self.online | ERROR * self.error | PAPER_LOW * self.paper_low
            self.error = False
            return status
        return (0, 0, ONLINE * self.online, self.count & 0xFF)[offset]

    def write(self, offset: int, size: int, value: int) -> None:
        """A register."""
        if offset == DATA and self.online:
            self.sent.append(value)
            self.count += 1
        elif offset == DATA:
            self.error = True
        elif offset == CONTROL:
            self.online = bool(value & ONLINE)
            if value & RESET:
                self.error = False
                self.count = 0


def true_course(acts: Sequence[Act]) -> tuple[list[int], bytes]:
    """What each act of a script must give, and what must be printed."""
    truth = Truth()
    given = _attach_and_play(truth, acts)
    return given, bytes(truth.sent)


def _attach_and_play(device: Any, acts: Sequence[Act]) -> list[int]:
    """As `play`; what happens to the paper first of all happens before the device is attached."""
    before = list(takewhile(lambda act: act[0] == "paper", acts))
    for _, *low in before:
        device.set_paper_low(bool(low[0]))
    return [-1] * len(before) + play(CLoop(device, PORTS), device, acts[len(before) :])


def some_acts(random: Random, count: int) -> list[Act]:
    """A script that goes through all of the printer's states."""
    acts: list[Act] = [("paper", 1)] * random.randrange(2)
    while len(acts) < count:
        kind = random.random()
        if kind < 0.3:
            characters = random.choices(range(0x20, 0x7F), k=random.randrange(1, 5))
            acts += [("write", DATA, character) for character in characters]
        elif kind < 0.6:
            acts.append(("read", STATUS, random.choice((1, 1, 1, 2))))
        elif kind < 0.7:
            acts.append(("read", random.choice((CONTROL, COUNT, DATA)), 1))
        elif kind < 0.85:
            value = random.choice((ONLINE, ONLINE, 0, RESET, RESET | ONLINE))
            acts.append(("write", CONTROL, value))
        elif kind < 0.93:
            acts.append(("paper", random.randrange(2)))
        else:
            acts.append(("tick",))
    return acts


def told(act: Act) -> str:
    """An act in words."""
    match act:
        case ("write", int(offset), int(value)):
            return f"write {value:#04x} to {NAMES[offset]}"
        case ("read", int(offset), int(size)):
            return f"read {NAMES[offset]}" + ("" if size == 1 else f" ({size} bytes wide)")
        case ("paper", int(low)):
            return f"set_paper_low({bool(low)})"
    return "a tick (what was posted is delivered)"


def play_all(student: Student, scripts: list[list[Act]]) -> list[tuple[list[int], bytes]]:
    """What the student's printer gives with the C loop's help, and prints, for each script."""
    found = []
    for acts in scripts:
        sent = bytearray()
        printer = student.get(FILE, "Printer")(sent.extend)
        given = _attach_and_play(printer, acts)
        found.append((given, bytes(sent)))
    return found


def print_phases(student: Student, phases: list[list[Act]]) -> list[tuple[dict[str, int], bytes]]:
    """Play one script after the other on one printer; what reached Python in each, and was
    printed."""
    sent = bytearray()
    printer = student.get(FILE, "Printer")(sent.extend)
    loop = CLoop(printer, PORTS)
    found = []
    for acts in phases:
        loop.dispatches.clear()
        sent.clear()
        play(loop, printer, acts)
        counts = {f"{kind} {NAMES[at]}": n for (kind, at), n in loop.dispatches.items()}
        found.append((counts, bytes(sent)))
    return found


class Counted(Device):
    """Stands before a device, and counts what reaches it.

    Attributes:
        dispatches: how often Python was asked.
    """

    def __init__(self, inner: Device) -> None:
        self._inner = inner
        self.name, self.width = inner.name, inner.width
        self.dispatches = 0

    def connect(self, shortcuts: Shortcuts) -> None:
        """Hand them on."""
        self._inner.connect(shortcuts)

    def read(self, offset: int, size: int) -> int:
        """Count and hand on."""
        self.dispatches += 1
        return self._inner.read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """Count and hand on."""
        self.dispatches += 1
        self._inner.write(offset, size, value)

    def write_block(self, offset: int, size: int, data: bytes) -> None:
        """Count and hand on."""
        self.dispatches += 1
        self._inner.write_block(offset, size, data)


class Paper(Device):
    """A port by which a guest of the checker's changes the paper."""

    def __init__(self, change: Callable[[bool], object]) -> None:
        self._change = change

    def write(self, offset: int, size: int, value: int) -> None:
        """Change it."""
        self._change(bool(value))


def guest_of(acts: Sequence[Act]) -> bytes:
    """Real-mode code that plays a script, and stores what it reads at RESULTS, 2 bytes each."""
    code = b""
    for index, (kind, *rest) in enumerate(acts):
        if kind == "read":
            code += b"\xba" + struct.pack("<H", BASE + rest[0])  # mov dx, register
            code += b"\x31\xc0" + {1: b"\xec", 2: b"\xed"}[rest[1]]  # xor ax, ax; in al, dx
            code += b"\xa3" + struct.pack("<H", RESULTS + 2 * index)  # mov [result], ax
        elif kind != "tick":
            port = PAPER_PORT if kind == "paper" else BASE + rest[0]
            code += b"\xba" + struct.pack("<H", port)  # mov dx, port
            code += b"\xb0" + bytes([rest[-1]]) + b"\xee"  # mov al, value; out dx, al
    return code + b"\xfa\xf4"  # cli; hlt


def polling_guest(length: int) -> bytes:
    """Real-mode code that prints so many bytes from TEXT, and polls STATUS before each."""
    return (
        b"\xfc"  # cld
        b"\xbe" + struct.pack("<H", TEXT) +  # mov si, TEXT
        b"\xb9" + struct.pack("<H", length) +  # mov cx, length
        b"\xba" + struct.pack("<H", BASE + CONTROL) +  # mov dx, CONTROL
        b"\xb0\x01\xee"  # mov al, ONLINE; out dx, al
        b"\xba" + struct.pack("<H", BASE + STATUS) +  # next: mov dx, STATUS
        b"\xec\xa8\x01\x74\xfb"  # poll: in al, dx; test al, READY; jz poll
        b"\x4a\xac\xee"  # dec dx (DATA); lodsb; out dx, al
        b"\x49\x75\xf2"  # dec cx; jnz next
        b"\xfa\xf4"  # cli; hlt
    )  # fmt: skip


def run_printer(
    printer: Any, code: bytes, text: bytes = b"", want: int = 0
) -> tuple[str, int, int, bytes]:
    """Run a guest with a printer at BASE.

    Returns:
        how it ended, how many I/O exits it took, how often Python was asked, and `want` bytes of
        its results.
    """
    from pykvm.errors import GuestCrash
    from pykvm.machine import Machine
    from pykvm.memory import Gpa

    forget_emulators()
    counted = Counted(printer)
    with Machine("1M", irqchip="none", stats=True) as machine:
        machine.ports.attach(BASE, PORTS, counted)
        machine.ports.attach(PAPER_PORT, 1, Paper(printer.set_paper_low))
        machine.load(code, bios=False)
        machine.memory.write(Gpa(TEXT), text)
        try:
            end = machine.run(timeout=3).reason.value
        except GuestCrash as error:
            end = f"crashed: {error.cause}"
        exits = machine.stats().exits.get("KVM_EXIT_IO", 0)
        return end, exits, counted.dispatches, machine.memory.read(Gpa(RESULTS), want)
