"""Instructions that reckon: each function makes a strategy for one kind of them."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from hypothesis import strategies as st

from pykvm.x86 import Mode
from tests.oracle.effects import ALL, ARITHMETIC, CF, SF, ZF, Effect, effect_of, shift_effect
from tests.oracle.encoding import (
    COUNTER_IS_CHANGED,
    RAX,
    RCX,
    RDX,
    Instruction,
    Place,
    encode,
    immediate,
    load,
    number,
    of_size,
    operand_prefix,
)
from tests.oracle.operands import changed, places, read, sizes, sources, targets, values

_BINARY = ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp")
_WITH_CARRY = Effect(reads=CF, defines=ALL)


def _binary_effect(name: str) -> Effect:
    if name in ("adc", "sbb"):
        return _WITH_CARRY
    return effect_of(name) if name in ("and", "or", "xor") else ARITHMETIC


@st.composite
def binary(draw: st.DrawFn, mode: Mode) -> Instruction:
    """ADD to CMP, of registers, memory and immediates, with LOCK where it may be."""
    which, size = draw(st.integers(0, 7)), draw(sizes(mode))
    name = _BINARY[which]
    form = draw(st.sampled_from(("rm, r", "r, rm", "rm, imm", "rm, imm8", "rax, imm")))
    effect = _binary_effect(name)
    if form == "r, rm":
        to, rm = draw(targets(mode, size)), draw(read(mode, size))
        return Instruction(encode(mode, of_size(which << 3 | 2, size), size, to, rm), effect)
    if form == "rax, imm":
        value = immediate(draw(values), size)
        rex = b"\x48" if size == 8 else b""
        code = operand_prefix(mode, size) + rex + of_size(which << 3 | 4, size) + value
        return Instruction(code, effect)
    rm = draw(changed(mode, size))
    lock = isinstance(rm, Place) and name != "cmp" and draw(st.booleans())
    if form == "rm, r":
        opcode, reg, tail = of_size(which << 3, size), draw(sources(mode)), b""
    elif form == "rm, imm":
        opcode, reg, tail = of_size(0x80, size), which, immediate(draw(values), size)
    else:
        opcode, reg = b"\x80" if size == 1 else b"\x83", which
        tail = number(draw(values), 1)
    return Instruction(encode(mode, opcode, size, reg, rm, tail=tail, lock=lock), effect)


@st.composite
def test(draw: st.DrawFn, mode: Mode) -> Instruction:
    """TEST."""
    size = draw(sizes(mode))
    rm = draw(read(mode, size))
    if draw(st.booleans()):
        code = encode(mode, of_size(0x84, size), size, draw(sources(mode)), rm)
    else:
        value = immediate(draw(values), size)
        code = encode(mode, of_size(0xF6, size), size, 0, rm, tail=value)
    return Instruction(code, effect_of("test"))


_UNARY = {
    "inc": (0xFE, 0, Effect(defines=ALL & ~CF)),
    "dec": (0xFE, 1, Effect(defines=ALL & ~CF)),
    "not": (0xF6, 2, Effect()),
    "neg": (0xF6, 3, ARITHMETIC),
}


@st.composite
def unary(draw: st.DrawFn, mode: Mode) -> Instruction:
    """INC, DEC, NOT and NEG; not LOCK NEG (docs/differences.md)."""
    name, size = draw(st.sampled_from(sorted(_UNARY))), draw(sizes(mode))
    opcode, extension, effect = _UNARY[name]
    rm = draw(changed(mode, size))
    lock = isinstance(rm, Place) and name != "neg" and draw(st.booleans())
    return Instruction(encode(mode, of_size(opcode, size), size, extension, rm, lock=lock), effect)


_SHIFTS = ("rol", "ror", "rcl", "rcr", "shl", "shr", None, "sar")


@st.composite
def shift(draw: st.DrawFn, mode: Mode) -> Instruction:
    """Shifts and rotations by 1, by an immediate or by CL."""
    name, size = draw(st.sampled_from([name for name in _SHIFTS if name])), draw(sizes(mode))
    extension = _SHIFTS.index(name)
    rm = draw(changed(mode, size))
    count = draw(st.one_of(st.none(), st.just(1), st.integers(0, 255)))
    effect = shift_effect(name, 8 * size, count)
    if count == 1:
        code = encode(mode, of_size(0xD0, size), size, extension, rm)
    elif count is None:
        code = encode(mode, of_size(0xD2, size), size, extension, rm)
    else:
        code = encode(mode, of_size(0xC0, size), size, extension, rm, tail=number(count, 1))
    return Instruction(code, effect)


@st.composite
def double_shift(draw: st.DrawFn, mode: Mode) -> Instruction:
    """SHLD and SHRD.  By more than the operand's size, the result would be undefined."""
    size = draw(sizes(mode, 2))
    opcode = draw(st.sampled_from((0xA4, 0xAC)))
    rm, reg = draw(changed(mode, size)), draw(sources(mode))
    bits = 8 * size
    if size > 2 and draw(st.booleans()):
        effect = shift_effect("shld", bits, None)
        return Instruction(encode(mode, bytes([0x0F, opcode | 1]), size, reg, rm), effect)
    count = draw(st.integers(0, bits - 1))
    code = encode(mode, bytes([0x0F, opcode]), size, reg, rm, tail=number(count, 1))
    return Instruction(code, shift_effect("shld", bits, count))


_PRODUCTS = {"mul": 4, "imul": 5, "div": 6, "idiv": 7}


@st.composite
def product(draw: st.DrawFn, mode: Mode) -> Instruction:
    """MUL, IMUL, DIV and IDIV of the accumulator: the divisions raise #DE now and then."""
    name, size = draw(st.sampled_from(sorted(_PRODUCTS))), draw(sizes(mode))
    rm = draw(read(mode, size))
    code = encode(mode, of_size(0xF6, size), size, _PRODUCTS[name], rm)
    if "div" in name and size > 1 and draw(st.booleans()):
        code = encode(mode, b"\x31", 4, RDX, RDX) + code  # XOR EDX, EDX: it often fits then
    return Instruction(code, effect_of(name))


@st.composite
def signed_product(draw: st.DrawFn, mode: Mode) -> Instruction:
    """IMUL with two and with three operands."""
    size = draw(sizes(mode, 2))
    to, rm = draw(targets(mode, size)), draw(read(mode, size))
    form = draw(st.sampled_from(("r, rm", "imm", "imm8")))
    if form == "r, rm":
        code = encode(mode, b"\x0f\xaf", size, to, rm)
    elif form == "imm":
        code = encode(mode, b"\x69", size, to, rm, tail=immediate(draw(values), size))
    else:
        code = encode(mode, b"\x6b", size, to, rm, tail=number(draw(values), 1))
    return Instruction(code, effect_of("imul"))


_ADJUSTMENTS = {"daa": 0x27, "das": 0x2F, "aaa": 0x37, "aas": 0x3F}
_BY_BASE = {"aam": 0xD4, "aad": 0xD5}


class Sample(NamedTuple):
    """An instruction that not all host KVMs do, or not right.

    Attributes:
        code: 32-bit code with it.
        flag: must be set behind it.
    """

    code: str
    flag: int


OPTIONAL = {
    "daa": Sample("b8 9a 00 00 00  27", CF),  # mov eax, 0x9a; daa
    "aaa": Sample("b8 0f 00 00 00  37", CF),  # mov eax, 0xf; aaa
    "aas": Sample("b8 0f 00 00 00  3f", CF),  # mov eax, 0xf; aas
    "aam": Sample("b8 80 00 00 00  d4 81", SF),  # mov eax, 0x80; aam 0x81
    "aad": Sample("b8 80 00 00 00  d5 0a", SF),  # mov eax, 0x80; aad
}
"""What KVM's own instruction emulator does not know, or whose flags it takes from all of AX, not
from AL: all that a host without VMX or SVM has."""


@st.composite
def decimal(draw: st.DrawFn, lacking: Collection[str]) -> Instruction:
    """What reckons with BCD numbers, outside of 64-bit code; AAM by 0 raises #DE.

    Args:
        draw: Hypothesis's.
        lacking: names in `OPTIONAL` that are not to be among them.
    """
    names = [name for name in (*_ADJUSTMENTS, *_BY_BASE) if name not in lacking]
    name = draw(st.sampled_from(names))
    if name in _ADJUSTMENTS:
        return Instruction(bytes([_ADJUSTMENTS[name]]), effect_of(name))
    base = draw(st.one_of(st.just(10), st.integers(0, 255)))
    return Instruction(bytes([_BY_BASE[name], base]), effect_of(name))


_BIT_TESTS = ("bt", "bts", "btr", "btc")


@st.composite
def bit_test(draw: st.DrawFn, mode: Mode) -> Instruction:
    """BT, BTS, BTR and BTC; of memory, the bit may be in another word than the operand."""
    which, size = draw(st.integers(0, 3)), draw(sizes(mode, 2))
    name = _BIT_TESTS[which]
    rm = draw(changed(mode, size))
    is_memory = isinstance(rm, Place)
    lock = is_memory and name != "bt" and draw(st.booleans())
    effect = effect_of(name)
    if draw(st.booleans()):
        tail = number(draw(values), 1)
        return Instruction(
            encode(mode, b"\x0f\xba", size, 4 + which, rm, tail=tail, lock=lock), effect
        )
    opcode = bytes([0x0F, 0xA3 | which << 3])
    if not is_memory:
        return Instruction(encode(mode, opcode, size, draw(sources(mode)), rm), effect)
    bit = draw(st.integers(-512, 511))
    code = load(mode, RAX, bit)
    if size == 8:
        code += b"\x48\x98"  # CDQE
    return Instruction(code + encode(mode, opcode, size, RAX, rm, lock=lock), effect)


@st.composite
def bit_scan(draw: st.DrawFn, mode: Mode) -> Instruction:
    """BSF and BSR; where there is no bit, what they leave undefined is overwritten."""
    name, size = draw(st.sampled_from(("bsf", "bsr"))), draw(sizes(mode, 2))
    to, rm = draw(targets(mode, size)), draw(read(mode, size))
    scan = encode(mode, b"\x0f\xbc" if name == "bsf" else b"\x0f\xbd", size, to, rm)
    known = encode(mode, b"\x0f\x44", max(size, 4) if mode is Mode.LONG else 4, to, RCX)  # CMOVZ
    return Instruction(scan + known, effect_of(name))


@st.composite
def exchange(draw: st.DrawFn, mode: Mode) -> Instruction:
    """XCHG, XADD and CMPXCHG."""
    name, size = draw(st.sampled_from(("xchg", "xadd", "cmpxchg"))), draw(sizes(mode))
    rm = draw(changed(mode, size))
    lock = isinstance(rm, Place) and draw(st.booleans())
    if name == "xchg":
        code = encode(mode, of_size(0x86, size), size, draw(targets(mode, size)), rm, lock=lock)
        return Instruction(code)
    reg = draw(targets(mode, size) if name == "xadd" else sources(mode))
    opcode = b"\x0f" + of_size(0xC0 if name == "xadd" else 0xB0, size)
    return Instruction(encode(mode, opcode, size, reg, rm, lock=lock), ARITHMETIC)


@st.composite
def exchange_8_bytes(draw: st.DrawFn, mode: Mode) -> Instruction:
    """CMPXCHG8B: half of the time it does find what it compares with."""
    rm = draw(places(8, device=False))
    lock = draw(st.booleans())
    code = b""
    if draw(st.booleans()):
        code = encode(mode, b"\x8b", 4, RAX, rm)
        code += encode(mode, b"\x8b", 4, RDX, rm._replace(offset=rm.offset + 4))
    without_prefix = 2 if mode is Mode.REAL else 4
    code += encode(mode, b"\x0f\xc7", without_prefix, 1, rm, lock=lock)
    # all others are left as they are, but lost under emulation (docs/differences.md)
    return Instruction(code, Effect(undefines=ALL & ~ZF, defines=ZF))


@st.composite
def carry(draw: st.DrawFn, mode: Mode) -> Instruction:
    """CLC, STC and CMC."""
    opcode, reads = draw(st.sampled_from(((0xF8, 0), (0xF9, 0), (0xF5, CF))))
    return Instruction(bytes([opcode]), Effect(reads=reads, defines=CF))


@st.composite
def count(draw: st.DrawFn, mode: Mode) -> Instruction:
    """MOV to ECX, from where shifts take their count."""
    return Instruction(load(mode, RCX, draw(st.integers(0, 70))), changes_rcx=COUNTER_IS_CHANGED)


KINDS = (
    *(binary, unary, shift, product, test, double_shift, signed_product, bit_test, bit_scan),
    *(exchange, exchange_8_bytes, carry, count),
)
"""In all modes."""
