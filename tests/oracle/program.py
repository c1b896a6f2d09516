"""Random small programs: data that Hypothesis shrinks, and the machine code they stand for."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from hypothesis import strategies as st

from pykvm.x86 import Mode, Rflags
from tests.oracle import arithmetic, movement
from tests.oracle.effects import ALL, ARITHMETIC, ZF, condition_effect
from tests.oracle.encoding import (
    CODE,
    DATA,
    GENERAL,
    RBX,
    RBX_OFFSET,
    RCX,
    RSP,
    STACK_TOP,
    WINDOW,
    Instruction,
    Place,
    compare,
    encode,
    load,
    number,
)
from tests.oracle.operands import values

HLT, DEBUG_EXIT, UNDEFINED = b"\xf4", b"\xe6\xf4", b"\x0f\x0b"
"""How programs end: by HLT, by OUT to the port that ends a machine's run, by UD2."""

PAGE_FAULT = b"\x48\xa1" + (1 << 39).to_bytes(8, "little")
"""MOV RAX, [0x8000000000], where no page is: how they end in long mode, too."""


def _ends(mode: Mode) -> tuple[bytes, ...]:
    divide_by_zero = encode(mode, b"\xf7", 4, 6, Place(WINDOW))  # DIV of what is behind the data
    common = HLT, DEBUG_EXIT, UNDEFINED, divide_by_zero
    return (*common, PAGE_FAULT) if mode is Mode.LONG else common


_RCX_IS_ZERO = 16
"""Behind the sixteen condition codes: JRCXZ."""

_LOOP, _LOOPE, _LOOPNE = 0xE2, 0xE1, 0xE0


class Skip(NamedTuple):
    """Jump over instructions on a condition.

    Attributes:
        condition: 0 to 15 as in Jcc's opcode, or 16 for JRCXZ.
        body: what is jumped over.
    """

    condition: int
    body: tuple[Instruction, ...]


class Loop(NamedTuple):
    """Do instructions again.

    Attributes:
        opcode: LOOP's, LOOPE's or LOOPNE's.
        turns: how often at the most, at least 1.
        body: what is done, without change to RCX.
    """

    opcode: int
    turns: int
    body: tuple[Instruction, ...]


Step = Instruction | Skip | Loop


class Program(NamedTuple):
    """A program and the state that it begins in.

    Attributes:
        mode: whose code it is.
        registers: RAX to R15, of which RSP and RBX are set by whoever runs it.
        flags: RFLAGS.
        data: the window of RAM.
        steps: what it does.
        end: the instruction at its end.
    """

    mode: Mode
    registers: tuple[int, ...]
    flags: int
    data: bytes
    steps: tuple[Step, ...]
    end: bytes

    def __repr__(self) -> str:
        registers = ", ".join(f"{value:#x}" for value in self.registers)
        code = assemble(self).code.hex(" ")
        return (
            f"<{self.mode.value}: {code}; registers {registers}; flags {self.flags:#x}; "
            f"data {self.data.hex()}>"
        )


class Assembled(NamedTuple):
    """Machine code.

    Attributes:
        code: it.
        end: where its last instruction is, the one that ends it.
        undefined: flags that are undefined there.
        ever_undefined: flags that are so somewhere.
    """

    code: bytes
    end: int
    undefined: int
    ever_undefined: int


class _Assembler:
    def __init__(self, mode: Mode) -> None:
        self.mode = mode
        self.code = b""
        self.undefined = self.ever_undefined = 0

    def read(self, flags: int) -> None:
        """Let nothing depend on what is undefined: define it before it is read."""
        if flags & self.undefined:
            self.code += compare(self.mode)
            self.undefined = 0

    def instruction(self, it: Instruction) -> None:
        self.read(it.effect.reads)
        self.code += it.code
        self.undefined = it.effect.behind(self.undefined)
        self.ever_undefined |= self.undefined

    def body(self, body: tuple[Instruction, ...], undefined: int) -> bytes:
        """The code of `body`, apart, where `undefined` flags are before it."""
        before, self.code, self.undefined = self.code, b"", undefined
        for it in body:
            self.instruction(it)
        code, self.code = self.code, before
        return code

    def skip(self, step: Skip) -> None:
        if step.condition != _RCX_IS_ZERO:
            self.read(condition_effect(step.condition).reads)
        before = self.undefined
        code = self.body(step.body, before)
        self.undefined |= before
        if step.condition == _RCX_IS_ZERO:
            # the body may be too long for it: jump over a jump
            self.code += b"\xe3\x02\xeb" + number(self._jump_size, 1)
            self.code += self._jump(b"\xe9", len(code))
        elif len(code) < 0x80:
            self.code += bytes([0x70 | step.condition, len(code)])
        else:
            self.code += self._jump(bytes([0x0F, 0x80 | step.condition]), len(code))
        self.code += code

    @property
    def _jump_size(self) -> int:
        return 3 if self.mode is Mode.REAL else 5

    def _jump(self, opcode: bytes, distance: int) -> bytes:
        return opcode + number(distance, self._jump_size - 1)

    def loop(self, step: Loop) -> None:
        self.code += load(self.mode, RCX, step.turns)
        before, code = self.undefined, b""
        while True:
            code = self.body(step.body, before)
            if step.opcode != _LOOP and self.undefined & ZF:
                code += compare(self.mode)
                self.undefined = 0
            if not self.undefined & ~before:
                break
            before |= self.undefined  # what one turn leaves undefined, the next one finds so
        self.code += code + bytes([step.opcode]) + number(-len(code) - 2, 1)
        if step.opcode != _LOOP:
            self.undefined = ALL  # under emulation only (docs/differences.md)


def assemble(program: Program) -> Assembled:
    """A program's machine code."""
    assembler = _Assembler(program.mode)
    for step in program.steps:
        if isinstance(step, Skip):
            assembler.skip(step)
        elif isinstance(step, Loop):
            assembler.loop(step)
        else:
            assembler.instruction(step)
    code = assembler.code
    undefined, ever = assembler.undefined, assembler.ever_undefined
    return Assembled(code + program.end, CODE + len(code), undefined, ever)


def _instructions(mode: Mode, lacking: Collection[str]) -> st.SearchStrategy[Instruction]:
    kinds = [kind(mode) for kind in (*arithmetic.KINDS, *movement.KINDS)]
    if mode is not Mode.LONG:
        kinds.append(arithmetic.decimal(lacking))
    return st.one_of(kinds)


_MOST_IN_LOOP = 4
"""So many that LOOP, which jumps 128 bytes, reaches the first."""


def _steps(one: st.SearchStrategy[Instruction]) -> st.SearchStrategy[Step]:
    repeatable = one.filter(lambda it: not it.changes_rcx)
    skip = st.builds(
        Skip, st.integers(0, _RCX_IS_ZERO), st.lists(one, min_size=1, max_size=4).map(tuple)
    )
    loop = st.builds(
        Loop,
        st.sampled_from((_LOOP, _LOOPE, _LOOPNE)),
        st.integers(1, 4),
        st.lists(repeatable, min_size=1, max_size=_MOST_IN_LOOP).map(tuple),
    )
    return st.one_of(one, one, one, one, skip, loop)


def _with_pointers(registers: list[int]) -> list[int]:
    registers[RBX], registers[RSP] = DATA + RBX_OFFSET, STACK_TOP
    return registers


def _programs(mode: Mode, lacking: Collection[str]) -> st.SearchStrategy[Program]:
    count = 16 if mode is Mode.LONG else 8
    top = (1 << 8 * (8 if mode is Mode.LONG else 4)) - 1
    registers = st.lists(values, min_size=count, max_size=count).map(
        lambda drawn: tuple(value & top for value in _with_pointers(drawn))
    )
    return st.builds(
        Program,
        st.just(mode),
        registers,
        st.integers(0, 0xFFFF).map(lambda flags: flags & (ALL | Rflags.DF) | Rflags.FIXED),
        st.binary(min_size=16, max_size=16).map(lambda part: part * (WINDOW // 16)),
        st.lists(_steps(_instructions(mode, lacking)), min_size=1, max_size=12).map(tuple),
        st.sampled_from(_ends(mode)),
    )


def programs(lacking: Collection[str]) -> st.SearchStrategy[Program]:
    """Programs in all modes.

    Args:
        lacking: names in `arithmetic.OPTIONAL` of what the host does not run.
    """
    return st.one_of([_programs(mode, lacking) for mode in Mode])


def of_bytes(mode: Mode, code: bytes, **state: int) -> Program:
    """A program of given instructions, which end with HLT.

    Args:
        mode: whose code it is.
        code: the instructions.
        state: "flags", and registers by their names; the others are 0.
    """
    count = 16 if mode is Mode.LONG else 8
    registers = _with_pointers([state.get(name, 0) for name in GENERAL[:count]])
    flags = state.get("flags", 0) | Rflags.FIXED
    step = Instruction(code, ARITHMETIC)
    return Program(mode, tuple(registers), flags, bytes(range(WINDOW)), (step,), HLT)
