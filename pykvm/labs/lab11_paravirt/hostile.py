"""A guest that means harm: what a good driver did, with numbers that no good driver would use.

A console's registers and its ring are the student's own.  So a good run is recorded first: which
ports are used, and which words of memory the device fetches.  Then it is played again, with
hostile numbers in these places.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from random import Random
from typing import NamedTuple

from pykvm.bus import PORT_SPACE, Bus
from pykvm.labs.lab11_paravirt.stage import (
    BASE,
    FILE,
    FREE,
    MASK,
    PORTS,
    RAM,
    Access,
    Flood,
    Ram,
    Stage,
    Tap,
    Wire,
)
from pykvm.labs.steps import Wrong
from pykvm.labs.student import Student

RECORDED = 10
"""How many accesses to ports of a good run are kept."""
WORDS = 16
"""How many words of a fetch may hold something else than text."""
RACED = 8
"""How many words the other processor changes."""
RACES = 50
"""How often, during one access to a port."""
LIKELY = 4
"""The first words that a device fetches are indices and lengths, not text."""
TOLD = 4
ENOUGH = 30_000
"""So many uses of memory are enough of an attack."""
LENGTH = 1800
EDGE = 13
"""RAM's last 2**13 bytes are near its end."""
NEAR = (-2, -1, 1, 2, 100, 1000, 1 << 12, 1 << 16)
FAR = (0, 1, 3, RAM - 4, RAM - 1, RAM, RAM + 1, 0x7FFFFFFF, 0x80000000, MASK - 15, MASK - 3, MASK)


class Moment(NamedTuple):
    """An access to a port in a good run.

    Attributes:
        access: it.
        ram: the guest's RAM before it.
        words: addresses and sizes of what the device fetched during it.
    """

    access: Access
    ram: bytes
    words: list[tuple[int, int]]


def words_of(fetched: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Fetches, cut into words of at most 4 bytes; each once."""
    words: dict[tuple[int, int], None] = {}
    for address, length in fetched:
        for at in range(0, min(length, 4 * WORDS), 4):
            words[address + at, min(4, length - at)] = None
    return list(words)


def record(student: Student, image: bytes, seed: int) -> tuple[list[Moment], int]:
    """A good run, or its beginning; and where the memory ends that the device fetched from."""
    random = Random(seed)
    stage = Stage(student, lambda offered: min(offered, random.randrange(50, 700)))
    moments: list[Moment] = []
    end = 0

    def before(access: Access) -> None:
        moments.append(Moment(access, stage.ram.memory.read(0, RAM), []))

    def after() -> None:
        nonlocal end
        end = max([end, *(address + length for address, length in stage.ram.fetched)])
        moments[-1].words.extend(words_of(stage.ram.fetched))

    stage.tap.before, stage.tap.after = before, after
    stage.run(image, LENGTH, seed, max_exits=RECORDED)
    return moments, end


class Hostile:
    """Plays a good run again, with a hostile number here and there.

    Args:
        student: whose console it is.
        moments: a good run.
        end: where the memory ends that the device fetched from in it.
        random: chooses.
    """

    def __init__(self, student: Student, moments: list[Moment], end: int, random: Random) -> None:
        from pykvm.memory import GuestMemory

        self._make = student.get(FILE, "Console")
        self._moments = moments
        self._end = end
        self._moved: tuple[int, int] | None = None
        self._random = random
        self._ram = Ram(GuestMemory(RAM))
        self._accesses: list[str] = []
        self._pokes: dict[int, str] = {}

    def number(self, good: int) -> int:
        """One that is wrong, but perhaps only just."""
        kind = self._random.randrange(4)
        if kind == 0:
            return self._random.choice(FAR)
        if kind == 1:
            return self._random.randrange(1 << self._random.randrange(1, 33))
        if kind == 2:
            return RAM - self._random.randrange(1, 2 << self._random.randrange(EDGE))
        return good + self._random.choice(NEAR) & MASK

    def play_often(self, how: str, rounds: int) -> None:
        """Play so many times; less often with a device that uses memory a byte at a time."""
        most = self._ram.all_touches + ENOUGH
        for _ in range(rounds):
            if self._ram.all_touches > most:
                return
            self.play(how)

    def play(self, how: str) -> None:
        """One run with a new console.

        Args:
            how: "ports": other values, places and sizes at the ports; "memory": other words in
                memory, before the device fetches them; "race": after it has fetched them.
        """
        wire = Wire(int)
        tap = Tap(self._make(self._ram, wire.send), self._ram, wire)
        bus = Bus("port", PORT_SPACE)
        bus.attach(BASE, PORTS, tap)
        self._accesses = []
        self._moved = None
        self._ram.before_touch = self._race if how == "race" else _nothing
        for moment in self._moments[: self._random.randrange(len(self._moments)) + 1]:
            self._ram.memory.write(0, moment.ram)
            access = self._other(moment.access) if how == "ports" else moment.access
            self._move(moment.ram)
            self._tell(access)
            if how == "memory":
                self._poke(moment.words, "before")
            self._try(bus, access)

    def _other(self, access: Access) -> Access:
        choice = self._random.randrange(8)
        if choice < 3:
            return access
        if choice == 3 and access.size == 4 and FREE <= access.value < self._end:
            return access._replace(value=self._edge(access.value))
        value = self.number(access.value)
        if choice < 6:
            return access._replace(value=value & ((1 << 8 * access.size) - 1))
        size = self._random.choice((1, 2, 4))
        offset = self._random.randrange(PORTS - size + 1)
        return Access(self._random.random() < 0.8, offset, size, value & ((1 << 8 * size) - 1))

    def _edge(self, address: int) -> int:
        """Where what is at that address would end a few bytes behind RAM, or just before."""
        place = RAM - (self._end - address) + self._random.randrange(-4, 12)
        self._moved = address, place
        return place

    def _move(self, ram: bytes) -> None:
        """Have there what is there in a good run, as far as RAM goes: else a device finds nothing
        to do, and does not come to the end."""
        if self._moved is not None:
            address, place = self._moved
            if place < RAM:
                self._ram.memory.write(place, ram[address : min(self._end, address + RAM - place)])

    def _poke(self, words: list[tuple[int, int]], when: str) -> None:
        """Put hostile numbers into words, before or after the device has read them."""
        for place, (address, size) in enumerate(words):
            likely = 0.5 if place < LIKELY else 0.05
            if self._random.random() < likely and self._ram.memory.contains(address, size):
                good = int.from_bytes(self._ram.memory.read(address, size), "little")
                number = self.number(good) & ((1 << 8 * size) - 1)
                self._ram.memory.write(address, number.to_bytes(size, "little"))
                what = f"{number:#x} in the {8 * size} bits at {address:#x}"
                self._pokes[address] = f"{what} {when} the device reads them"

    def _race(self) -> None:
        """Another processor of the guest is at work, between two accesses of the device."""
        if self._ram.touches < RACES:
            self._poke(words_of(self._ram.fetched[:RACED])[:RACED], "after")

    def _tell(self, access: Access) -> None:
        port = BASE + access.offset
        self._pokes = {}
        if access.is_write:
            self._accesses.append(f"OUT {port:#x} <- {access.value:#x} ({8 * access.size} bits)")
        else:
            self._accesses.append(f"IN {port:#x} ({8 * access.size} bits)")

    def _try(self, bus: Bus, access: Access) -> None:
        try:
            if access.is_write:
                bus.write(BASE + access.offset, access.size, access.value)
            else:
                bus.read(BASE + access.offset, access.size)
        except Flood as flood:
            raise Wrong(f"{self._story()} and the device {flood}") from None
        except Exception as error:
            where = "; ".join(
                f"{FILE}, line {frame.lineno}: {frame.line}"
                for frame in traceback.extract_tb(error.__traceback__)
                if Path(frame.filename).name == FILE
            )
            raise Wrong(
                f"{self._story()} and the device raised {type(error).__name__}: {error} ({where})"
            ) from None

    def _story(self) -> str:
        words = "a hostile guest: " + ", ".join(self._accesses[-TOLD:])
        if self._pokes:
            words += " with " + ", ".join(list(self._pokes.values())[:TOLD])
        return f"{words};"


def _nothing() -> None:
    pass


def attack(student: Student, image: bytes, ways: tuple[str, ...], seed: int, rounds: int) -> int:
    """Play a good run many times in each of some ways; returns how many port accesses it has."""
    moments, end = record(student, image, seed)
    if moments:
        hostile = Hostile(student, moments, end, Random(seed))
        for how in ways:
            hostile.play_often(how, rounds)
    return len(moments)
