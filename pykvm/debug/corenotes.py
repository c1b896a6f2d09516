"""The notes of a core file: each processor's registers, as debuggers look for them.

Sources: linux/elfcore.h, asm/user_64.h and asm/user_32.h of the kernel's UAPI (NT_PRSTATUS,
NT_FPREGSET, NT_PRXFPREG); SDM vol. 1, 8.1.10 (FSAVE) and table 10-2 (FXSAVE).  docs/core.md has
the layout of the note "QEMU".
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from pykvm.debug.x87 import full_tags
from pykvm.x86 import Cr0, Efer, code_bits, linear_ip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykvm.kvm.registers import Regs, Sregs
    from pykvm.kvm.state import Fpu
    from pykvm.x86 import DescriptorTable, Segment

NT_PRSTATUS, NT_FPREGSET, NT_PRPSINFO = 1, 2, 3
NT_PRXFPREG = 0x46E6_2B7F
NT_QEMU_CPU_STATE = 0

NO_SYSTEM_CALL = (1 << 64) - 1
"""orig_rax of a thread that is in none, which gdb would otherwise restart."""

_M32 = 0xFFFF_FFFF


class Origin(NamedTuple):
    """What a core is of, for debuggers to tell.

    Attributes:
        program: the image's file name; gdb warns if it is given another one's symbols.
        command: how it was run.
    """

    program: str = ""
    command: str = ""


class CpuState(NamedTuple):
    """A processor's registers.

    Attributes:
        number: which one it is, from 0.
        regs, sregs: the general and the special ones.
        fpu: x87 and SSE; None if they could not be read.
    """

    number: int
    regs: Regs
    sregs: Sregs
    fpu: Fpu | None = None

    @property
    def is_long(self) -> bool:
        """Whether it is in long mode, 64-bit or compatibility."""
        return bool(self.sregs.efer & Efer.LMA)

    @property
    def runs_paged(self) -> bool:
        """Whether its addresses go through page tables."""
        return bool(self.sregs.cr0 & Cr0.PG)

    @property
    def linear_rip(self) -> int:
        """The next instruction's linear address, as debuggers know no segments."""
        cs = self.sregs.cs
        return linear_ip(self.regs.rip, cs.base, code_bits(cs, self.sregs.efer))


def notes(cpus: Sequence[CpuState], bits: int, origin: Origin) -> bytes:
    """The content of a core's PT_NOTE.

    Args:
        cpus: the processors; debuggers begin at the first.
        bits: 64 for an ELF64 x86-64 core, 32 for an ELF32 i386 one.
        origin: what it is of.
    """
    made = [_note(b"CORE", NT_PRPSINFO, _prpsinfo(origin, bits))]
    for cpu in cpus:
        made.append(_note(b"CORE", NT_PRSTATUS, _prstatus(cpu, bits)))
        if cpu.fpu is not None:
            if bits == 64:
                made.append(_note(b"CORE", NT_FPREGSET, fxsave(cpu.fpu)))
            else:
                made.append(_note(b"CORE", NT_FPREGSET, fsave(cpu.fpu)))
                made.append(_note(b"LINUX", NT_PRXFPREG, fxsave(cpu.fpu)))
        made.append(_note(b"QEMU", NT_QEMU_CPU_STATE, _qemu_state(cpu)))
    return b"".join(made)


def _note(owner: bytes, kind: int, content: bytes) -> bytes:
    """One note (System V ABI, figure 5-3), padded to words of four bytes in both classes."""
    name = owner + b"\0"
    head = struct.pack("<III", len(name), len(content), kind)
    return head + name + bytes(-len(name) % 4) + content + bytes(-len(content) % 4)


def _prstatus(cpu: CpuState, bits: int) -> bytes:
    """`struct elf_prstatus`: of what it says of a process, there is a number and registers."""
    thread = cpu.number + 1  # 0 is no thread's
    has_fpu = cpu.fpu is not None
    if bits == 32:
        return struct.pack("<24x I 44x 17I I", thread, *_user_regs32(cpu), has_fpu)
    return struct.pack("<32x I 76x 27Q I 4x", thread, *_user_regs64(cpu), has_fpu)


def _user_regs64(cpu: CpuState) -> tuple[int, ...]:
    """`struct user_regs_struct` of x86-64; RIP as a linear address."""
    r, s = cpu.regs, cpu.sregs
    return (
        *(r.r15, r.r14, r.r13, r.r12, r.rbp, r.rbx, r.r11, r.r10, r.r9, r.r8),
        *(r.rax, r.rcx, r.rdx, r.rsi, r.rdi, NO_SYSTEM_CALL),
        *(cpu.linear_rip, s.cs.selector, r.rflags, r.rsp, s.ss.selector),
        *(s.fs.base, s.gs.base),
        *(s.ds.selector, s.es.selector, s.fs.selector, s.gs.selector),
    )


def _user_regs32(cpu: CpuState) -> tuple[int, ...]:
    """`struct user_regs_struct` of i386; EIP as a linear address."""
    r, s = cpu.regs, cpu.sregs
    registers = (
        *(r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rax),
        *(s.ds.selector, s.es.selector, s.fs.selector, s.gs.selector, NO_SYSTEM_CALL),
        *(cpu.linear_rip, s.cs.selector, r.rflags, r.rsp, s.ss.selector),
    )
    return tuple(value & _M32 for value in registers)


def _prpsinfo(origin: Origin, bits: int) -> bytes:
    """`struct elf_prpsinfo`, whose pr_fname and pr_psargs say what was run."""
    numbers = "4x 4x 2x 2x 16x" if bits == 32 else "4x 4x 8x 4x 4x 16x"
    program, command = _cut(origin.program, 16), _cut(origin.command, 79)
    return struct.pack(f"<{numbers} 16s 80s", program, command)


def _cut(text: str, most: int) -> bytes:
    """As many bytes of it, but no half character."""
    return os.fsencode(text)[:most].decode("utf-8", "ignore").encode()


def fxsave(fpu: Fpu) -> bytes:
    """The registers as FXSAVE stores them: 512 bytes, the 64-bit format."""
    head = struct.pack(
        "<HHBxHQQII",
        *(fpu.fcw, fpu.fsw, fpu.ftwx, fpu.last_opcode, fpu.last_ip, fpu.last_dp, fpu.mxcsr),
        _MXCSR_MASK,
    )
    return (head + b"".join(fpu.fpr) + b"".join(fpu.xmm)).ljust(512, b"\0")


_MXCSR_MASK = 0xFFFF
"""Which bits of MXCSR a processor has: all of them."""


def fsave(fpu: Fpu) -> bytes:
    """The x87 registers as FSAVE stores them in protected mode: 108 bytes."""
    tags = full_tags(fpu.ftwx, fpu.fsw, fpu.fpr)
    head = (fpu.fcw, fpu.fsw, tags, fpu.last_ip & _M32, fpu.last_opcode << 16, fpu.last_dp & _M32)
    return struct.pack("<7I", *head, 0) + b"".join(value[:10] for value in fpu.fpr)


def _qemu_state(cpu: CpuState) -> bytes:
    """What Linux's notes have no room for, in the layout that readers of QEMU's dumps know."""
    r, s = cpu.regs, cpu.sregs
    general = struct.pack(
        "<18Q",
        *(r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rsp, r.rbp),
        *(r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip, r.rflags),
    )
    segments = (s.cs, s.ds, s.es, s.fs, s.gs, s.ss, s.ldt, s.tr)
    hidden = b"".join(_qemu_segment(segment) for segment in segments)
    tables = b"".join(_qemu_table(table) for table in (s.gdt, s.idt))
    control = struct.pack("<5Q", s.cr0, 0, s.cr2, s.cr3, s.cr4)
    state = general + hidden + tables + control
    return struct.pack("<II", 1, 8 + len(state)) + state


def _qemu_segment(s: Segment) -> bytes:
    attributes = s.descriptor() >> 32 & 0x00F0_FF00
    return struct.pack("<IIIxxxxQ", s.selector, s.limit, attributes, s.base)


def _qemu_table(table: DescriptorTable) -> bytes:
    return struct.pack("<IIIxxxxQ", 0, table.limit, 0, table.base)
