"""What instructions do to flags, as far as an oracle must know: which they read, which they leave
undefined, and which are defined for certain behind them.

The "Flags Affected" sections of SDM vol. 2 under each instruction's name.
"""

from __future__ import annotations

from typing import NamedTuple

from pykvm.x86 import Rflags

CF, PF, AF, ZF, SF, OF = Rflags.CF, Rflags.PF, Rflags.AF, Rflags.ZF, Rflags.SF, Rflags.OF
ALL = CF | PF | AF | ZF | SF | OF


class Effect(NamedTuple):
    """Of one instruction.

    Attributes:
        reads: flags that its result depends on.
        undefines: flags that may have any value behind it.
        defines: flags that have one value behind it, whatever they had before.
    """

    reads: int = 0
    undefines: int = 0
    defines: int = 0

    def behind(self, undefined: int) -> int:
        """The flags that are undefined behind it, if `undefined` are before."""
        return undefined & ~self.defines | self.undefines


NOTHING = Effect()
ARITHMETIC = Effect(defines=ALL)

UNDEFINED = {
    "and": AF,
    "or": AF,
    "xor": AF,
    "test": AF,
    "mul": SF | ZF | AF | PF,
    "imul": SF | ZF | AF | PF,
    "div": ALL,
    "idiv": ALL,
    "daa": OF,
    "das": OF,
    "aaa": OF | SF | ZF | PF,
    "aas": OF | SF | ZF | PF,
    "aam": OF | AF | CF,
    "aad": OF | AF | CF,
    "bt": OF | SF | AF | PF,
    "bts": OF | SF | AF | PF,
    "btr": OF | SF | AF | PF,
    "btc": OF | SF | AF | PF,
    "bsf": CF | OF | SF | AF | PF,
    "bsr": CF | OF | SF | AF | PF,
}
"""By instruction, where they do not depend on operands (SDM vol. 2, "Flags Affected")."""

_UNTOUCHED = {"bt": ZF, "bts": ZF, "btr": ZF, "btc": ZF}
_READ = {"daa": CF | AF, "das": CF | AF, "aaa": AF, "aas": AF}


def effect_of(name: str) -> Effect:
    """Of an instruction in `UNDEFINED`."""
    undefined = UNDEFINED[name]
    defines = ALL & ~undefined & ~_UNTOUCHED.get(name, 0)
    return Effect(_READ.get(name, 0), undefined, defines)


def shift_effect(name: str, bits: int, count: int | None) -> Effect:
    """Of a shift or rotation.

    Args:
        name: "rol", "ror", "rcl", "rcr", "shl", "shr", "sar", "shld" or "shrd".
        bits: the operand's size.
        count: by how much; None where CL says.
    """
    reads = CF if name in ("rcl", "rcr") else 0
    touched = CF | OF if name[0] == "r" else ALL
    undefined = 0 if name[0] == "r" else AF
    masked = None if count is None else count & (63 if bits == 64 else 31)
    if masked == 0:
        return Effect(reads)
    if masked != 1:
        undefined |= OF
    if name in ("shl", "shr") and (bits < 32 if masked is None else masked >= bits):
        undefined |= CF
    # by CL it may be 0 bits, which leaves all flags as they are
    return Effect(reads, undefined, 0 if masked is None else touched & ~undefined)


_CONDITIONS = (OF, CF, ZF, CF | ZF, SF, PF, SF | OF, ZF | SF | OF)


def condition_effect(condition: int) -> Effect:
    """Of what depends on condition code `condition`, 0 to 15 (SDM vol. 1, appendix B)."""
    return Effect(reads=_CONDITIONS[condition >> 1])
