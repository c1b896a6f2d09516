"""A processor's registers and memory in Python, for what delivers events without an emulator."""

from __future__ import annotations

from pykvm.emu.events import PAGE_FAULT, Fault
from pykvm.emu.vectoring import Registers
from pykvm.x86 import Cr0, DescriptorTable, Efer, Rflags, Segment

GDT, IDT, TSS, STACK, INNER_STACK = 0x1000, 0x2000, 0x3000, 0x9000, 0xA000
CODE, DATA, USER_CODE, USER_DATA, TSS_SELECTOR = 0x08, 0x10, 0x18, 0x20, 0x28
HANDLER = 0x1234_5678
READ_WRITE, EXECUTE_READ, CONFORMING = 3, 0xB, 0xF


class Memory:
    """Linear memory that is zero until written; `holes` fault."""

    def __init__(self) -> None:
        self.bytes: dict[int, int] = {}
        self.holes: dict[range, int] = {}
        self.user_accesses: list[int] = []

    def read(self, address: int, size: int, *, is_user: bool = False) -> int:
        self._check(address, size, is_user)
        return sum(self.bytes.get(address + i, 0) << 8 * i for i in range(size))

    def write(self, address: int, size: int, value: int, *, is_user: bool = False) -> None:
        self._check(address, size, is_user)
        for i in range(size):
            self.bytes[address + i] = value >> 8 * i & 0xFF

    def _check(self, address: int, size: int, is_user: bool) -> None:
        if is_user:
            self.user_accesses.append(address)
        for hole, code in self.holes.items():
            if address in hole or address + size - 1 in hole:
                raise Fault(PAGE_FAULT, code, address)


def segment(selector: int, type: int = READ_WRITE, *, bits: int = 32, dpl: int = 0) -> Segment:
    """A flat segment."""
    return Segment(
        limit=0xFFFF_FFFF,
        selector=selector,
        type=type,
        dpl=dpl,
        db=int(bits == 32),
        l=int(bits == 64),
        g=1,
    )


def gate32(selector: int, offset: int, type: int = 0xE, *, dpl: int = 0, present: int = 1) -> int:
    """A gate outside of long mode (SDM vol. 3A, figure 6-2)."""
    low = offset & 0xFFFF | selector << 16
    return low | (offset & 0xFFFF_0000 | present << 15 | dpl << 13 | type << 8) << 32


def gate64(
    selector: int, offset: int, type: int = 0xE, *, dpl: int = 0, present: int = 1, ist: int = 0
) -> int:
    """A gate in long mode (SDM vol. 3A, figure 6-8)."""
    low = gate32(selector, offset & 0xFFFF_FFFF, type, dpl=dpl, present=present) | ist << 32
    return low | offset >> 32 << 64


class Rig:
    """A processor at 0x4000 in ring 0 or 3, with a GDT, an IDT of 64 gates and a TSS."""

    def __init__(self, bits: int, *, cpl: int = 0) -> None:
        self.memory = Memory()
        self.bits = bits
        self.width = {16: 4, 32: 8, 64: 16}[bits]
        self.registers = r = Registers()
        r.rip, r.rsp, r.cr2 = 0x4000, STACK, 0
        r.rflags = Rflags.FIXED | Rflags.IF
        r.cr0 = Cr0.PE if bits > 16 else 0
        r.efer = Efer.LMA | Efer.LME if bits == 64 else 0
        r.gdt = DescriptorTable(GDT, 0xFF)
        r.idt = DescriptorTable(IDT, 64 * self.width - 1)
        r.ldt = Segment(present=0, unusable=1)
        r.tr = Segment(base=TSS, limit=0x67, selector=TSS_SELECTOR, type=0xB, s=0)
        if bits == 16:
            r.cs = Segment(base=0x10000, selector=0x1000, type=EXECUTE_READ)
            r.ss = r.ds = r.es = r.fs = r.gs = Segment()
            return
        for selector, kind, dpl in (
            (CODE, EXECUTE_READ, 0),
            (DATA, READ_WRITE, 0),
            (USER_CODE, EXECUTE_READ, 3),
            (USER_DATA, READ_WRITE, 3),
        ):
            is_code = kind == EXECUTE_READ
            self.describe(selector, segment(selector, kind, bits=bits if is_code else 32, dpl=dpl))
        code, data = (USER_CODE | 3, USER_DATA | 3) if cpl else (CODE, DATA)
        r.cs = segment(code, EXECUTE_READ, bits=bits, dpl=cpl)
        r.ss = r.ds = r.es = r.fs = r.gs = segment(data, dpl=cpl)
        self.memory.write(TSS + 4, 8, INNER_STACK if bits == 64 else DATA << 32 | INNER_STACK)

    def describe(self, selector: int, to: Segment) -> None:
        """Put a descriptor into the GDT."""
        self.memory.write(GDT + (selector & ~7), 8, to.descriptor())

    def gate(self, vector: int, value: int) -> None:
        """Put a gate into the IDT."""
        self.memory.write(IDT + vector * self.width, self.width, value)

    def stack(self, count: int, size: int) -> list[int]:
        """What is on top of the stack, the last that was pushed first."""
        top = self.registers.rsp + (self.registers.ss.base if self.bits < 64 else 0)
        return [self.memory.read(top + i * size, size) for i in range(count)]
