"""The disagreements between KVM and emulation that are known: docs/differences.md tells why."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pykvm.x86 import Mode, Rflags
from tests.oracle.subject import Result

PROCESSOR, EMULATING = "a processor", "KVM's instruction emulator"
"""What runs a guest's instructions under KVM: what hosts with VMX or SVM have, and others."""

REAL, PROTECTED, LONG = Mode.REAL, Mode.PROTECTED, Mode.LONG
CF, PF, AF, ZF, SF, OF = Rflags.CF, Rflags.PF, Rflags.AF, Rflags.ZF, Rflags.SF, Rflags.OF


class Known(NamedTuple):
    """A program of which KVM and emulation make different things.

    Attributes:
        name: what it is about.
        mode: whose code it is.
        code: it; HLT follows.
        look: what is different of a result.
        kvm: that, under KVM.
        emulated: that, under emulation.
        by: what has to run the guest for `kvm`; "" for any host.
        registers: those that are not 0.
    """

    name: str
    mode: Mode
    code: str
    look: Callable[[Result], object]
    kvm: object
    emulated: object
    by: str = ""
    registers: dict[str, int] | None = None


def end(result: Result) -> str:
    """How it ended."""
    return result.end


def flags(result: Result) -> int:
    """RFLAGS at the end."""
    return result.flags & ~Rflags.FIXED


def accesses(result: Result) -> list[tuple[str, int, int]]:
    """What the device was asked: reads and writes, offsets and sizes."""
    return [("w" if a.is_write else "r", a.offset, a.size) for a in result.accesses]


_OVERFLOW = "01 d2"
"""ADD EDX, EDX, for 0x80000001: sets CF and OF."""

_EDX = {"rdx": 0x8000_0001}
_NON_CANONICAL = "00 00 00 00 00 80 00 00"

UNICORN = (
    Known(
        "the last turn of LOOPE",
        PROTECTED,
        f"b9 01 00 00 00  {_OVERFLOW}  e1 00",  # mov ecx, 1; add; loope
        flags,
        CF | OF,
        CF,
        registers=_EDX,
    ),
    Known(
        "the last turn of LOOPNE",
        PROTECTED,
        f"b9 01 00 00 00  {_OVERFLOW}  e0 00",
        flags,
        CF | OF,
        CF,
        registers=_EDX,
    ),
    Known(
        "CMPXCHG8B",
        PROTECTED,
        f"{_OVERFLOW}  0f c7 0d 00 20 00 00",  # add; cmpxchg8b [0x2000]
        flags,
        CF | OF,
        CF,
        registers=_EDX,
    ),
    Known(
        "LOCK NEG of memory: flags",
        PROTECTED,
        "f0 f7 1d 00 20 00 00",  # lock neg dword [0x2000], which is 0x03020100
        flags,
        CF | PF | SF,
        CF | PF,
    ),
    Known(
        "LOCK NEG of a device: accesses",
        PROTECTED,
        "64 f0 f7 1d 00 20 00 00",
        accesses,
        [("r", 0, 4), ("w", 0, 4)],
        [("r", 0, 4), ("r", 0, 4), ("w", 0, 4)],
    ),
    Known(
        "LOCK before what it is not for",
        PROTECTED,
        "f0 89 d0",  # lock mov eax, edx
        end,
        "vector 6",
        "halted",
    ),
    Known("INT1", PROTECTED, "f1", end, "vector 1", "vector 6", PROCESSOR),
    Known(
        "an unaligned write to a device",
        PROTECTED,
        "64 89 15 01 20 00 00",  # mov fs:[0x2001], edx
        accesses,
        [("w", 1, 4)],
        [("w", at, 1) for at in range(1, 5)],
    ),
    Known(
        "an unaligned read of a device",
        PROTECTED,
        "64 8b 15 01 20 00 00",  # mov edx, fs:[0x2001]
        accesses,
        [("r", 1, 4)],
        [("r", 0, 4), ("r", 4, 4)],
    ),
    Known(
        "reading an MSR that there is not",
        PROTECTED,
        "b9 99 99 00 00  0f 32",  # mov ecx, 0x9999; rdmsr
        end,
        "vector 13",
        "halted",
    ),
    Known(
        "writing an MSR that there is not",
        PROTECTED,
        "b9 99 99 00 00  0f 30",
        end,
        "vector 13",
        "halted",
    ),
    Known(
        "CR0.PG without CR0.PE",
        REAL,
        "0f 20 c0  66 0d 00 00 00 80  0f 22 c0",  # set bit 31 of CR0
        end,
        "vector 13",
        "crash",
    ),
    Known(
        "reserved bits of CR4",
        PROTECTED,
        "0f 20 e0  0d 00 00 00 80  0f 22 e0",  # set bit 31 of CR4
        end,
        "vector 13",
        "halted",
    ),
    Known(
        "an operand beyond a segment's limit",
        REAL,
        "a1 ff ff",  # mov ax, [0xffff]
        end,
        "vector 13",
        "halted",
    ),
    Known(
        "IP beyond 64 KiB in real mode",
        REAL,
        "e9 fa ef",  # jmp 0xfffd, where three bytes of 0 are: ADD [BX+SI], AL
        end,
        "vector 13",
        "crash",
    ),
    Known(
        "a stack's address that is not canonical",
        LONG,
        f"48 bd {_NON_CANONICAL}  8b 55 00",  # mov rbp, 1 << 47; mov edx, [rbp]
        end,
        "vector 12",
        "vector 13",
    ),
)
"""Where Unicorn is at fault."""

_AC = "68 00 00 04 00  9d  0f 0b"
"""PUSH 0x40000; POPF; UD2."""

HOST = (
    Known(
        "AAM: SF", PROTECTED, "b8 80 00 00 00  d4 81", flags, 0, SF, EMULATING
    ),  # mov eax, 0x80; aam 0x81
    Known("AAD: SF", PROTECTED, "b8 80 00 00 00  d5 0a", flags, 0, SF, EMULATING),
    Known("AC in a handler", PROTECTED, _AC, flags, 0, Rflags.AC, EMULATING),
    Known("DAA", PROTECTED, "27", end, "crash", "halted", EMULATING),
    Known("AAA", PROTECTED, "37", end, "crash", "halted", EMULATING),
    Known("AAS", PROTECTED, "3f", end, "crash", "halted", EMULATING),
    Known("INT3", PROTECTED, "cc", end, "crash", "vector 3", EMULATING),
    Known("INT1", PROTECTED, "f1", end, "crash", "vector 6", EMULATING),
    Known("BOUND", PROTECTED, "62 05 00 20 00 00", end, "crash", "vector 5", EMULATING),
    Known("LAR", PROTECTED, "0f 02 c2", end, "crash", "halted", EMULATING, {"rdx": 8}),
    Known("VERR", PROTECTED, "0f 00 e2", end, "crash", "halted", EMULATING, {"rdx": 8}),
    Known("ARPL", PROTECTED, "63 d0", end, "crash", "halted", EMULATING),
    Known("POPCNT", PROTECTED, "f3 0f b8 c2", end, "crash", "halted", EMULATING),
    Known("FLD1", PROTECTED, "d9 e8", end, "crash", "halted", EMULATING),
)
"""Where a host's KVM is at fault."""
