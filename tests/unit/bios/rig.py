"""A BIOS on the devices that it uses, and a caller that plays its stubs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from pykvm.bios import Bios, Disk, Registers, SegmentValue, assign_drives
from pykvm.bios.bda import Bda
from pykvm.bus import PORT_SPACE, Bus
from pykvm.devices import BufferSink, Cmos, Port92, Uart16550
from pykvm.irq import IrqLine
from pykvm.layout import CMOS, COM1, MIB, PORT92
from pykvm.memory import Gpa, GuestMemory
from pykvm.x86 import Rflags

NS = 1_000_000_000
STACK = 0x6000
MIDDAY = 1_717_243_200 * NS
"""2024-06-01 12:00:00 UTC, a Saturday."""


class Result(NamedTuple):
    """What a caller sees, what the stub saw in CF, and whether it is known to wait."""

    r: Registers
    carry: bool
    zero: bool
    signal: bool
    waits: bool


def real(selector: int) -> SegmentValue:
    """A segment as real mode loads it."""
    return SegmentValue(selector, selector << 4)


class Rig:
    """A machine's devices and RAM without a processor.

    Attributes:
        now: the monotonic clock and the one on the wall, in ns.
        stops: the reasons given for stopping.
    """

    def __init__(
        self,
        *disks: Disk,
        ram: int = 2 * MIB,
        interrupts: bool = True,
        ranges: Sequence[tuple[int, int, int]] | None = None,
    ) -> None:
        self.now = 0
        self.memory = GuestMemory(ram)
        self.ports = Bus("port", PORT_SPACE)
        self.serial_out = BufferSink()
        self.uart = Uart16550(IrqLine(), self.serial_out)
        self.resets: list[str] = []
        self.ports.attach(COM1, 8, self.uart)
        self.cmos = Cmos(IrqLine(), ram_below_4g=ram, clock=lambda: MIDDAY + self.now)
        self.ports.attach(CMOS, 2, self.cmos)
        self.ports.attach(PORT92, 1, Port92(on_reset=lambda: self.resets.append("port 92")))
        self.teletype = BufferSink()
        self.stops: list[str] = []
        self.bios = Bios(
            self.memory,
            self.ports,
            drives=assign_drives(disks),
            teletype=self.teletype,
            stop=self.stops.append,
            ranges=ranges,
            interrupts=interrupts,
            monotonic=lambda: self.now,
        )
        self.bda = Bda(self.memory)
        self.power_on()

    def power_on(self) -> None:
        """Put the BIOS into RAM."""
        for piece in self.bios.pieces():
            self.memory.write(Gpa(piece.gpa), piece.data)

    def call(
        self,
        vector: int,
        *,
        ds: int = 0,
        es: int = 0,
        flags: int = Rflags.FIXED,
        sp: int = STACK,
        **general: int,
    ) -> Result:
        """INT `vector` with registers; `ax`, `bx` and so on are the low halves of theirs.

        CF and ZF are what the caller has in its flags after IRET.
        """
        wide = {f"r{n}" if len(n) == 2 else n: value for n, value in general.items()}
        registers = Registers(wide, ds=real(ds), es=real(es))
        registers.rsp, registers.rflags = sp, flags
        image = Gpa((sp + 4) % 0x10000)
        self.memory.write_uint(image, 2, flags)
        waits = self.bios.interrupt(vector, registers)
        after = self.memory.read_uint(image, 2)
        assert (after ^ flags) & ~(Rflags.CF | Rflags.ZF) == 0
        assert registers.rsp == sp
        assert (registers.rflags ^ flags) & ~Rflags.CF == 0
        signal = bool(registers.rflags & Rflags.CF)
        return Result(registers, bool(after & Rflags.CF), bool(after & Rflags.ZF), signal, waits)

    def close(self) -> None:
        self.memory.close()


def make_disk(
    folder: Path, sectors: int, *, name: str = "disk.img", readonly: bool = False
) -> Disk:
    """A disk whose sectors can be told apart: each is filled with its number, 2 bytes."""
    path = folder / name
    path.write_bytes(b"".join((n & 0xFFFF).to_bytes(2, "little") * 256 for n in range(sectors)))
    return Disk(path, readonly=readonly)
