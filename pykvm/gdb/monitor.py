"""The commands behind gdb's `monitor`: what gdb itself has no words for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pykvm.errors import PykvmError

if TYPE_CHECKING:
    from pykvm.cpu.snapshot import CpuSnapshot
    from pykvm.debug.cpus import DebuggedCpu
    from pykvm.debug.tables import Descriptor
    from pykvm.gdb.session import Session
    from pykvm.x86 import DescriptorTable

_NOTHING = ("empty", "not in RAM")


class Command(NamedTuple):
    """One command.

    Attributes:
        words: what is typed, arguments in capitals.
        help: what it does.
        run: does it with the arguments; returns lines.
    """

    words: str
    help: str
    run: Callable[..., list[str]]

    @property
    def name(self) -> list[str]:
        """The words that are typed as they are."""
        return [word for word in self.words.split() if not word.isupper()]

    @property
    def arguments(self) -> int:
        """How many others there are."""
        return len(self.words.split()) - len(self.name)


class Mistake(Exception):
    """A command that cannot be done; says why."""


class Monitor:
    """Runs commands on the processor that a session looks at.

    Args:
        session: whose.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._commands = (
            Command("help", "this list", self._help),
            Command("info exits", "how often the guest left for what", self._exits),
            Command("registers", "all registers, flags and segments decoded", self._registers),
            Command("gdt", "the global descriptor table", self._gdt),
            Command("idt", "the interrupt descriptor table", self._idt),
            Command("translate ADDR", "the way of an address through the page tables", self._walk),
        )

    def run(self, line: str) -> str:
        """Do what `line` says; returns what to show, whole lines of ASCII."""
        words = line.split()
        for command in self._commands:
            name = command.name
            if words[: len(name)] == name and len(words) == len(name) + command.arguments:
                try:
                    lines = command.run(*words[len(name) :])
                except (Mistake, PykvmError) as error:
                    lines = [str(error)]
                break
        else:
            unknown = [f"no such command: {line.strip()[:60]!a}"] if words else []
            lines = [*unknown, *self._help()]
        return "".join(f"{each}\n" for each in lines)

    def _help(self) -> list[str]:
        return [f"{command.words:<16} {command.help}" for command in self._commands]

    def _exits(self) -> list[str]:
        stats = self._session.debugger.machine.stats()
        return [
            *(f"{name:<20} {count:>12}" for name, count in stats.exits.items()),
            f"{'all':<20} {stats.total_exits:>12}",
        ]

    @property
    def _processor(self) -> DebuggedCpu:
        return self._session.debugger.cpus[self._session.processor]

    def _snapshot(self) -> CpuSnapshot:
        return self._processor.snapshot()

    def _registers(self) -> list[str]:
        from pykvm.debug.registers import registers

        return registers(self._snapshot())

    def _walk(self, text: str) -> list[str]:
        try:
            address = int(text, 0)
        except ValueError:
            address = -1
        if not 0 <= address < 1 << 64:
            raise Mistake(f"{text[:40]!a} is not an address: write it like 0x7c00")
        return str(self._processor.translate(address)).splitlines()

    def _gdt(self) -> list[str]:
        table = self._snapshot().gdt
        return _table("gdt", table, self._processor.gdt())

    def _idt(self) -> list[str]:
        table = self._snapshot().idt
        return _table("idt", table, self._processor.idt())


def _table(name: str, where: DescriptorTable, entries: list[Descriptor]) -> list[str]:
    """What a descriptor table holds; entries that hold nothing are counted only."""
    lines = [f"{name} at {where.base:#x}, limit {where.limit:#x}"]
    lines += [f"  {entry}" for entry in entries if entry.kind not in _NOTHING]
    for kind in _NOTHING:
        count = sum(entry.kind == kind for entry in entries)
        if count:
            lines.append(f"  {count} {kind}")
    return lines
