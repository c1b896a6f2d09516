"""One processor, as a user at a prompt asks for it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pykvm.debug.points import Event, Point
from pykvm.x86 import LONGEST_INSTRUCTION, DescriptorTable, Mode

if TYPE_CHECKING:
    from pykvm.cpu.protocol import Cpu
    from pykvm.cpu.snapshot import CpuSnapshot
    from pykvm.debug.debugger import Debugger
    from pykvm.debug.disasm import Instruction
    from pykvm.debug.paging import Translation
    from pykvm.debug.tables import Descriptor
    from pykvm.kvm.vcpu import Vcpu


class DebuggedCpu:
    """A processor of a machine that is debugged.

    Args:
        debugger: its debugger.
        cpu: the processor.

    Attributes:
        index: its number.
    """

    def __init__(self, debugger: Debugger, cpu: Cpu) -> None:
        self._debugger = debugger
        self._cpu = cpu
        self.index = cpu.index

    @property
    def vcpu(self) -> Vcpu:
        """The vCPU, whose registers can be read and set."""
        return self._cpu.vcpu

    def snapshot(self) -> CpuSnapshot:
        """Its registers, and the code at RIP."""
        return self._cpu.snapshot()

    @property
    def pc(self) -> int:
        """The linear address of its next instruction."""
        return self.snapshot().linear_rip

    def step(self, count: int = 1, *, timeout: float | None = None) -> Event:
        """Execute `count` instructions, all other processors standing still.

        Returns:
            the last step, or what came before it.
        """
        if count < 1:
            raise ValueError(f"{count} steps are no step")
        for _ in range(count):
            event = self._debugger.resume(step={self.index}, only={self.index}, timeout=timeout)
            if event.kind != "step":
                break
        return event

    def run_until(self, address: int, *, timeout: float | None = None) -> Event:
        """Run all processors until this one is about to execute what is at a linear address.

        At once, if it is there already: then it runs until it comes back.

        Args:
            address: linear.
            timeout: in seconds; None for never.

        Returns:
            the breakpoint at `address`, or what came before it.

        Raises:
            DebugError: no breakpoint can be put there.
        """
        debugger = self._debugger
        ours = Point("software", address)
        is_new = not any(p.is_breakpoint and p.address == address for p in debugger.points)
        if is_new:
            debugger.insert(ours)
        try:
            return self._until(address, timeout)
        finally:
            if is_new:
                debugger.remove(ours)

    def _until(self, address: int, timeout: float | None) -> Event:
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            event = self._debugger.resume(timeout=left)
            is_another_s = event.processor != self.index and event.address == address
            if event.kind != "breakpoint" or not is_another_s:
                return event

    def registers(self) -> str:
        """All registers as a table, flags and modes decoded."""
        from pykvm.debug.registers import registers

        return "\n".join(registers(self.snapshot()))

    def disassemble(self, address: int | None = None, count: int = 10) -> list[Instruction]:
        """Instructions as this processor would decode them in its present mode.

        Args:
            address: linear; None for the next instruction's.
            count: how many, at the most: fewer where memory ends.

        Raises:
            TranslationError: there is no RAM at `address`.
        """
        from pykvm.debug.disasm import disassemble

        snapshot = self.snapshot()
        start = snapshot.linear_rip if address is None else address
        self._debugger.read(self.index, start, 1)
        code = self._debugger.peek(self.index, start, count * LONGEST_INSTRUCTION)
        return disassemble(code, start, snapshot.code_bits, count)

    def translate(self, gva: int) -> Translation:
        """The walk of its page tables for a linear address."""
        return self._debugger.translate(self.index, gva)

    def gdt(self) -> list[Descriptor]:
        """The entries of its global descriptor table, decoded."""
        snapshot = self.snapshot()
        return self._segments(snapshot, snapshot.gdt)

    def ldt(self) -> list[Descriptor]:
        """Those of its local descriptor table; none where it has none."""
        snapshot = self.snapshot()
        segment = snapshot.segments["ldt"]
        if segment.unusable or not segment.present or not segment.selector & ~7:
            return []
        return self._segments(snapshot, DescriptorTable(segment.base, segment.limit))

    def idt(self) -> list[Descriptor]:
        """The entries of its interrupt descriptor table, or in real mode its vectors, decoded."""
        from pykvm.debug.tables import interrupt_descriptors

        snapshot = self.snapshot()
        return list(interrupt_descriptors(self._read_or_none, snapshot.idt, snapshot.mode))

    def _segments(self, snapshot: CpuSnapshot, table: DescriptorTable) -> list[Descriptor]:
        from pykvm.debug.tables import segment_descriptors

        is_long = snapshot.mode is Mode.LONG
        return list(segment_descriptors(self._read_or_none, table, long=is_long))

    def hexdump(self, gva: int, length: int = 128) -> str:
        """Memory as bytes and characters, as far as it is RAM."""
        from pykvm.debug.dump import hexdump

        return "\n".join(hexdump(self._debugger.peek(self.index, gva, length), gva))

    def search(self, pattern: bytes, start: int, end: int, *, limit: int = 1000) -> list[int]:
        """The linear addresses from `start` to `end` (exclusive) at which `pattern` lies.

        What is not mapped to RAM is passed over, page by page.

        Args:
            pattern: at least one byte.
            start, end: linear.
            limit: how many to find at the most.
        """
        from pykvm.debug.dump import search

        return list(search(self._read_or_none, pattern, start, end, limit=limit))

    def _read_or_none(self, gva: int, length: int) -> bytes | None:
        found = self._debugger.peek(self.index, gva, length)
        return found if len(found) == length else None

    def read(self, gva: int, length: int) -> bytes:
        """As `Debugger.read`."""
        return self._debugger.read(self.index, gva, length)

    def write(self, gva: int, data: bytes) -> None:
        """As `Debugger.write`."""
        self._debugger.write(self.index, gva, data)
