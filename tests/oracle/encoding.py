"""Instructions as bytes, in the three modes, with operands that cannot go astray.

A program's memory operands are in a window of RAM, by absolute addresses or from RBX, which no
program changes; behind an FS prefix the same addresses are a device's.
"""

from __future__ import annotations

from typing import NamedTuple

from pykvm.x86 import Mode
from tests.oracle.effects import NOTHING, Effect

CODE, DATA, STACK, STACK_TOP, END = 0x1000, 0x2000, 0x3000, 0x3800, 0x4000
"""Where a program's parts are in RAM, all below `END`."""

DEVICE_BASE = 0x20000
"""FS.base: the device is there at the addresses where the data are in RAM."""

WINDOW = 0x100
"""How many bytes of data, and of the device, there are."""

RBX_OFFSET = 0x80
"""Where in the window RBX points to."""

PORTS, LOW_PORTS, PORT_COUNT = 0x200, 0xE0, 8
"""The device's ports: those that DX names, and those that an immediate can name."""

GENERAL = (
    *("rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
)
"""The general registers as instructions number them."""

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)

COUNTER_IS_SAFE, COUNTER_IS_CHANGED = False, True


class Place(NamedTuple):
    """A memory operand.

    Attributes:
        offset: where in the window.
        of_device: in the device's, not in RAM's.
        from_rbx: addressed by RBX and a displacement.
        other_size: with an address of another size than the mode's own.
    """

    offset: int
    of_device: bool = False
    from_rbx: bool = False
    other_size: bool = False


Operand = int | Place
"""A general register by its number, or memory."""


class Instruction(NamedTuple):
    """One instruction, or a few that belong together.

    Attributes:
        code: their bytes.
        effect: on the flags, of all of them.
        changes_rcx: whether a loop can't have it in its body.
    """

    code: bytes
    effect: Effect = NOTHING
    changes_rcx: bool = COUNTER_IS_SAFE


def number(value: int, size: int) -> bytes:
    """The low `size` bytes of a number, as an immediate or a displacement."""
    return (value & (1 << 8 * size) - 1).to_bytes(size, "little")


def immediate(value: int, size: int) -> bytes:
    """An operand-sized immediate: 64-bit operands have one of 32 bits."""
    return number(value, min(size, 4))


def of_size(opcode: int, size: int) -> bytes:
    """The opcode for bytes, or, one higher, the one for what is wider."""
    return bytes([opcode | (size > 1)])


def operand_prefix(mode: Mode, size: int) -> bytes:
    """What an operand of 2 or 4 bytes needs in a mode whose own size is another."""
    own = 2 if mode is Mode.REAL else 4
    return b"\x66" if size in (2, 4) and size != own else b""


def encode(
    mode: Mode,
    opcode: bytes,
    size: int,
    reg: int,
    rm: Operand,
    *,
    tail: bytes = b"",
    lock: bool = False,
    byte_registers: bool | None = None,
) -> bytes:
    """An instruction with a ModR/M byte (SDM vol. 2A, 2.1).

    Args:
        mode: whose code it is.
        opcode: without prefixes.
        size: of its operands, 1, 2, 4 or 8 bytes.
        reg: the register operand, or the opcode's extension.
        rm: the other operand.
        tail: an immediate.
        lock: put LOCK before it.
        byte_registers: whether `rm` has 8 bits; by default, if `size` is 1.
    """
    prefixes = b"\xf0" if lock else b""
    if isinstance(rm, Place):
        prefixes += (b"\x64" if rm.of_device else b"") + (b"\x67" if rm.other_size else b"")
    prefixes += operand_prefix(mode, size)
    low = rm if isinstance(rm, int) else 0
    rex = (size == 8) << 3 | reg >> 3 << 2 | low >> 3
    if rex:
        prefixes += bytes([0x40 | rex])
        if (size == 1 if byte_registers is None else byte_registers) and rm == RSP:
            rm = RBP  # with REX, 4 is not AH but SPL
        if size == 1 and reg == RSP:
            reg = RBP
    return prefixes + opcode + _modrm(mode, reg & 7, rm) + tail


def _modrm(mode: Mode, reg: int, rm: Operand) -> bytes:
    if isinstance(rm, int):
        return bytes([0xC0 | reg << 3 | rm & 7])
    is_short = mode is not Mode.LONG and (mode is Mode.REAL) != rm.other_size
    if rm.from_rbx:
        return bytes([0x40 | reg << 3 | (7 if is_short else 3)]) + number(rm.offset - RBX_OFFSET, 1)
    address = DATA + rm.offset
    if is_short:
        return bytes([reg << 3 | 6]) + number(address, 2)
    if mode is Mode.LONG:
        return bytes([reg << 3 | 4, 0x25]) + number(address, 4)
    return bytes([reg << 3 | 5]) + number(address, 4)


def load(mode: Mode, register: int, value: int, size: int = 4) -> bytes:
    """MOV of an immediate to one of the first eight registers."""
    return operand_prefix(mode, size) + bytes([0xB8 | register]) + number(value, size)


def compare(mode: Mode) -> bytes:
    """CMP EDX, EAX: defines all arithmetic flags."""
    return encode(mode, b"\x39", 4, RAX, RDX)
