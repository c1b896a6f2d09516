"""What booting means: bytes in RAM and a processor state, as plain values."""

from __future__ import annotations

from pykvm.named import NamedTuple
from pykvm.x86 import Cr0, DescriptorTable, Mode, Rflags, Segment, real_segment


class Piece(NamedTuple):
    """Bytes that go into RAM before the guest starts.

    Attributes:
        gpa: where.
        data: what.
        size: how much RAM it takes, at least `len(data)`; the rest is zero.
        name: what messages call it.
    """

    gpa: int
    data: bytes | memoryview
    size: int
    name: str

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.gpa + self.size


class BootState(NamedTuple):
    """Where and how a guest begins.

    Whatever is not named here has its value after reset (SDM vol. 3A, table 10-1).

    Attributes:
        mode: the operating mode it is entered in.
        pieces: what lies in RAM.
        rip, rsp, rflags: those registers.
        rax, rbx, rcx, rdx, rsi, rdi, rbp: those registers; R8 to R15 are 0.
        cs: the code segment.
        data: the segment in DS, ES, FS and GS.
        ss: the stack segment.
        gdt, idt: the descriptor-table registers.
        cr0, cr3, cr4, efer: the control registers.
    """

    mode: Mode
    pieces: tuple[Piece, ...]
    rip: int
    rsp: int
    rax: int = 0
    rbx: int = 0
    rcx: int = 0
    rdx: int = 0
    rsi: int = 0
    rdi: int = 0
    rbp: int = 0
    rflags: int = Rflags.FIXED
    cs: Segment = real_segment(0, code=True)
    data: Segment = real_segment(0)
    ss: Segment = real_segment(0)
    gdt: DescriptorTable = DescriptorTable()
    idt: DescriptorTable = DescriptorTable(limit=0x3FF)
    cr0: int = Cr0.ET
    cr3: int = 0
    cr4: int = 0
    efer: int = 0

    @property
    def entry(self) -> int:
        """The linear address of the first instruction."""
        return self.cs.base + self.rip
