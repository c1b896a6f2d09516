"""A processor's registers as a table for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.x86 import Bits, Cr0, Cr4, Efer, Mode, Rflags, Segment

if TYPE_CHECKING:
    from pykvm.cpu.snapshot import CpuSnapshot


def registers(cpu: CpuSnapshot) -> list[str]:
    """The registers as a table, flags and modes decoded."""
    wide = cpu.mode is Mode.LONG
    digits = 16 if wide else 8
    names = ["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"]
    if wide:
        names += [f"r{i}" for i in range(8, 16)]
    cells = [f"{_name(n, wide):>3} {cpu.general[n]:0{digits}x}" for n in names]
    columns = 4
    lines = [f"  {'  '.join(cells[i : i + columns])}" for i in range(0, len(cells), columns)]
    rip, flags = cpu.general["rip"], cpu.general["rflags"]
    lines.append(
        f"  {_name('rip', wide)} {rip:0{digits}x}  {_name('rflags', wide)} {flags:08x} "
        f"[{bit_names(Rflags, flags & ~Rflags.FIXED)}]  {cpu.mode.value} mode, "
        f"{cpu.code_bits}-bit code"
    )
    control = cpu.control
    lines.append(
        f"  cr0 {control['cr0']:08x} [{bit_names(Cr0, control['cr0'])}]  "
        f"cr2 {control['cr2']:x}  cr3 {control['cr3']:x}  "
        f"cr4 {control['cr4']:x} [{bit_names(Cr4, control['cr4'])}]  "
        f"efer {control['efer']:x} [{bit_names(Efer, control['efer'])}]"
    )
    lines += [f"  {name:<4} {_segment(s)}" for name, s in cpu.segments.items()]
    lines.append(
        f"  gdt  {cpu.gdt.base:x} limit {cpu.gdt.limit:x}   "
        f"idt {cpu.idt.base:x} limit {cpu.idt.limit:x}"
    )
    return lines


def bit_names(register: type[Bits], value: int) -> str:
    """The names of the bits that are set."""
    return " ".join(register.names(value))


def _name(register: str, wide: bool) -> str:
    if wide or not register.startswith("r"):
        return register
    return "e" + register[1:]


def _segment(s: Segment) -> str:
    size = "64-bit" if s.l else "32-bit" if s.db else "16-bit"
    return (
        f"{s.selector:04x}  base {s.base:x} limit {s.limit:x} type {s.type:x} dpl {s.dpl} {size}"
        + ("" if s.present and not s.unusable else "  (unusable)")
    )
