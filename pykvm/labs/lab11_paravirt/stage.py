"""Where a checker has a student's console and its driver meet, and sees what goes between them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple

from pykvm.bus import Device
from pykvm.labs.steps import Wrong
from pykvm.labs.student import Student

if TYPE_CHECKING:
    from pykvm.memory import GuestMemory

FILE = "device.py"
BASE, PORTS = 0xC00, 16
LENGTH, SEED = 0x1004, 0x1008
RAM, FREE, FREE_END = 1 << 20, 0x2000, 0xA0000
MOST = 4096
"""Bytes that one access to a port may send."""
MOST_TOUCHES = 50_000
"""Accesses to memory after which one access to a port is taken for a loop without an end."""
SECONDS = 5.0
EXITS, EXITS_A_BYTE = 1000, 8
"""After so many exits a guest goes round in circles."""
MASK = 0xFFFFFFFF


def text(length: int, seed: int) -> bytes:
    """What the guest's generator makes."""
    made = bytearray()
    for _ in range(length):
        seed = (seed * 1664525 + 1013904223) & MASK
        made.append((seed >> 26) + 0x20)
    return bytes(made)


class Flood(BaseException):
    """Ends a student's loop; not an `Exception`, which the loop might catch."""


class Wire:
    """The other end of `send`.

    Args:
        takes: how many of so many bytes it takes.

    Attributes:
        sent: what it took.
        at_once: how much of it during one access to a port.
        calls: how often it was asked during that.
    """

    def __init__(self, takes: Callable[[int], int]) -> None:
        self.takes = takes
        self.sent = bytearray()
        self.at_once = self.calls = 0

    def begin(self) -> None:
        """An access to a port begins."""
        self.at_once = self.calls = 0

    def send(self, data: bytes) -> int:
        """Take some of `data`; returns how many."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise Flood(f"called send() with {type(data).__name__}: it takes bytes")
        self.calls += 1
        if self.calls > MOST:
            raise Flood("goes on calling send() for ever: what it does not take is for later")
        taken = self.takes(len(data))
        self.at_once += taken
        if self.at_once > MOST:
            raise Flood(f"sent more than {MOST} bytes in one access to a port")
        self.sent += data[:taken]
        return taken


class Ram:
    """A guest's RAM, as a device has it.

    Args:
        memory: the RAM itself; another machine's may take its place.

    Attributes:
        fetched: what was read during one access to a port: address and length.
        touches: how often memory was used during it.
        all_touches: how often in all.
        before_touch: called before each use.
    """

    def __init__(self, memory: GuestMemory | None = None) -> None:
        self._memory = memory
        self.fetched: list[tuple[int, int]] = []
        self.touches = self.all_touches = 0
        self.before_touch: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """An access to a port begins."""
        self.touches = 0
        self.fetched.clear()

    @property
    def memory(self) -> Any:
        """The RAM itself."""
        assert self._memory is not None
        return self._memory

    @memory.setter
    def memory(self, memory: GuestMemory) -> None:
        self._memory = memory

    @property
    def size(self) -> int:
        """Bytes of RAM."""
        return RAM

    @property
    def end(self) -> int:
        """The first address behind it."""
        return RAM

    def contains(self, address: int, length: int) -> bool:
        """Whether it is all RAM."""
        return bool(self.memory.contains(address, length))

    def _touch(self) -> None:
        self.touches += 1
        self.all_touches += 1
        if self.touches > MOST_TOUCHES:
            raise Flood(f"used memory more than {MOST_TOUCHES} times in one access to a port")
        self.before_touch()

    def view(self, address: int, length: int) -> memoryview:
        """The bytes themselves."""
        self._touch()
        self.fetched.append((address, length))
        view: memoryview = self.memory.view(address, length)
        return view

    def read(self, address: int, length: int) -> bytes:
        """A copy."""
        return bytes(self.view(address, length))

    def read_uint(self, address: int, size: int) -> int:
        """A little-endian number."""
        self._touch()
        self.fetched.append((address, size))
        return int(self.memory.read_uint(address, size))

    def write(self, address: int, data: bytes) -> None:
        """Store bytes."""
        self._touch()
        self.memory.write(address, data)

    def write_uint(self, address: int, size: int, value: int) -> None:
        """Store a little-endian number."""
        self._touch()
        self.memory.write_uint(address, size, value)

    def zero(self, address: int, length: int) -> None:
        """Clear."""
        self._touch()
        self.memory.zero(address, length)


class Access(NamedTuple):
    """An access to a port: what it was, its place from 0xC00 on, and its bytes."""

    is_write: bool
    offset: int
    size: int
    value: int


class Tap(Device):
    """Stands between the bus and a console.

    Args:
        console: the student's.
        ram, wire: what it was given.

    Attributes:
        before, after: called before and after each access.
    """

    name = "console"

    def __init__(self, console: Any, ram: Ram, wire: Wire) -> None:
        self._console = console
        self._ram = ram
        self._wire = wire
        self.width = console.width
        self.before: Callable[[Access], None] = lambda _: None
        self.after: Callable[[], None] = lambda: None

    def read(self, offset: int, size: int) -> int:
        """The guest reads a register."""
        self._begin(Access(False, offset, size, 0))
        value = self._console.read(offset, size)
        self._end()
        if not isinstance(value, int):
            raise Flood(f"returned {value!r} from read({offset}, {size}), which is no int")
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """The guest writes a register."""
        self._begin(Access(True, offset, size, value))
        self._console.write(offset, size, value)
        self._end()

    def _begin(self, access: Access) -> None:
        self._wire.begin()
        self._ram.begin()
        self.before(access)

    def _end(self) -> None:
        if self._wire.at_once > MOST:  # the student's code caught the Flood
            raise Flood(f"sent more than {MOST} bytes in one access to a port")
        self.after()


class Seen(NamedTuple):
    """What became of a guest.

    Attributes:
        end: how it ended: "halted", "timeout", "crashed at ...", ...
        sent: what came out.
        elsewhere: what came out at COM1 or port 0xE9.
        exits: for ports and MMIO, by port, and in all.
    """

    end: str
    sent: bytes
    elsewhere: bytes
    ports: dict[int, int]
    exits: int


class Stage:
    """A console that outlives the machines it is plugged into.

    Args:
        student: whose.
        takes: as of `Wire`.
    """

    def __init__(self, student: Student, takes: Callable[[int], int] = int) -> None:
        from pykvm.memory import GuestMemory

        self.wire = Wire(takes)
        self._no_machine = GuestMemory(RAM)
        self.ram = Ram(self._no_machine)
        console = student.get(FILE, "Console")(self.ram, self.wire.send)
        self.tap = Tap(console, self.ram, self.wire)

    def run(self, image: bytes, length: int, seed: int, *, max_exits: int = 0) -> Seen:
        """Run the driver on it, in RAM that is not all zeros, for at most so many exits."""
        from pykvm.errors import GuestCrash
        from pykvm.machine import Machine
        from pykvm.memory import Gpa
        from pykvm.x86 import Mode

        # an emulator's memory goes only when nothing refers to it, and there is no room for many
        self.ram.memory = self._no_machine
        gc.collect()
        before = len(self.wire.sent)
        max_exits = max_exits or EXITS + EXITS_A_BYTE * length
        with Machine(RAM, stats=True) as machine:
            self.ram.memory = machine.memory
            machine.ports.attach(BASE, PORTS, self.tap)
            machine.memory.write(Gpa(FREE), Random(seed).randbytes(FREE_END - FREE))
            machine.load(image, mode=Mode.PROTECTED, bios=False)
            machine.memory.write_uint(Gpa(LENGTH), 4, length)
            machine.memory.write_uint(Gpa(SEED), 4, seed)
            try:
                end = machine.run(timeout=SECONDS, max_exits=max_exits).reason.value
            except GuestCrash as crash:
                rip = machine.cpus[0].vcpu.get_regs().rip
                end = f"crashed at RIP {rip:#x}: {crash.cause}"
            except Flood as flood:
                raise Wrong(f"the device {flood}") from None
            stats = machine.stats()
            return Seen(
                end,
                bytes(self.wire.sent[before:]),
                (machine.output + machine.debug_output)[:MOST],
                stats.ports,
                stats.exits.get("KVM_EXIT_IO", 0) + stats.exits.get("KVM_EXIT_MMIO", 0),
            )
