"""Processor states to make reports of."""

from __future__ import annotations

from pykvm.cpu.snapshot import CpuSnapshot
from pykvm.x86 import (
    Cr0,
    Cr4,
    DescriptorTable,
    Efer,
    Mode,
    Segment,
    flat_code,
    flat_data,
    real_segment,
)

GENERAL = [
    *["rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp"],
    *(f"r{i}" for i in range(8, 16)),
]


def snapshot(
    mode: Mode,
    rip: int = 0x1000,
    *,
    code: bytes = b"\xf4",
    cs: Segment | None = None,
    idt_limit: int = 0,
    **registers: int,
) -> CpuSnapshot:
    """A processor in a mode as pykvm enters it; `registers` are general ones, 0 unless named."""
    real = mode is Mode.REAL
    data = real_segment(0) if real else flat_data(0x10)
    return CpuSnapshot(
        general=dict.fromkeys(GENERAL, 0) | {"rflags": 2} | registers | {"rip": rip},
        segments={
            "cs": cs or (real_segment(0, code=True) if real else flat_code(8, mode)),
            **dict.fromkeys(("ds", "es", "fs", "gs", "ss"), data),
            "tr": Segment(type=11, s=0),
            "ldt": Segment(type=2, s=0, present=0, unusable=1),
        },
        gdt=DescriptorTable(0xF000, 0x17),
        idt=DescriptorTable(0, idt_limit),
        control={
            "cr0": Cr0.ET if real else Cr0.ET | Cr0.PE,
            "cr2": 0,
            "cr3": 0,
            "cr4": Cr4.PAE if mode is Mode.LONG else 0,
            "cr8": 0,
            "efer": Efer.LME | Efer.LMA if mode is Mode.LONG else 0,
        },
        code=code,
    )
