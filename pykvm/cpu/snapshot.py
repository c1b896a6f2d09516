"""A processor's state at one moment, for reports and debuggers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykvm.errors import PykvmError
from pykvm.memory import Gpa
from pykvm.x86 import Cr0, DescriptorTable, Efer, Mode, Segment

if TYPE_CHECKING:
    from pykvm.kvm.registers import Regs, Sregs
    from pykvm.kvm.vcpu import Vcpu
    from pykvm.memory import GuestMemory

CODE_BYTES = 32


@dataclass(frozen=True, slots=True)
class CpuSnapshot:
    """Registers and the bytes of code at RIP.

    Attributes:
        general: RAX to R15, RIP and RFLAGS by their lower-case names.
        segments: CS, DS, ES, FS, GS, SS, TR and LDTR by their lower-case names.
        gdt, idt: the descriptor-table registers.
        control: CR0, CR2, CR3, CR4, CR8 and EFER by their lower-case names.
        code: up to 32 bytes at CS:RIP; empty where that is not mapped to RAM.
    """

    general: dict[str, int]
    segments: dict[str, Segment]
    gdt: DescriptorTable
    idt: DescriptorTable
    control: dict[str, int]
    code: bytes

    @property
    def mode(self) -> Mode:
        """Real, protected or (LMA, whatever CS says) long mode."""
        if self.control["efer"] & Efer.LMA:
            return Mode.LONG
        return Mode.PROTECTED if self.control["cr0"] & Cr0.PE else Mode.REAL

    @property
    def code_bits(self) -> int:
        """How code at CS:RIP is decoded: 16, 32 or 64 (SDM vol. 3A, 3.4.5)."""
        cs = self.segments["cs"]
        if self.mode is Mode.LONG and cs.l:
            return 64
        return 32 if cs.db else 16

    @property
    def linear_rip(self) -> int:
        """CS:RIP as a linear address: 32 bits of it, except in 64-bit code (SDM vol. 3A, 3.4)."""
        rip = self.general["rip"]
        return rip if self.code_bits == 64 else (self.segments["cs"].base + rip) & 0xFFFF_FFFF


def take_snapshot(vcpu: Vcpu, memory: GuestMemory) -> CpuSnapshot:
    """Read a stopped vCPU's registers and code.

    Raises:
        KvmIoctlError: the registers cannot be read.
    """
    regs, sregs = vcpu.get_regs(), vcpu.get_sregs()
    snapshot = _from_registers(regs, sregs, b"")
    end = 1 << (64 if snapshot.code_bits == 64 else 32)
    return _from_registers(regs, sregs, _code_at(vcpu, memory, snapshot.linear_rip, end))


def _from_registers(regs: Regs, sregs: Sregs, code: bytes) -> CpuSnapshot:
    general = {name: getattr(regs, name) for name in regs.__slots__}
    segments = ("cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt")
    control = ("cr0", "cr2", "cr3", "cr4", "cr8", "efer")
    return CpuSnapshot(
        general=general,
        segments={name: getattr(sregs, name) for name in segments},
        gdt=sregs.gdt,
        idt=sregs.idt,
        control={name: getattr(sregs, name) for name in control},
        code=code,
    )


def _code_at(vcpu: Vcpu, memory: GuestMemory, linear: int, end: int) -> bytes:
    """The bytes from a linear address on, before `end`, as far as they are mapped to RAM."""
    code = b""
    while len(code) < CODE_BYTES and linear + len(code) < end:
        at = linear + len(code)
        length = min(CODE_BYTES - len(code), 4096 - at % 4096)
        try:
            gpa = vcpu.translate(at)
        except PykvmError:
            break
        if gpa is None or not memory.contains(gpa, length):
            break
        code += memory.read(Gpa(gpa), length)
    return code
