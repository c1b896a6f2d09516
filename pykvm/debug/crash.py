"""A crash, told to people: what happened, in which state, at which instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.debug.disasm import disassemble
from pykvm.x86 import Bits, Cr0, Cr4, Efer, Mode, Rflags, Segment

if TYPE_CHECKING:
    from pykvm.cpu.snapshot import CpuSnapshot
    from pykvm.debug.symbols import Symbols
    from pykvm.errors import GuestCrash

INSTRUCTIONS = 6


def describe_crash(crash: GuestCrash, symbols: Symbols | None = None) -> str:
    """Several lines: the cause, the registers, and the code at RIP.

    Args:
        crash: it.
        symbols: names for the guest's addresses, if there are any.
    """
    where = "" if crash.processor is None else f" on processor {crash.processor}"
    lines = [f"the guest crashed{where}: {crash.cause}"]
    if crash.cpu is not None:
        lines += ["", *registers(crash.cpu), "", *code(crash.cpu, symbols)]
    return "\n".join(lines)


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


def code(cpu: CpuSnapshot, symbols: Symbols | None = None) -> list[str]:
    """The instructions at RIP, the first one marked, under RIP's name if it has one."""
    if not cpu.code:
        return [f"  there is no RAM at {cpu.linear_rip:#x}, where the next instruction would be"]
    decoded = disassemble(cpu.code, cpu.linear_rip, cpu.code_bits, INSTRUCTIONS)
    name = None if symbols is None else symbols.name(cpu.linear_rip)
    head = [] if name is None else [f"  {name}:"]
    return head + [
        f"  {'->' if place == 0 else '  '} {i.address:08x}  {i.code.hex(' '):<30} {i.text}"
        for place, i in enumerate(decoded)
    ]


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
