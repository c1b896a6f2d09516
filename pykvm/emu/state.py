"""A processor's registers as Unicorn keeps them.

Unicorn's own register calls know neither the hidden parts of segment registers nor error codes, and
go through the checks of instructions that load segments.  All of it is in a context, though, which
Unicorn copies out of the processor and back: it is the beginning of QEMU's `CPUX86State`, whose
fields have been where they are since Unicorn 2.0.  `check_layout` sees that they still are.
"""

from __future__ import annotations

import ctypes
import struct
from typing import Any

from pykvm.errors import EmulatorUnavailable
from pykvm.x86 import Cr0, Cr4, DescriptorTable, Efer, Rflags, Segment, linear_ip

Uc = Any
"""`unicorn.Uc`, which says of no method what it takes."""

GENERAL = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"),
)
SEGMENTS = ("es", "cs", "ss", "ds", "fs", "gs", "ldt", "tr")
TABLES = ("gdt", "idt")
CONTROL = ("cr0", "cr1", "cr2", "cr3", "cr4")

_GENERAL = 40
_RFLAGS = _GENERAL + 8 * len(GENERAL)
_CC_DST, _CC_SRC, _CC_OP, _DIRECTION = _RFLAGS + 8, _RFLAGS + 16, _RFLAGS + 32, _RFLAGS + 36
_HFLAGS = _RFLAGS + 40
_SEGMENTS = _HFLAGS + 8
_SEGMENT_SIZE = 24
_CONTROL = _SEGMENTS + _SEGMENT_SIZE * (len(SEGMENTS) + len(TABLES))
_EFER = 632
_ERROR_CODE, _IS_SOFTWARE = 5424, 5428
_DEBUG = 5440
_IN_FLIGHT = 5536

_CC_OP_FLAGS = 1
"""CC_OP_EFLAGS: the arithmetic flags are in `cc_src` as they are in RFLAGS."""

_ARITHMETIC = Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.OF
_NONE_IN_FLIGHT = 0xFFFF_FFFF

# what QEMU knows of a processor when it translates code: HF_* of target/i386/cpu.h
_CPL = 3
_SHADOW = 1 << 3
_CS32, _SS32, _ADDSEG, _PE = 1 << 4, 1 << 5, 1 << 6, 1 << 7
_CR0_SHIFT = 8  # MP, EM and TS follow each other
_LMA, _CS64 = 1 << 14, 1 << 15
_OSFXSR, _SMAP = 1 << 22, 1 << 23
_CR0_BITS = Cr0.MP | Cr0.EM | Cr0.TS
_DERIVED = _CPL | _CS32 | _SS32 | _ADDSEG | _PE | _LMA | _CS64 | _OSFXSR | _SMAP
_KEPT = ~(_DERIVED | _CR0_BITS << _CR0_SHIFT)


class State:
    """A copy of the processor's registers, to be read and changed.

    Args:
        uc: the processor, which is not running.
    """

    def __init__(self, uc: Uc) -> None:
        self._uc = uc
        self._context = uc.context_save()
        address = ctypes.cast(self._context.context, ctypes.c_void_p).value
        assert address is not None
        bytes_of = ctypes.c_ubyte * self._context.size
        self._view = memoryview(bytes_of.from_address(address)).cast("B")

    def fetch(self) -> None:
        """Take them from the processor."""
        self._uc.context_update(self._context)

    def store(self) -> None:
        """Give them to the processor."""
        self._uc.context_restore(self._context)

    def get(self, name: str) -> int:
        """One of `GENERAL`."""
        return self._u64(_GENERAL + 8 * GENERAL.index(name))

    def set(self, name: str, value: int) -> None:
        """One of `GENERAL`."""
        self._set_u64(_GENERAL + 8 * GENERAL.index(name), value)

    @property
    def rflags(self) -> int:
        """RFLAGS, which QEMU computes when asked only."""
        from unicorn.x86_const import UC_X86_REG_EFLAGS

        flags: int = self._context.reg_read(UC_X86_REG_EFLAGS)
        return flags | Rflags.FIXED

    @rflags.setter
    def rflags(self, value: int) -> None:
        # all of them here, from where a run begins, and those that are kept elsewhere there, too,
        # for who reads them before that
        self._set_u64(_RFLAGS, value | Rflags.FIXED)
        self._set_u64(_CC_SRC, value & _ARITHMETIC)
        self._set_u64(_CC_DST, 0)
        struct.pack_into("<Ii", self._view, _CC_OP, _CC_OP_FLAGS, -1 if value & Rflags.DF else 1)

    def take_computed_flags(self) -> None:
        """Have the arithmetic flags that were computed before the instruction that failed.

        Unicorn adds code to each watched instruction that puts them into `cc_src`, as CC_OP_EFLAGS
        has them.  With a fault, QEMU restores the `cc_op` from before that code, and would take
        them for an operand.
        """
        struct.pack_into("<I", self._view, _CC_OP, _CC_OP_FLAGS)

    @property
    def linear_rip(self) -> int:
        """The linear address of the next instruction."""
        bits = 64 if self._u32(_HFLAGS) & _CS64 else 32
        return linear_ip(self.get("rip"), self.segment("cs").base, bits)

    @property
    def interrupt_flag(self) -> bool:
        """RFLAGS.IF."""
        return bool(self._u64(_RFLAGS) & Rflags.IF)

    @property
    def is_shadowed(self) -> bool:
        """Whether the next instruction cannot be interrupted, after STI or MOV to SS."""
        return bool(self._u32(_HFLAGS) & _SHADOW)

    def leave_shadow(self) -> None:
        """Let the next instruction be interrupted."""
        self._set_u32(_HFLAGS, self._u32(_HFLAGS) & ~_SHADOW)

    def segment(self, name: str) -> Segment:
        """One of `SEGMENTS`, with its hidden part."""
        selector, base, limit, flags = struct.unpack_from("<I4xQII", self._view, _place(name))
        return Segment(
            base=base,
            limit=limit,
            selector=selector & 0xFFFF,
            type=flags >> 8 & 0xF,
            s=flags >> 12 & 1,
            dpl=flags >> 13 & 3,
            present=flags >> 15 & 1,
            avl=flags >> 20 & 1,
            l=flags >> 21 & 1,
            db=flags >> 22 & 1,
            g=flags >> 23 & 1,
            unusable=int(not flags >> 15 & 1),
        )

    def set_segment(self, name: str, to: Segment) -> None:
        """One of `SEGMENTS`."""
        flags = (
            (to.type << 8 | to.s << 12 | to.present << 15 | to.avl << 20)
            | (to.l << 21 | to.db << 22 | to.g << 23)
            if not to.unusable
            else 0
        )
        values = to.selector, to.base, to.limit, flags | to.dpl << 13
        struct.pack_into("<I4xQII", self._view, _place(name), *values)

    def table(self, name: str) -> DescriptorTable:
        """One of `TABLES`."""
        return DescriptorTable(*struct.unpack_from("<QI", self._view, _place(name) + 8))

    def set_table(self, name: str, to: DescriptorTable) -> None:
        """One of `TABLES`."""
        struct.pack_into("<QI", self._view, _place(name) + 8, to.base, to.limit)

    def control(self, name: str) -> int:
        """One of `CONTROL`, or "efer"."""
        return self._u64(_EFER if name == "efer" else _CONTROL + 8 * CONTROL.index(name))

    def set_control(self, name: str, value: int) -> None:
        """One of `CONTROL`, or "efer"."""
        self._set_u64(_EFER if name == "efer" else _CONTROL + 8 * CONTROL.index(name), value)

    @property
    def exception(self) -> tuple[int, bool]:
        """The last exception's error code, and whether an instruction asked for it (INT n)."""
        return self._u32(_ERROR_CODE), bool(self._u32(_IS_SOFTWARE))

    @property
    def is_ruled(self) -> bool:
        """Whether ports may be out of bounds: protected mode, but for its most privileged level."""
        hidden = self._u32(_HFLAGS)
        return bool(hidden & _PE) and bool(hidden & _CPL or self._u64(_RFLAGS) & Rflags.VM)

    def save(self) -> bytes:
        """All of it, for `restore`."""
        return bytes(self._view)

    def restore(self, saved: bytes) -> None:
        """Be as when `saved` was."""
        self._view[:] = saved

    def end_exception(self) -> None:
        """It was delivered: the next one does not come on top of it."""
        self._set_u32(_IN_FLIGHT, _NONE_IN_FLIGHT)

    def derive(self) -> None:
        """Have what QEMU translates code for follow segments and control registers."""
        cr0, cr4, flags = self.control("cr0"), self.control("cr4"), self._u64(_RFLAGS)
        cs, ss = self.segment("cs"), self.segment("ss")
        protected = bool(cr0 & Cr0.PE)
        virtual_8086 = protected and bool(flags & Rflags.VM)
        hidden = self._u32(_HFLAGS) & _KEPT | (cr0 & _CR0_BITS) << _CR0_SHIFT
        if protected:
            hidden |= _PE | ss.dpl
        if cr4 & Cr4.OSFXSR:
            hidden |= _OSFXSR
        if cr4 & Cr4.SMAP:
            hidden |= _SMAP
        long = bool(self.control("efer") & Efer.LMA)
        if long:
            hidden |= _LMA
        if long and cs.l:
            hidden |= _CS64 | _CS32 | _SS32
        else:
            hidden |= (_CS32 if cs.db else 0) | (_SS32 if ss.db else 0)
            bases = any(self.segment(name).base for name in ("ds", "es", "ss"))
            if bases or not protected or virtual_8086 or not cs.db:
                hidden |= _ADDSEG
        self._set_u32(_HFLAGS, hidden)

    def _u32(self, offset: int) -> int:
        value: int = struct.unpack_from("<I", self._view, offset)[0]
        return value

    def _u64(self, offset: int) -> int:
        value: int = struct.unpack_from("<Q", self._view, offset)[0]
        return value

    def _set_u32(self, offset: int, value: int) -> None:
        struct.pack_into("<I", self._view, offset, value)

    def _set_u64(self, offset: int, value: int) -> None:
        struct.pack_into("<Q", self._view, offset, value)


def _place(name: str) -> int:
    return _SEGMENTS + _SEGMENT_SIZE * (*SEGMENTS, *TABLES).index(name)


_TELLTALES: dict[str, tuple[Any, int]] = {
    # Unicorn's register, and where its value must be
    "RAX": (0x1122_3344_5566_7788, _GENERAL),
    "R15": (0x2233_4455_6677_8899, _GENERAL + 15 * 8),
    "RIP": (0x3344_5566_7788_99AA, _GENERAL + 16 * 8),
    "FS_BASE": (0x4455_6677_8899_AABB, _place("fs") + 8),
    "GDTR": ((0, 0x5566_7788_99AA_BBCC, 0xCCDD, 0), _place("gdt") + 8),
    "IDTR": ((0, 0x6677_8899_AABB_CCDD, 0xDDEE, 0), _place("idt") + 8),
    "TR": ((0x10, 0x7788_99AA_BBCC_DDEE, 0xEEFF, 0x8B00), _place("tr") + 8),
    "CR2": (0x0899_AABB_CCDD_EEFF, _CONTROL + 2 * 8),
    "DR0": (0x0123_4567_89AB_CDEF, _DEBUG),
    "DR3": (0x1234_5678_9ABC_DEF0, _DEBUG + 3 * 8),
}


def check_layout(uc: Uc) -> None:
    """See that registers are where this module takes them from.

    Args:
        uc: a processor that nobody needs any more.

    Raises:
        EmulatorUnavailable: they are elsewhere.
    """
    from unicorn import x86_const

    state = State(uc)
    right = state._u64(_EFER) == Efer.LME | Efer.LMA and state._u32(_IN_FLIGHT) == _NONE_IN_FLIGHT
    for name, (value, _) in _TELLTALES.items():
        uc.reg_write(getattr(x86_const, f"UC_X86_REG_{name}"), value)
    state.fetch()
    for value, offset in _TELLTALES.values():
        right &= state._u64(offset) == (value[1] if isinstance(value, tuple) else value)
    if not right:
        raise EmulatorUnavailable(
            "this release of Unicorn keeps registers elsewhere than pykvm expects: "
            "install unicorn 2.1"
        )
