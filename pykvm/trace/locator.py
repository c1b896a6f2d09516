"""From an exit's RIP to an instruction, with its text and its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.debug.disasm import disassemble
from pykvm.errors import PykvmError
from pykvm.kvm.recorder import INTR
from pykvm.memory import Gpa
from pykvm.trace.event import Place
from pykvm.trace.matching import LONGEST, Votes, find_instruction
from pykvm.x86 import PAGE_SIZE

if TYPE_CHECKING:
    from pykvm.debug.symbols import Symbols
    from pykvm.kvm.recorder import Record
    from pykvm.kvm.vcpu import Vcpu
    from pykvm.memory import GuestMemory

MOST_REMEMBERED = 4096


class Locator:
    """Finds the instructions of one vCPU's exits, on the thread that runs it.

    Guest memory is read when an exit is looked at, not when it happens: a tick later at the most.
    Code that was changed or unmapped in between is not found, or found as it is now.

    Args:
        vcpu: whose exits.
        memory: guest RAM.
        symbols: names for linear addresses, if there are any.
        votes: where the host leaves RIP; shared by all vCPUs.
    """

    def __init__(
        self, vcpu: Vcpu, memory: GuestMemory, symbols: Symbols | None, votes: Votes
    ) -> None:
        self._vcpu = vcpu
        self._memory = memory
        self._symbols = symbols
        self._votes = votes
        self._known: dict[tuple[object, ...], Place | None] = {}

    def forget(self) -> None:
        """Look at guest memory again: the guest has run since."""
        self._known.clear()

    def find(self, record: Record) -> Place | None:
        """The instruction that an exit was for; for a tick, the one that comes next."""
        if not record.rip and not record.cs_base:
            return None  # not shared, or a processor that never ran
        record = self._with_segment(record)
        r = record
        key = r.cs_base, r.rip, r.code_width, r.reason, r.is_write, r.size, r.address
        if key not in self._known:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[key] = self._look(record)
        return self._known[key]

    def at(self, linear: int, width: int) -> Place | None:
        """The instruction at a linear address, in code of `width` bits."""
        decoded = disassemble(self._read(linear, LONGEST), linear, width, 1)
        return None if not decoded else Place(decoded[0], self._name(linear))

    def _look(self, record: Record) -> Place | None:
        linear = linear_address(record)
        if record.reason == INTR:
            return self.at(linear, record.code_width)
        before = self._read_before(linear)
        length = find_instruction(record, before, self._read(linear, LONGEST), self._votes)
        return None if length is None else self.at(linear - length, record.code_width)

    def _with_segment(self, record: Record) -> Record:
        """The segment of a record from a host that does not share it is the one it is in now."""
        if record.code_width:
            return record
        sregs = self._vcpu.get_sregs()
        if sregs.cs.l and sregs.efer & 1 << 10:
            return record._replace(code_width=64)
        return record._replace(cs_base=sregs.cs.base, code_width=32 if sregs.cs.db else 16)

    def _name(self, linear: int) -> str | None:
        return None if self._symbols is None else self._symbols.name(linear)

    def _read(self, linear: int, length: int) -> bytes:
        """The bytes from a linear address on, as far as they are mapped to RAM."""
        code = b""
        while len(code) < length:
            at = linear + len(code)
            step = min(length - len(code), PAGE_SIZE - at % PAGE_SIZE)
            piece = self._read_page(at, step)
            if not piece:
                break
            code += piece
        return code

    def _read_before(self, linear: int) -> bytes:
        """Up to 15 bytes that end before a linear address."""
        here = min(LONGEST, linear % PAGE_SIZE)
        code = self._read_page(linear - here, here) if here else b""
        missing = LONGEST - here
        if len(code) == here and 0 < missing <= linear - here:
            return self._read_page(linear - LONGEST, missing) + code
        return code

    def _read_page(self, linear: int, length: int) -> bytes:
        try:
            gpa = self._vcpu.translate(linear)
        except PykvmError:
            return b""
        if gpa is None or not self._memory.contains(gpa, length):
            return b""
        return self._memory.read(Gpa(gpa), length)


def linear_address(record: Record) -> int:
    """RIP as a linear address: 32 bits of it, but in 64-bit code (SDM vol. 3A, 3.4)."""
    if record.code_width == 64:
        return record.rip
    return (record.cs_base + record.rip) & 0xFFFF_FFFF
