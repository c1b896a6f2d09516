"""The registers that debuggers know, where a vCPU keeps them, and how they lie in packets.

A debugger learns names, sizes and order from the target description (`pykvm.gdb.description`),
which is made of the same tables.  Two things differ from what the processor has:

- the program counter is a *linear* address, CS.base + IP, as debuggers know no segments: `x/i $pc`
  and breakpoints then work in real mode;
- with the 32-bit tables, registers of a processor in long mode are cut to 32 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from pykvm.debug.x87 import abridged_tags, full_tags
from pykvm.gdb.packets import EINVAL, PacketError
from pykvm.x86 import Cr0, Rflags, Segment, code_bits, real_segment

if TYPE_CHECKING:
    from pykvm.kvm.registers import Regs, Sregs
    from pykvm.kvm.state import Fpu
    from pykvm.kvm.vcpu import Vcpu

_WORD = 0xFFFF_FFFF
_SEGMENTS = ("cs", "ss", "ds", "es", "fs", "gs")


class State:
    """A stopped vCPU's registers: read when first asked for, written back by `store`.

    Args:
        vcpu: out of KVM_RUN.
    """

    def __init__(self, vcpu: Vcpu) -> None:
        self._vcpu = vcpu
        self._changed: set[str] = set()
        self._fpu: Fpu | None = None
        self.regs: Regs = vcpu.get_regs()
        self.sregs: Sregs = vcpu.get_sregs()

    @property
    def fpu(self) -> Fpu:
        """The x87 and SSE registers."""
        if self._fpu is None:
            self._fpu = self._vcpu.get_fpu()
        return self._fpu

    def touch(self, part: str) -> None:
        """Have `store` write "regs", "sregs" or "fpu"."""
        self._changed.add(part)

    def store(self) -> None:
        """Give the vCPU what has changed.

        Raises:
            KvmIoctlError: KVM refuses it, e.g. EINVAL for control registers that contradict.
        """
        if "sregs" in self._changed:
            self._vcpu.set_sregs(self.sregs)
        if "regs" in self._changed:
            self._vcpu.set_regs(self.regs)
        if "fpu" in self._changed:
            self._vcpu.set_fpu(self.fpu)
        self._changed.clear()

    @property
    def code_base(self) -> int:
        """What makes IP a linear address: CS.base, but in 64-bit code (SDM vol. 3A, 3.4.4)."""
        cs = self.sregs.cs
        return 0 if code_bits(cs, self.sregs.efer) == 64 else cs.base

    @property
    def loads_segments_as_real_mode(self) -> bool:
        """Whether a selector alone tells all of a segment: in real and virtual-8086 mode."""
        return not self.sregs.cr0 & Cr0.PE or bool(self.regs.rflags & Rflags.VM)


class Register(NamedTuple):
    """One register of a table.

    Attributes:
        name: as debuggers know it.
        bits: its size in packets.
        type: its type in the target description, if not an integer of that size.
        get: its value, of any size; it is cut to `bits`.
        set: puts a value of `bits`; PacketError where it cannot be.
    """

    name: str
    bits: int
    type: str
    get: Callable[[State], int]
    set: Callable[[State, int], None]

    @property
    def size(self) -> int:
        """Bytes in packets."""
        return self.bits // 8

    @property
    def is_program_counter(self) -> bool:
        """Whether it is told as a linear address."""
        return self.type == "code_ptr"

    def read(self, state: State) -> bytes:
        """Its value, little-endian."""
        return (self.get(state) & (1 << self.bits) - 1).to_bytes(self.size, "little")

    def write(self, state: State, data: bytes) -> None:
        """Set it from `size` bytes, little-endian."""
        self.set(state, int.from_bytes(data, "little"))


def general(name: str, field: str, bits: int, type: str = "") -> Register:
    """One of `struct kvm_regs`."""

    def put(state: State, value: int) -> None:
        setattr(state.regs, field, value)
        state.touch("regs")

    return Register(name, bits, type, lambda state: int(getattr(state.regs, field)), put)


def program_counter(name: str, bits: int) -> Register:
    """RIP as a linear address."""

    def get(state: State) -> int:
        base = state.code_base
        return base + state.regs.rip & _WORD if base else state.regs.rip

    def put(state: State, value: int) -> None:
        base = state.code_base
        ip = value - base & _WORD if base else value
        if state.loads_segments_as_real_mode and ip > 0xFFFF:
            raise PacketError(EINVAL, f"{value:#x} is not in the code segment at {base:#x}")
        state.regs.rip = ip
        state.touch("regs")

    return Register(name, bits, "code_ptr", get, put)


def segment(name: str) -> Register:
    """A selector.

    Setting one loads the segment in real and virtual-8086 mode.  In other modes it would need a
    descriptor; there only the value that it has already can be set.
    """

    def put(state: State, value: int) -> None:
        now: Segment = getattr(state.sregs, name)
        if value == now.selector:
            return
        if not state.loads_segments_as_real_mode or value > 0xFFFF:
            raise PacketError(EINVAL, f"{name}: no selector can be set in protected mode")
        # limits and access rights stay as they are, as when the processor loads it in real mode
        setattr(state.sregs, name, now._replace(selector=value, base=real_segment(value).base))
        state.touch("sregs")

    return Register(name, 32, "", lambda state: int(getattr(state.sregs, name).selector), put)


def segment_base(name: str, field: str) -> Register:
    """The base of FS or GS."""

    def put(state: State, value: int) -> None:
        setattr(state.sregs, field, getattr(state.sregs, field)._replace(base=value))
        state.touch("sregs")

    return Register(name, 64, "", lambda state: int(getattr(state.sregs, field).base), put)


def control(name: str, bits: int, type: str = "") -> Register:
    """CR0, CR2, CR3, CR4, CR8 or EFER."""

    def put(state: State, value: int) -> None:
        setattr(state.sregs, name, value)
        state.touch("sregs")

    return Register(name, bits, type, lambda state: int(getattr(state.sregs, name)), put)


def stack_register(index: int) -> Register:
    """ST0 to ST7."""

    def get(state: State) -> int:
        return int.from_bytes(state.fpu.fpr[index][:10], "little")

    def put(state: State, value: int) -> None:
        stack = list(state.fpu.fpr)
        stack[index] = value.to_bytes(16, "little")
        state.fpu.fpr = tuple(stack)
        state.touch("fpu")

    return Register(f"st{index}", 80, "i387_ext", get, put)


def vector(index: int) -> Register:
    """XMM0 to XMM15."""

    def get(state: State) -> int:
        return int.from_bytes(state.fpu.xmm[index], "little")

    def put(state: State, value: int) -> None:
        vectors = list(state.fpu.xmm)
        vectors[index] = value.to_bytes(16, "little")
        state.fpu.xmm = tuple(vectors)
        state.touch("fpu")

    return Register(f"xmm{index}", 128, "vec128", get, put)


def fpu_field(
    name: str, field: str, *, shift: int = 0, width: int = 32, type: str = ""
) -> Register:
    """Some bits of a field of `struct kvm_fpu`."""
    mask = (1 << width) - 1

    def put(state: State, value: int) -> None:
        rest = getattr(state.fpu, field) & ~(mask << shift)
        setattr(state.fpu, field, rest | (value & mask) << shift)
        state.touch("fpu")

    return Register(name, 32, type, lambda s: int(getattr(s.fpu, field)) >> shift & mask, put)


def tag_word() -> Register:
    """The x87 tag word, two bits a register."""

    def get(state: State) -> int:
        return full_tags(state.fpu.ftwx, state.fpu.fsw, state.fpu.fpr)

    def put(state: State, value: int) -> None:
        state.fpu.ftwx = abridged_tags(value)
        state.touch("fpu")

    return Register("ftag", 32, "", get, put)


def segments() -> list[Register]:
    """The six selectors, in the order of debuggers."""
    return [segment(name) for name in _SEGMENTS]


def x87() -> list[Register]:
    """The x87 registers, in the order of debuggers."""
    return [
        *(stack_register(i) for i in range(8)),
        fpu_field("fctrl", "fcw", width=16),
        fpu_field("fstat", "fsw", width=16),
        tag_word(),
        fpu_field("fiseg", "last_ip", shift=32, width=16),
        fpu_field("fioff", "last_ip"),
        fpu_field("foseg", "last_dp", shift=32, width=16),
        fpu_field("fooff", "last_dp"),
        fpu_field("fop", "last_opcode", width=11),
    ]
