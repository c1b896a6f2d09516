"""A debugger without KVM: registers and memory that tests see, events that they make happen."""

from __future__ import annotations

import queue
from collections.abc import Collection
from dataclasses import replace
from typing import cast

from pykvm.cpu.snapshot import CpuSnapshot
from pykvm.cpu.stop import Stop, StopReason
from pykvm.debug.debugger import Debugger, Event, Point
from pykvm.debug.tables import Descriptor
from pykvm.errors import KvmIoctlError, PykvmError
from pykvm.gdb.session import Session
from pykvm.kvm.registers import Regs, Sregs
from pykvm.kvm.state import Fpu, MpState
from pykvm.stats import Stats
from pykvm.x86 import Cr0, DescriptorTable, Efer, Mode, flat_code

RAM = 0x10000
"""Bytes of RAM, from address 0 on, of a fake guest."""


class FakeVcpu:
    """Registers that can be had and set."""

    def __init__(self, mode: Mode) -> None:
        self.regs = Regs(rip=0x1000)
        self.sregs = Sregs(cr0=Cr0.ET)
        self.fpu = Fpu()
        self.state = MpState.RUNNABLE
        if mode is not Mode.REAL:
            self.sregs.cs = flat_code(8, mode)
            self.sregs.cr0 |= Cr0.PE
        if mode is Mode.LONG:
            self.sregs.efer = Efer.LME | Efer.LMA

    def get_regs(self) -> Regs:
        return replace(self.regs)

    def set_regs(self, regs: Regs) -> None:
        self.regs = regs

    def get_sregs(self) -> Sregs:
        return replace(self.sregs)

    def set_sregs(self, sregs: Sregs) -> None:
        if sregs.cr0 & Cr0.PG and not sregs.cr0 & Cr0.PE:
            raise KvmIoctlError("KVM_SET_SREGS", 22)
        self.sregs = sregs

    def get_fpu(self) -> Fpu:
        return replace(self.fpu)

    def set_fpu(self, fpu: Fpu) -> None:
        self.fpu = fpu

    def get_mp_state(self) -> MpState:
        return self.state


class FakeCpu:
    """A processor."""

    def __init__(self, index: int, mode: Mode) -> None:
        self.index = index
        self.vcpu = FakeVcpu(mode)

    def gdt(self) -> list[Descriptor]:
        return [Descriptor(0, 0, bytes(8), "empty"), Descriptor(8, 8, b"", "data", base=self.index)]

    def idt(self) -> list[Descriptor]:
        return [Descriptor(0, 0, b"", "not in RAM")] * 3

    def translate(self, gva: int) -> str:
        return f"{gva:#x} -> {gva:#x}\n  on {self.index}"

    def snapshot(self) -> CpuSnapshot:
        regs, sregs = self.vcpu.regs, self.vcpu.sregs
        return CpuSnapshot(
            general={name: getattr(regs, name) for name in regs.__slots__},
            segments={n: getattr(sregs, n) for n in ("cs", "ds", "es", "fs", "gs", "ss")},
            gdt=DescriptorTable(0x500, 0x17),
            idt=DescriptorTable(0, 0x3FF),
            control={n: getattr(sregs, n) for n in ("cr0", "cr2", "cr3", "cr4", "cr8", "efer")},
            code=b"",
        )


class FakeMachine:
    """Processors, and counts of exits."""

    def __init__(self, processors: int = 1, mode: Mode = Mode.REAL) -> None:
        self.cpus = [FakeCpu(i, mode) for i in range(processors)]

    def stats(self) -> Stats:
        return Stats({"KVM_EXIT_IO": 3, "KVM_EXIT_HLT": 1}, {}, 0, 0, (), 0)


class FakeDebugger:
    """Runs nothing: `resume` returns what a test has put into `events`, or an interrupt.

    Attributes:
        memory: RAM.
        points: what is inserted.
        resumed: how `resume` was called, oldest first.
        limit: how many points there may be.
    """

    def __init__(self, processors: int = 1, mode: Mode = Mode.REAL) -> None:
        self.machine = FakeMachine(processors, mode)
        self.cpus = self.machine.cpus
        self.memory = bytearray(RAM)
        self.points: list[Point] = []
        self.resumed: list[tuple[frozenset[int], frozenset[int] | None]] = []
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.running: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self.limit = 1000
        self.closed = False

    def __enter__(self) -> FakeDebugger:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True
        self.points.clear()

    def insert(self, point: Point) -> None:
        if len(self.points) >= self.limit:
            raise PykvmError("no debug register is left")
        assert point not in self.points
        self.points.append(point)

    def remove(self, point: Point) -> None:
        self.points.remove(point)

    def read(self, processor: int, gva: int, length: int) -> bytes:
        self._check(processor, gva, length)
        return bytes(self.memory[gva : gva + length])

    def write(self, processor: int, gva: int, data: bytes) -> None:
        self._check(processor, gva, len(data))
        self.memory[gva : gva + len(data)] = data

    def _check(self, processor: int, gva: int, length: int) -> None:
        assert 0 <= processor < len(self.machine.cpus)
        assert 0 <= gva < 1 << 64
        if gva + length > RAM:
            raise PykvmError(f"{gva:#x} is not mapped")

    def interrupt(self) -> None:
        self.events.put(Event("interrupted", 0))

    def resume(
        self,
        *,
        step: Collection[int] = (),
        only: Collection[int] | None = None,
        timeout: float | None = None,
    ) -> Event:
        self.resumed.append((frozenset(step), None if only is None else frozenset(only)))
        self.running.put(True)
        try:
            return self.events.get(timeout=timeout)
        except queue.Empty:
            return Event("ended", 0, stop=Stop(StopReason.TIMEOUT))


def session_of(fake: FakeDebugger) -> Session:
    """A session over it."""
    return Session(cast(Debugger, cast(object, fake)))


def only_reply(session: Session, packet: bytes) -> bytes:
    """What a packet is answered by, which must be one packet."""
    answer = session.handle(packet)
    assert answer.then is None
    (reply,) = answer.packets
    return reply
