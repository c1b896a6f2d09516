"""From an address, or from an exit's RIP, to an instruction with its text and its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.cpu.snapshot import read_linear
from pykvm.debug.disasm import disassemble
from pykvm.kvm.recorder import INTR
from pykvm.trace.event import Place
from pykvm.trace.matching import linear_rip, look_of
from pykvm.x86 import LONGEST_INSTRUCTION, code_bits

if TYPE_CHECKING:
    from pykvm.cpu.protocol import Cpu
    from pykvm.debug.disasm import Instruction
    from pykvm.debug.symbols import Symbols
    from pykvm.kvm.recorder import Record
    from pykvm.memory import GuestMemory
    from pykvm.trace.matching import Matcher

MOST_REMEMBERED = 4096


class Locator:
    """Finds instructions of one processor by their addresses, on the thread that runs it.

    Args:
        cpu: whose.
        memory: guest RAM.
        symbols: names for linear addresses, if there are any.
    """

    def __init__(self, cpu: Cpu, memory: GuestMemory, symbols: Symbols | None) -> None:
        self._cpu = cpu
        self._memory = memory
        self._symbols = symbols
        self._decoded: dict[tuple[int, int, bytes], Place | None] = {}

    def at(self, linear: int, width: int) -> Place | None:
        """The instruction at a linear address, in code of `width` bits."""
        key = linear, width, self._read(linear, LONGEST_INSTRUCTION)
        if key not in self._decoded:
            if len(self._decoded) >= MOST_REMEMBERED:
                self._decoded.clear()
            found = disassemble(key[2], linear, width, 1)
            self._decoded[key] = self._place(found[0]) if found else None
        return self._decoded[key]

    def _place(self, instruction: Instruction) -> Place:
        symbols = self._symbols
        return Place(instruction, symbols.name(instruction.address) if symbols else None)

    def _read(self, linear: int, length: int) -> bytes:
        return read_linear(self._cpu.vcpu, self._memory, linear, length)


class ExitLocator(Locator):
    """Finds the instructions of KVM's exits, too.

    Guest memory is read when an exit is looked at, not when it happens: a tick later at the most.
    Code that was changed or unmapped in between is not found, or found as it is now.

    Args:
        cpu, memory, symbols: as for `Locator`.
        matcher: tells which instruction made an exit; shared by all vCPUs.
    """

    def __init__(
        self, cpu: Cpu, memory: GuestMemory, symbols: Symbols | None, matcher: Matcher
    ) -> None:
        super().__init__(cpu, memory, symbols)
        self._matcher = matcher
        self._known: dict[tuple[object, ...], Place | None] = {}

    def forget(self) -> None:
        """Look at guest memory again: the guest has run since."""
        self._known.clear()

    def find(self, record: Record) -> Place | None:
        """The instruction that an exit was for; for a tick, the one that comes next."""
        if not record.rip and not record.cs_base:
            return None  # not shared, or a processor that never ran
        record = self.with_segment(record)
        look = look_of(record)
        if look not in self._known:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[look] = self._look(record)
        return self._known[look]

    def _look(self, record: Record) -> Place | None:
        if record.reason == INTR:
            return self.at(linear_rip(record), record.code_width)
        found = self._matcher.find(record, self._read)
        return None if found is None else self._place(found)

    def with_segment(self, record: Record) -> Record:
        """`record` with its code's segment: on a host that does not share it, the one of now."""
        if record.code_width:
            return record
        sregs = self._cpu.vcpu.get_sregs()
        return record._replace(cs_base=sregs.cs.base, code_width=code_bits(sregs.cs, sregs.efer))
