"""A call of a BIOS service: registers, guest memory, and the flags that it returns.

`INT n` pushes FLAGS, CS and IP; the stub it lands on traps at once and then executes IRET, which
loads the pushed flags.  So what a service returns in CF and ZF goes into that image on the
guest's stack.  The processor's own CF is free meanwhile: through it the service tells its stub
what to do next (`Call.signal`).
"""

from __future__ import annotations

from pykvm.bios.registers import Registers, SegmentValue
from pykvm.memory import Gpa, GuestMemory
from pykvm.x86 import SEGMENT_SIZE, Rflags

FLAGS_IMAGE = 4
"""Above SP at the entry: IP, CS, FLAGS, two bytes each."""


class Call:
    """One entry into a service.

    Args:
        registers: changed in place.
        memory: guest RAM.

    Attributes:
        signal: what the stub finds in CF: for a service that waits, "not yet, trap again", in
            which case the service has changed nothing; others say in their own words.
    """

    __slots__ = ("_memory", "registers", "signal")

    def __init__(self, registers: Registers, memory: GuestMemory) -> None:
        self.registers = registers
        self.signal = False
        self._memory = memory

    @property
    def stack(self) -> int:
        """The linear address of the stack's top, which tells one waiting caller from another."""
        return self.registers.ss.base + self.registers.sp

    def set_carry(self, on: bool) -> None:
        """Return CF, which says "error" in most services."""
        self._set_flag(Rflags.CF, on)

    def set_zero(self, on: bool) -> None:
        """Return ZF."""
        self._set_flag(Rflags.ZF, on)

    def fail(self, status: int) -> None:
        """Return an error: its status in AH, CF set."""
        self.registers.ah = status
        self.set_carry(True)

    def succeed(self, value: int = 0) -> None:
        """Return success: a value in AH, CF clear."""
        self.registers.ah = value
        self.set_carry(False)

    def buffer(self, segment: SegmentValue, offset: int, length: int) -> Gpa | None:
        """The address of `length` bytes at segment:offset.

        None if they go beyond the segment's end or are not all RAM.
        """
        gpa = Gpa(segment.base + offset)
        if offset + length > SEGMENT_SIZE or not self._memory.contains(gpa, length):
            return None
        return gpa

    def _set_flag(self, flag: int, on: bool) -> None:
        """In the image's low byte, which CF and ZF share, so that it cannot wrap around."""
        registers = self.registers
        gpa = Gpa(registers.ss.base + (registers.sp + FLAGS_IMAGE) % SEGMENT_SIZE)
        if self._memory.contains(gpa, 1):
            value = self._memory.read_uint(gpa, 1)
            self._memory.write_uint(gpa, 1, value | flag if on else value & ~flag)
