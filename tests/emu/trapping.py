"""An emulated machine that halts in a handler of its own for each vector."""

from __future__ import annotations

import struct
from typing import NamedTuple

from pykvm import GuestCrash, Machine, Stop
from pykvm.memory import Gpa
from pykvm.x86 import DescriptorTable, Mode, Segment

GDT, IDT, HANDLERS, TSS, PROGRAM = 0x2000, 0x3000, 0x5000, 0x6000, 0x10000
STACK, INNER_STACK = 0x9000, 0x8000
VECTORS = 64
CODE, DATA, USER_CODE, USER_DATA, ABSENT_DATA = 0x08, 0x10, 0x1B, 0x23, 0x30
HLT = b"\xf4"


class Trap(NamedTuple):
    """What a handler found.

    Attributes:
        vector: which handler.
        frame: the top of its stack.
    """

    vector: int
    frame: tuple[int, ...]


def _segment(bits: int, dpl: int, *, code: bool, present: int = 1) -> Segment:
    return Segment(
        limit=0xFFFF_FFFF,
        type=0xB if code else 3,
        dpl=dpl,
        present=present,
        db=int(bits == 32 or not code),
        l=int(bits == 64 and code),
        g=1,
    )


def trap(code: str, bits: int = 32, *, user: bool = False, flags: int = 2) -> Trap | Stop | str:
    """Run `code`, hexadecimal, in ring 0 or 3 of protected or long mode.

    Returns:
        what a handler found; or how the run ended without one: its stop, or a crash's words.
    """
    with Machine("1M", accel="emu", irqchip="none") as machine:
        machine.load(HLT, mode=Mode.LONG if bits == 64 else Mode.PROTECTED, load_address=PROGRAM)
        memory = machine.memory
        memory.write(Gpa(PROGRAM), bytes.fromhex(code))
        segments = [_segment(bits, dpl, code=code) for dpl in (0, 3) for code in (True, False)]
        segments.append(Segment(base=TSS, limit=0x67, type=9, s=0))
        segments.append(_segment(bits, 0, code=False, present=0))
        memory.write(Gpa(GDT), struct.pack("<7Q", 0, *(s.descriptor() for s in segments)))
        width = 16 if bits == 64 else 8
        for vector in range(VECTORS):
            handler = HANDLERS + 16 * vector
            memory.write(Gpa(handler), HLT)
            gate = handler | CODE << 16 | 0x8E00 << 32
            memory.write(Gpa(IDT + vector * width), gate.to_bytes(width, "little"))
        inner = INNER_STACK if bits == 64 else INNER_STACK | DATA << 32
        memory.write(Gpa(TSS + 4), inner.to_bytes(8, "little"))
        memory.write(Gpa(TSS + 102), b"\x68\x00")
        _enter(machine, bits, user=user, flags=flags)
        try:
            stop = machine.run(timeout=10)
        except GuestCrash as crash:
            return str(crash)
        regs = machine.cpus[0].vcpu.get_regs()
        vector, offset = divmod(regs.rip - HANDLERS, 16)
        if offset != 1 or not 0 <= vector < VECTORS:
            return stop
        size = bits // 8
        top = struct.unpack(f"<6{'Q' if size == 8 else 'I'}", memory.read(Gpa(regs.rsp), 6 * size))
        return Trap(vector, top)


def _enter(machine: Machine, bits: int, *, user: bool, flags: int) -> None:
    vcpu = machine.cpus[0].vcpu
    sregs, regs = vcpu.get_sregs(), vcpu.get_regs()
    dpl = 3 if user else 0
    sregs.gdt, sregs.idt = DescriptorTable(GDT, 0x37), DescriptorTable(IDT, 0xFFF)
    sregs.idt = DescriptorTable(IDT, VECTORS * (16 if bits == 64 else 8) - 1)
    sregs.tr = Segment(base=TSS, limit=0x67, selector=0x28, type=0xB, s=0)
    sregs.cs = _segment(bits, dpl, code=True)._replace(selector=USER_CODE if user else CODE)
    stack = _segment(bits, dpl, code=False)._replace(selector=USER_DATA if user else DATA)
    sregs.ss = sregs.ds = sregs.es = stack
    vcpu.set_sregs(sregs)
    regs.rip, regs.rsp, regs.rflags = PROGRAM, STACK, flags
    vcpu.set_regs(regs)
