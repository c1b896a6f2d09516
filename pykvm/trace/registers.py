"""What a step has changed in the registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pykvm.kvm.registers import Regs

_NAMES = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"),
    *(f"r{i}" for i in range(8, 16)),
    "rflags",
)


def values_of(regs: Regs) -> dict[str, int]:
    """The registers that are shown, by lower-case name: all general ones but RIP."""
    return {name: getattr(regs, name) for name in _NAMES}


def changes_between(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    """Those with another value than before, with the new one."""
    return {name: now[name] for name in _NAMES if now[name] != before[name]}
