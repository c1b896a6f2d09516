"""Guests for several processors: real-mode code that starts the others by INIT and SIPI."""

from __future__ import annotations

from pykvm import Machine
from pykvm.memory import Gpa

HALT = bytes.fromhex(
    "fa"  # cli
    "f4"  # hlt
)
WAIT = bytes.fromhex(
    "fb"  # sti
    "f4"  # hlt
    "eb fd"  # jmp to the hlt
)
OUT_30 = bytes.fromhex(
    "e6 30"  # out 0x30, al
)
OUT_30_FOR_EVER = bytes.fromhex(
    "e6 30"  # out 0x30, al
    "eb fc"  # jmp back to it
)
X2APIC_ON = bytes.fromhex(
    "66 b9 1b 00 00 00"  # mov ecx, 0x1b (IA32_APIC_BASE)
    "0f 32"  # rdmsr
    "66 0d 00 0c 00 00"  # or eax, 0xc00
    "0f 30"  # wrmsr
)


def send_ipi(low: int, high: int = 0) -> bytes:
    """Code that writes the x2APIC's interrupt command register."""
    return (
        bytes.fromhex("66 b9 30 08 00 00")  # mov ecx, 0x830
        + b"\x66\xb8"
        + low.to_bytes(4, "little")  # mov eax, low
        + b"\x66\xba"
        + high.to_bytes(4, "little")  # mov edx, high
        + bytes.fromhex("0f 30")  # wrmsr
    )


AP_PAGE = 2
INIT_OTHERS = send_ipi(0xC4500)
START_OTHERS = X2APIC_ON + INIT_OTHERS + send_ipi(0xC4600 | AP_PAGE)
"""Has all other processors start at 0x2000, CS 0x0200."""


def load(machine: Machine, first: bytes, others: bytes) -> None:
    """Put code for the first processor at 0x1000 and for the others, once started, at 0x2000."""
    machine.load(first)
    machine.memory.write(Gpa(AP_PAGE << 12), others)
