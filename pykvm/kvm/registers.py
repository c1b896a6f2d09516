"""The registers that every guest starts with; the others are in `state`."""

from __future__ import annotations

from dataclasses import dataclass, field

from pykvm.x86 import DescriptorTable, Segment


@dataclass(slots=True)
class Regs:
    """The general registers, field for field `struct kvm_regs` (64 bits each)."""

    rax: int = 0
    rbx: int = 0
    rcx: int = 0
    rdx: int = 0
    rsi: int = 0
    rdi: int = 0
    rsp: int = 0
    rbp: int = 0
    r8: int = 0
    r9: int = 0
    r10: int = 0
    r11: int = 0
    r12: int = 0
    r13: int = 0
    r14: int = 0
    r15: int = 0
    rip: int = 0
    rflags: int = 2


@dataclass(slots=True)
class Sregs:
    """The special registers, field for field `struct kvm_sregs`.

    Attributes:
        cs, ds, es, fs, gs, ss, tr, ldt: segment registers with their hidden parts.
        gdt, idt: descriptor table registers.
        cr0, cr2, cr3, cr4, cr8, efer: control registers (`pykvm.x86` names their bits).
        apic_base: the IA32_APIC_BASE MSR.
        interrupt_bitmap: the external interrupt to be injected, as four words of 64 vectors, of
            which at most one bit is set.
    """

    cs: Segment = field(default_factory=Segment)
    ds: Segment = field(default_factory=Segment)
    es: Segment = field(default_factory=Segment)
    fs: Segment = field(default_factory=Segment)
    gs: Segment = field(default_factory=Segment)
    ss: Segment = field(default_factory=Segment)
    tr: Segment = field(default_factory=Segment)
    ldt: Segment = field(default_factory=Segment)
    gdt: DescriptorTable = field(default_factory=DescriptorTable)
    idt: DescriptorTable = field(default_factory=DescriptorTable)
    cr0: int = 0
    cr2: int = 0
    cr3: int = 0
    cr4: int = 0
    cr8: int = 0
    efer: int = 0
    apic_base: int = 0
    interrupt_bitmap: tuple[int, ...] = (0, 0, 0, 0)
