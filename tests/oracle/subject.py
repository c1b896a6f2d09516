"""A machine that runs programs, each from the same state, and tells what became of them."""

from __future__ import annotations

import struct
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from pykvm import Device, GuestCrash, Machine, StopReason
from pykvm.memory import Gpa
from pykvm.x86 import DescriptorTable, Mode, Rflags, real_segment
from tests.conftest import ON_SVM
from tests.oracle.arithmetic import OPTIONAL
from tests.oracle.encoding import (
    CODE,
    DATA,
    DEVICE_BASE,
    END,
    GENERAL,
    LOW_PORTS,
    PORT_COUNT,
    PORTS,
    STACK,
    WINDOW,
)
from tests.oracle.program import HLT, Assembled, Program, assemble, of_bytes

if TYPE_CHECKING:
    from pykvm.kvm.registers import Regs, Sregs

TIMEOUT = 5
"""Seconds, for programs that take milliseconds."""

_HANDLERS, _IDT, _VECTORS = 0x800, 0xA00, 32
_HANDLER_SIZE = 16
_PUSH_ERROR_CODES = (8, 10, 11, 12, 13, 14, 17)
_RF = Rflags.RF if ON_SVM else 0
"""Of saved flags, what the emulated machine's processor forgets; as it is with AC in a handler, see
docs/differences.md."""

_MOST_BYTES = 8
"""How many that differ are told."""

_READ_PATTERN = 0x9E37_79B9_7F4A_7C15


class Access(NamedTuple):
    """What a device was asked.

    Attributes:
        device: which.
        is_write: whether it was written to.
        offset, size: where, in bytes.
        value: what was written, or what it answered.
    """

    device: str
    is_write: bool
    offset: int
    size: int
    value: int


class Memory(Device):
    """A device that keeps what is written, as RAM does; all that is asked goes into a log."""

    name = "memory"
    width = 4

    def __init__(self, log: list[Access]) -> None:
        self._log = log
        self.content = bytearray(WINDOW)

    def read(self, offset: int, size: int) -> int:
        value = int.from_bytes(self.content[offset : offset + size], "little")
        self._log.append(Access(self.name, False, offset, size, value))
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        self._log.append(Access(self.name, True, offset, size, value))
        self.content[offset : offset + size] = value.to_bytes(size, "little")


class Ports(Device):
    """A device that never answers alike."""

    width = 4

    def __init__(self, log: list[Access], name: str) -> None:
        self._log = log
        self.name = name

    def read(self, offset: int, size: int) -> int:
        value = (len(self._log) + 1) * _READ_PATTERN >> 16 & ((1 << 8 * size) - 1)
        self._log.append(Access(self.name, False, offset, size, value))
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        self._log.append(Access(self.name, True, offset, size, value))


class Result(NamedTuple):
    """What became of a program.

    Attributes:
        end: how it ended: why the machine stopped, the exception's vector, or "crash".
        rip: where.
        registers: RAX to R15.
        flags: RFLAGS.
        saved_rip, saved_flags: those that an exception pushed; 0 without one.
        memory: RAM, where programs are, without the saved flags.
        accesses: what its device was asked.
    """

    end: str
    rip: int
    registers: tuple[int, ...]
    flags: int
    saved_rip: int
    saved_flags: int
    memory: bytes
    accesses: tuple[Access, ...]

    def differences(self, other: Result, assembled: Assembled) -> list[str]:
        """In what it differs from another one of the same program, but for undefined flags."""
        found = [
            f"{name}: {mine} and {its}"
            for name, mine, its in zip(("end", "rip"), self, other, strict=False)
            if mine != its
        ]
        for name, mine, its in zip(GENERAL, self.registers, other.registers, strict=True):
            if mine != its:
                found.append(f"{name}: {mine:#x} and {its:#x}")
        # an exception on the way depends on no flags that are read, but saves all of them
        undefined = assembled.ever_undefined
        if self.saved_rip in (0, assembled.end):
            undefined = assembled.undefined
        for name, ignored in (("flags", Rflags.AC if self.saved_rip else 0), ("saved_flags", _RF)):
            but = undefined | ignored
            mine, its = getattr(self, name), getattr(other, name)
            if (mine ^ its) & ~but:
                found.append(f"{name}: {mine:#x} and {its:#x}, of which {but:#x} may differ")
        if self.memory != other.memory:
            pairs = enumerate(zip(self.memory, other.memory, strict=True))
            found += [
                f"memory at {at:#x}: {mine:#x} and {its:#x}"
                for at, (mine, its) in pairs
                if mine != its
            ][:_MOST_BYTES]
        if self.accesses != other.accesses:
            found.append(f"accesses: {list(self.accesses)}\n and {list(other.accesses)}")
        return found


class Subject:
    """Machines of one accelerator, one in each mode, that run one program after the other.

    Args:
        accel: "kvm" or "emu".
    """

    def __init__(self, accel: str) -> None:
        self._accel = accel
        self._bodies: dict[Mode, _Body] = {}

    def run(self, program: Program) -> Result:
        """Run a program from the state that it says."""
        body = self._bodies.get(program.mode)
        if body is None:
            body = self._bodies[program.mode] = _Body(self._accel, program.mode)
        result = body.run(program, assemble(program).code)
        if result.end in ("crash", StopReason.TIMEOUT.value):
            # what is left of it need not be fit for another program
            self._bodies.pop(program.mode).close()
        return result

    def lacks(self) -> frozenset[str]:
        """Which of `arithmetic.OPTIONAL` crash in it, or set flags that are wrong."""
        lacking = set()
        for name, sample in OPTIONAL.items():
            result = self.run(of_bytes(Mode.PROTECTED, bytes.fromhex(sample.code)))
            if result.end == "crash" or not result.flags & sample.flag:
                lacking.add(name)
        return frozenset(lacking)

    def close(self) -> None:
        """Close the machines."""
        while self._bodies:
            self._bodies.popitem()[1].close()

    def __enter__(self) -> Subject:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Body:
    """A machine in one mode."""

    def __init__(self, accel: str, mode: Mode) -> None:
        self._mode = mode
        self._stack = ExitStack()
        machine = self._stack.enter_context(Machine("64K", accel=accel, irqchip="none"))
        self.machine = machine
        self._log: list[Access] = []
        self.memory = Memory(self._log)
        machine.mmio.attach(DEVICE_BASE + DATA, WINDOW, self.memory)
        machine.ports.attach(PORTS, PORT_COUNT, Ports(self._log, "ports"))
        machine.ports.attach(LOW_PORTS, PORT_COUNT, Ports(self._log, "low ports"))
        machine.load(HLT, mode=mode, load_address=CODE)
        self._regs, self._sregs = _initial_state(machine, mode)
        self._image = _image(mode)

    def close(self) -> None:
        self._stack.close()

    def run(self, program: Program, code: bytes) -> Result:
        machine, cpu = self.machine, self.machine.cpus[0]
        self._log.clear()
        self.memory.content[:] = program.data[::-1]
        image = bytearray(self._image)
        image[CODE : CODE + len(code)] = code
        image[DATA : DATA + WINDOW] = program.data
        machine.memory.write(Gpa(0), bytes(image))
        cpu.vcpu.set_sregs(self._sregs)
        for name, value in zip(GENERAL, program.registers, strict=False):
            setattr(self._regs, name, value)
        self._regs.rip, self._regs.rflags = CODE, program.flags
        cpu.vcpu.set_regs(self._regs)
        try:
            end = machine.run(timeout=TIMEOUT).reason.value
        except GuestCrash:
            end = "crash"
        if end != "crash":
            cpu.settle()
        return self._result(end)

    def _result(self, end: str) -> Result:
        regs = self.machine.cpus[0].vcpu.get_regs()
        memory = bytearray(self.machine.memory.read(Gpa(0), END))
        saved_rip = saved_flags = 0
        vector, offset = divmod(regs.rip - _HANDLERS, _HANDLER_SIZE)
        if 0 <= vector < _VECTORS and offset == len(HLT):
            end = f"vector {vector}"
            size = self._mode.bits // 8
            at = regs.rsp
            if self._mode is not Mode.REAL and vector in _PUSH_ERROR_CODES:
                at += size
            if STACK <= at <= END - 3 * size:
                saved_rip = int.from_bytes(memory[at : at + size], "little")
                at += 2 * size
                saved_flags = int.from_bytes(memory[at : at + size], "little")
                memory[at : at + size] = bytes(size)
        registers = tuple(getattr(regs, name) for name in GENERAL)
        accesses = tuple(self._log)
        saved = saved_rip, saved_flags
        return Result(end, regs.rip, registers, regs.rflags, *saved, bytes(memory), accesses)


def _image(mode: Mode) -> bytes:
    """RAM below `END`, but for what is a program's: handlers that halt, and the way to them."""
    image = bytearray(END)
    for vector in range(_VECTORS):
        handler = _HANDLERS + vector * _HANDLER_SIZE
        image[handler : handler + len(HLT)] = HLT
        if mode is Mode.REAL:
            struct.pack_into("<HH", image, 4 * vector, handler, 0)
        else:
            width = 16 if mode is Mode.LONG else 8
            gate = handler | 8 << 16 | 0x8E00 << 32
            image[_IDT + vector * width : _IDT + (vector + 1) * width] = gate.to_bytes(
                width, "little"
            )
    return bytes(image)


def _initial_state(machine: Machine, mode: Mode) -> tuple[Regs, Sregs]:
    vcpu = machine.cpus[0].vcpu
    regs, sregs = vcpu.get_regs(), vcpu.get_sregs()
    if mode is Mode.REAL:
        sregs.fs = real_segment(DEVICE_BASE >> 4)
    else:
        sregs.fs = sregs.ds._replace(base=DEVICE_BASE)
        sregs.idt = DescriptorTable(_IDT, _VECTORS * (16 if mode is Mode.LONG else 8) - 1)
    return regs, sregs
