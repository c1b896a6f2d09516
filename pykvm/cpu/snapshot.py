"""A processor's state at one moment, for reports and debuggers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pykvm.errors import PykvmError
from pykvm.memory import Gpa
from pykvm.x86 import PAGE_SIZE, Cr0, DescriptorTable, Efer, Mode, Segment, code_bits, linear_ip

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
        """How code at CS:RIP is decoded: 16, 32 or 64."""
        return code_bits(self.segments["cs"], self.control["efer"])

    @property
    def linear_rip(self) -> int:
        """CS:RIP as a linear address."""
        return linear_ip(self.general["rip"], self.segments["cs"].base, self.code_bits)


def take_snapshot(vcpu: Vcpu, memory: GuestMemory) -> CpuSnapshot:
    """Read a stopped vCPU's registers and code.

    Raises:
        KvmIoctlError: the registers cannot be read.
    """
    regs, sregs = vcpu.get_regs(), vcpu.get_sregs()
    snapshot = _from_registers(regs, sregs, b"")
    start = snapshot.linear_rip
    length = min(CODE_BYTES, (1 << (64 if snapshot.code_bits == 64 else 32)) - start)
    return _from_registers(regs, sregs, read_linear(vcpu, memory, start, length))


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


def read_linear(vcpu: Vcpu, memory: GuestMemory, linear: int, length: int) -> bytes:
    """The bytes from a linear address on, up to `length`, as far as they are mapped to RAM.

    Args:
        vcpu: not running, or this thread's; its page tables count, as they are now.
        memory: guest RAM.
        linear: where.
        length: how many, at the most.
    """
    found = b""
    end = min(linear + length, 1 << 64)
    while linear + len(found) < end:
        at = linear + len(found)
        piece = min(end - at, PAGE_SIZE - at % PAGE_SIZE)
        try:
            gpa = vcpu.translate(at)
        except PykvmError:
            break
        if gpa is None or not memory.contains(gpa, piece):
            break
        found += memory.read(Gpa(gpa), piece)
    return found
