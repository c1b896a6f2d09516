"""A crash, told to people: what happened, in which state, at which instruction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm.debug.disasm import disassemble
from pykvm.debug.registers import registers

if TYPE_CHECKING:
    from pykvm.cpu.snapshot import CpuSnapshot
    from pykvm.debug.disasm import Instruction
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


def next_instruction(cpu: CpuSnapshot) -> Instruction | None:
    """The one at RIP; None where there is no RAM."""
    return next(iter(disassemble(cpu.code, cpu.linear_rip, cpu.code_bits, 1)), None)


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
