"""Instructions that move: registers, memory, the stack, strings, ports."""

from __future__ import annotations

from hypothesis import strategies as st

from pykvm.x86 import Mode, Rflags
from tests.oracle.effects import (
    AF,
    ALL,
    ARITHMETIC,
    CF,
    NOTHING,
    PF,
    SF,
    ZF,
    Effect,
    condition_effect,
)
from tests.oracle.encoding import (
    COUNTER_IS_CHANGED,
    DATA,
    DEVICE_BASE,
    LOW_PORTS,
    PORT_COUNT,
    PORTS,
    RCX,
    RDI,
    RDX,
    RSI,
    WINDOW,
    Instruction,
    encode,
    immediate,
    load,
    number,
    of_size,
    operand_prefix,
)
from tests.oracle.operands import changed, places, read, sizes, sources, targets, values

_IN_AH = SF | ZF | AF | PF | CF
_POPPABLE = ALL | Rflags.DF | Rflags.AC | Rflags.ID
"""RFLAGS that POPF may set here."""

_MOST_ELEMENTS = 6


@st.composite
def move(draw: st.DrawFn, mode: Mode) -> Instruction:
    """MOV."""
    size = draw(sizes(mode))
    form = draw(st.sampled_from(("rm, r", "r, rm", "rm, imm", "r, imm")))
    if form == "rm, r":
        rm, reg = draw(changed(mode, size)), draw(sources(mode))
        return Instruction(encode(mode, of_size(0x88, size), size, reg, rm))
    if form == "r, rm":
        to, rm = draw(targets(mode, size)), draw(read(mode, size))
        return Instruction(encode(mode, of_size(0x8A, size), size, to, rm))
    value = draw(values)
    if form == "r, imm" and size > 1:
        to = draw(targets(mode, size))
        rex = 0x40 | (size == 8) << 3 | to >> 3
        prefix = operand_prefix(mode, size) + (bytes([rex]) if rex > 0x40 else b"")
        return Instruction(prefix + bytes([0xB8 | to & 7]) + number(value, size))
    rm = draw(changed(mode, size))
    return Instruction(encode(mode, of_size(0xC6, size), size, 0, rm, tail=immediate(value, size)))


@st.composite
def extend(draw: st.DrawFn, mode: Mode) -> Instruction:
    """MOVZX, MOVSX and MOVSXD."""
    opcode, source = draw(st.sampled_from(((0xB6, 1), (0xBE, 1), (0xB7, 2), (0xBF, 2), (0x63, 4))))
    if opcode == 0x63 and mode is not Mode.LONG:
        opcode, source = 0xBE, 1
    size = 8 if opcode == 0x63 else draw(sizes(mode, 2 * source))
    to, rm = draw(targets(mode, size)), draw(read(mode, source))
    code = bytes([opcode]) if opcode == 0x63 else bytes([0x0F, opcode])
    return Instruction(encode(mode, code, size, to, rm, byte_registers=source == 1))


@st.composite
def address(draw: st.DrawFn, mode: Mode) -> Instruction:
    """LEA with base, scaled index and displacement."""
    size, to = draw(sizes(mode, 2)), draw(targets(mode, 4))
    displacement = draw(values)
    if mode is Mode.REAL:
        modrm = bytes([0x80 | to << 3 | draw(st.integers(0, 7))]) + number(displacement, 2)
        return Instruction(operand_prefix(mode, size) + b"\x8d" + modrm)
    base, scaled = draw(sources(mode)), draw(sources(mode))
    rex = 0x40 | (size == 8) << 3 | to >> 3 << 2 | scaled >> 3 << 1 | base >> 3
    sib = draw(st.integers(0, 3)) << 6 | (scaled & 7) << 3 | base & 7
    prefix = operand_prefix(mode, size) + (bytes([rex]) if rex > 0x40 else b"")
    modrm = bytes([0x84 | (to & 7) << 3, sib]) + number(displacement, 4)
    return Instruction(prefix + b"\x8d" + modrm)


@st.composite
def conditional(draw: st.DrawFn, mode: Mode) -> Instruction:
    """SETcc and CMOVcc."""
    condition = draw(st.integers(0, 15))
    effect = condition_effect(condition)
    if draw(st.booleans()):
        code = encode(mode, bytes([0x0F, 0x90 | condition]), 1, 0, draw(changed(mode, 1)))
        return Instruction(code, effect)
    size = draw(sizes(mode, 2))
    to, rm = draw(targets(mode, size)), draw(read(mode, size))
    return Instruction(encode(mode, bytes([0x0F, 0x40 | condition]), size, to, rm), effect)


@st.composite
def accumulator(draw: st.DrawFn, mode: Mode) -> Instruction:
    """CBW and CWD in all their sizes, BSWAP, XLAT."""
    size = draw(sizes(mode, 2))
    rex = b"\x48" if size == 8 else b""
    name = draw(st.sampled_from(("cbw", "cwd", "bswap", "xlat")))
    if name == "xlat":
        return Instruction(b"\xd7")
    if name == "bswap":
        wide = max(size, 4)  # of 16 bits, the result would be undefined
        rex = b"\x48" if wide == 8 else b""
        register = draw(st.sampled_from((0, 2, 5, 6, 7)))
        return Instruction(operand_prefix(mode, wide) + rex + bytes([0x0F, 0xC8 | register]))
    return Instruction(operand_prefix(mode, size) + rex + (b"\x98" if name == "cbw" else b"\x99"))


# ---- the stack


def _stack_prefix(mode: Mode, size: int) -> bytes:
    return b"" if size == 8 else operand_prefix(mode, size)


def _stack_sizes(mode: Mode) -> st.SearchStrategy[int]:
    return st.sampled_from((8, 2) if mode is Mode.LONG else (4, 2))


@st.composite
def push(draw: st.DrawFn, mode: Mode) -> Instruction:
    """PUSH of a register, an immediate and memory."""
    size = draw(_stack_sizes(mode))
    prefix = _stack_prefix(mode, size)
    form = draw(st.sampled_from(("r", "imm", "imm8", "m")))
    if form == "r":
        return Instruction(prefix + bytes([0x50 | draw(st.integers(0, 7))]))
    if form == "imm":
        return Instruction(prefix + b"\x68" + immediate(draw(values), size))
    if form == "imm8":
        return Instruction(prefix + b"\x6a" + number(draw(values), 1))
    return Instruction(encode(mode, b"\xff", size, 6, draw(places(size))))


@st.composite
def pop(draw: st.DrawFn, mode: Mode) -> Instruction:
    """POP to a register and to memory."""
    size = draw(_stack_sizes(mode))
    if draw(st.booleans()):
        register = draw(st.sampled_from((0, 2, 5, 6, 7)))
        return Instruction(_stack_prefix(mode, size) + bytes([0x58 | register]))
    return Instruction(encode(mode, b"\x8f", size, 0, draw(places(size))))


@st.composite
def stacked_flags(draw: st.DrawFn, mode: Mode) -> Instruction:
    """PUSHF, and POPF of what may be; LAHF and SAHF."""
    name = draw(st.sampled_from(("pushf", "popf", "lahf", "sahf")))
    if name == "lahf":
        return Instruction(b"\x9f", Effect(reads=_IN_AH))
    if name == "sahf":
        return Instruction(b"\x9e", Effect(defines=_IN_AH))
    size = draw(_stack_sizes(mode))
    prefix = _stack_prefix(mode, size)
    if name == "pushf":
        return Instruction(prefix + b"\x9c", Effect(reads=ALL))
    flags = immediate(draw(st.integers(0, 0xFFFF_FFFF)) & _POPPABLE, size)
    return Instruction(prefix + b"\x68" + flags + prefix + b"\x9d", ARITHMETIC)


@st.composite
def frame(draw: st.DrawFn, mode: Mode) -> Instruction:
    """ENTER and LEAVE, CALL and RET, PUSHA and POPA: all leave the stack as it was."""
    room = number(draw(st.integers(0, 64)), 2)
    choices = [
        b"\xc8" + room + b"\x00" + b"\xc9",  # enter room, 0; leave
        # call to the ret; jmp behind it; ret
        b"\xe8" + number(2, 2 if mode is Mode.REAL else 4) + b"\xeb\x01" + b"\xc3",
    ]
    if mode is not Mode.LONG:
        choices.append(b"\x60\x61")
        choices.append(operand_prefix(mode, 2) + b"\x60" + operand_prefix(mode, 2) + b"\x61")
    return Instruction(draw(st.sampled_from(choices)))


# ---- strings and ports

_STRINGS = {"movs": 0xA4, "cmps": 0xA6, "stos": 0xAA, "lods": 0xAC, "scas": 0xAE}
_IN_DATA = WINDOW // 2
"""Where in the window strings begin: there is room on both sides."""


def _string_setup(draw: st.DrawFn, mode: Mode, reads: bool, writes: bool) -> tuple[bytes, bytes]:
    """Code that sets RSI, RDI and DF; and the prefix of the segment that RSI is in.

    ES:RDI is the device's by its base in real mode and by the address in the others.
    """
    code = draw(st.sampled_from((b"\xfc", b"\xfd")))  # cld, std
    code += load(mode, RSI, DATA + _IN_DATA)
    to_device = writes and draw(st.booleans())
    base = DEVICE_BASE if to_device and mode is not Mode.REAL else 0
    code += load(mode, RDI, base + DATA + _IN_DATA)
    if mode is Mode.REAL:
        code += b"\x0f\xa0\x07" if to_device else b"\x1e\x07"  # push fs, or ds; pop es
    return code, b"\x64" if reads and draw(st.booleans()) else b""


@st.composite
def string(draw: st.DrawFn, mode: Mode) -> Instruction:
    """MOVS, CMPS, STOS, LODS and SCAS, in both directions, with and without REP."""
    name, size = draw(st.sampled_from(sorted(_STRINGS))), draw(sizes(mode))
    reads, compares = name in ("movs", "lods", "cmps"), name in ("cmps", "scas")
    code, prefix = _string_setup(draw, mode, reads, name != "lods")
    effect = ARITHMETIC if compares else NOTHING
    rep = draw(st.sampled_from((b"", b"\xf3", b"\xf2" if compares else b"\xf3")))
    if rep:
        turns = draw(st.integers(0, _MOST_ELEMENTS))
        code += load(mode, RCX, turns)
        effect = effect if turns else NOTHING
    prefix += rep + operand_prefix(mode, size) + (b"\x48" if size == 8 else b"")
    code += prefix + of_size(_STRINGS[name], size)
    return Instruction(code, effect, COUNTER_IS_CHANGED if rep else False)


@st.composite
def port_string(draw: st.DrawFn, mode: Mode) -> Instruction:
    """INS and OUTS, in both directions, with and without REP, from and to RAM."""
    opcode, size = draw(st.sampled_from((0x6C, 0x6E))), draw(sizes(mode))
    size = min(size, 4)
    code = draw(st.sampled_from((b"\xfc", b"\xfd")))
    code += load(mode, RSI, DATA + _IN_DATA) + load(mode, RDI, DATA + _IN_DATA)
    if mode is Mode.REAL:
        code += b"\x1e\x07"  # push ds; pop es
    code += load(mode, RDX, PORTS + draw(st.integers(0, PORT_COUNT - size)))
    rep = draw(st.sampled_from((b"", b"\xf3")))
    if rep:
        code += load(mode, RCX, draw(st.integers(0, _MOST_ELEMENTS)))
    code += rep + operand_prefix(mode, size) + of_size(opcode, size)
    return Instruction(code, NOTHING, COUNTER_IS_CHANGED if rep else False)


@st.composite
def port(draw: st.DrawFn, mode: Mode) -> Instruction:
    """IN and OUT, by an immediate and by DX."""
    opcode, size = draw(st.sampled_from((0xE4, 0xE6))), min(draw(sizes(mode)), 4)
    offset = draw(st.integers(0, PORT_COUNT - size))
    prefix = operand_prefix(mode, size)
    if draw(st.booleans()):
        return Instruction(prefix + of_size(opcode, size) + bytes([LOW_PORTS + offset]))
    code = load(mode, RDX, PORTS + offset)
    return Instruction(code + prefix + of_size(opcode | 8, size))


KINDS = (
    *(move, extend, address, conditional, accumulator, push, pop, stacked_flags, frame),
    *(string, port_string, port),
)
"""In all modes."""
