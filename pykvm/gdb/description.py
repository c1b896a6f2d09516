"""Target descriptions: which registers a debugger may ask for, and in which order they come.

There is one for each mode, as a debugger reads it when it connects and keeps it:

    i8086        16-bit code; the registers are those of i386
    i386         32-bit code
    i386:x86-64  a processor in long mode

Source: GDB manual, appendix "Target Descriptions", for x86 "i386 Features".
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from pykvm.gdb.registers import (
    Register,
    State,
    control,
    fpu_field,
    general,
    program_counter,
    segment_base,
    segments,
    vector,
    x87,
)
from pykvm.x86 import Bits, Cr0, Cr4, Efer, Rflags

_ORDER_32 = ("ax", "cx", "dx", "bx", "sp", "bp", "si", "di")
_ORDER_64 = ("ax", "bx", "cx", "dx", "si", "di", "bp", "sp")
_POINTERS = ("sp", "bp")


class Feature(NamedTuple):
    """A group of registers that debuggers know by one name.

    Attributes:
        name: that.
        types: definitions of the types that its registers need, in XML.
        registers: in order.
    """

    name: str
    types: str
    registers: tuple[Register, ...]


class Description(NamedTuple):
    """What a debugger is told of a processor.

    Attributes:
        architecture: its name, as debuggers know it.
        address_bits: the size of its addresses there.
        features: the registers.
    """

    architecture: str
    address_bits: int
    features: tuple[Feature, ...]

    @property
    def registers(self) -> tuple[Register, ...]:
        """All registers; a register's place is its number in packets."""
        return tuple(register for feature in self.features for register in feature.registers)

    @property
    def xml(self) -> str:
        """The description as clients read it."""
        lines = [
            '<?xml version="1.0"?>',
            '<!DOCTYPE target SYSTEM "gdb-target.dtd">',
            '<target version="1.0">',
            f"<architecture>{self.architecture}</architecture>",
            "<osabi>none</osabi>",
        ]
        for feature in self.features:
            lines += [f'<feature name="{feature.name}">', *feature.types.splitlines()]
            lines += [_register_xml(register) for register in feature.registers]
            lines.append("</feature>")
        return "\n".join((*lines, "</target>", ""))


def _register_xml(register: Register) -> str:
    type = register.type or f"int{register.bits}"
    return f'<reg name="{register.name}" bitsize="{register.bits}" type="{type}"/>'


def _flags(name: str, size: int, bits: type[Bits]) -> str:
    """A type whose bits debuggers show by their names."""
    fields = [
        f'<field name="{field}" start="{bit.bit_length() - 1}" end="{bit.bit_length() - 1}"/>'
        for field, bit in vars(bits).items()
        if field.isupper() and field != "FIXED"
    ]
    return "\n".join((f'<flags id="{name}" size="{size}">', *fields, "</flags>"))


_VECTOR_TYPES = """\
<vector id="v4f" type="ieee_single" count="4"/>
<vector id="v2d" type="ieee_double" count="2"/>
<vector id="v16i8" type="int8" count="16"/>
<vector id="v8i16" type="int16" count="8"/>
<vector id="v4i32" type="int32" count="4"/>
<vector id="v2i64" type="int64" count="2"/>
<union id="vec128">
<field name="v4_float" type="v4f"/>
<field name="v2_double" type="v2d"/>
<field name="v16_int8" type="v16i8"/>
<field name="v8_int16" type="v8i16"/>
<field name="v4_int32" type="v4i32"/>
<field name="v2_int64" type="v2i64"/>
<field name="uint128" type="uint128"/>
</union>"""


def _general_registers(bits: int) -> list[Register]:
    letter = "r" if bits == 64 else "e"
    registers = [
        general(f"{letter}{name}", f"r{name}", bits, "data_ptr" if name in _POINTERS else "")
        for name in (_ORDER_64 if bits == 64 else _ORDER_32)
    ]
    if bits == 64:
        registers += [general(f"r{i}", f"r{i}", 64) for i in range(8, 16)]
    return registers


def _make(architecture: str, bits: int) -> Description:
    long = bits == 64
    core = (
        *_general_registers(bits),
        program_counter("rip" if long else "eip", bits),
        general("eflags", "rflags", 32, "i386_eflags"),
        *segments(),
        *x87(),
    )
    bases = (segment_base("fs_base", "fs"), segment_base("gs_base", "gs"))
    controls = (
        control("cr0", bits, "cr0_flags"),
        control("cr2", bits),
        control("cr3", bits),
        control("cr4", bits, "cr4_flags"),
        *((control("cr8", bits),) if long else ()),
        control("efer", bits, "efer_flags"),
    )
    types = (
        _flags("cr0_flags", bits // 8, Cr0),
        _flags("cr4_flags", bits // 8, Cr4),
        _flags("efer_flags", bits // 8, Efer),
    )
    sse = (*(vector(i) for i in range(16 if long else 8)), fpu_field("mxcsr", "mxcsr"))
    return Description(
        architecture,
        bits,
        (
            Feature("org.gnu.gdb.i386.core", _flags("i386_eflags", 4, Rflags), core),
            Feature("org.gnu.gdb.i386.sse", _VECTOR_TYPES, sse),
            *((Feature("org.gnu.gdb.i386.segments", "", bases),) if long else ()),
            Feature("org.pykvm.control", "\n".join(types), (() if long else bases) + controls),
        ),
    )


@cache
def description(architecture: str) -> Description:
    """The one of that name.

    Args:
        architecture: "i8086", "i386" or "i386:x86-64".
    """
    return _make(architecture, ARCHITECTURES[architecture])


ARCHITECTURES = {"i8086": 32, "i386": 32, "i386:x86-64": 64}
"""Their names, and how wide their registers are."""


def choose(state: State) -> Description:
    """The one for a processor as it is now."""
    if state.sregs.efer & Efer.LMA:
        return description("i386:x86-64")
    return description("i386" if state.sregs.cs.db else "i8086")
