"""Registers in packets: order, sizes, the linear program counter, tags, what cannot be set."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pykvm.debug.x87 import abridged_tags, full_tags
from pykvm.gdb.description import ARCHITECTURES, description
from pykvm.x86 import Cr0, Mode, Rflags, Segment
from tests.unit.gdb.fakes import FakeDebugger, only_reply, session_of


def words(*lines: str) -> list[str]:
    return [word for line in lines for word in line.split()]


X87 = words(
    "st0 st1 st2 st3 st4 st5 st6 st7 fctrl fstat ftag fiseg fioff foseg fooff fop",
)
I386 = [
    *words("eax ecx edx ebx esp ebp esi edi eip eflags cs ss ds es fs gs"),
    *X87,
    *(f"xmm{i}" for i in range(8)),
    "mxcsr",
]
"""As debuggers without the description count them."""
AMD64 = [
    *words("rax rbx rcx rdx rsi rdi rbp rsp r8 r9 r10 r11 r12 r13 r14 r15 rip eflags"),
    *words("cs ss ds es fs gs"),
    *X87,
    *(f"xmm{i}" for i in range(16)),
    "mxcsr",
]
CONTROL = ["cr0", "cr2", "cr3", "cr4", "efer"]


def place(architecture: str, name: str) -> int:
    names = [register.name for register in description(architecture).registers]
    return names.index(name)


@pytest.mark.parametrize(
    ("architecture", "standard"), [("i8086", I386), ("i386", I386), ("i386:x86-64", AMD64)]
)
def test_the_order_is_that_of_debuggers(architecture: str, standard: list[str]) -> None:
    names = [register.name for register in description(architecture).registers]
    assert names[: len(standard)] == standard
    rest = names[len(standard) :]
    assert rest[:2] == ["fs_base", "gs_base"]
    assert [name for name in rest[2:] if name != "cr8"] == CONTROL


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_document_tells_the_same(architecture: str) -> None:
    root = ElementTree.fromstring(description(architecture).xml)
    assert root.findtext("architecture") == architecture
    told = [(reg.get("name"), reg.get("bitsize")) for reg in root.iter("reg")]
    assert told == [(r.name, str(r.bits)) for r in description(architecture).registers]
    defined = {each.get("id") for kind in ("flags", "vector", "union") for each in root.iter(kind)}
    ours = {reg.get("type") for reg in root.iter("reg")}
    plain = {"int32", "int64", "code_ptr", "data_ptr", "i387_ext"}
    assert ours <= defined | plain


@pytest.mark.parametrize(
    ("mode", "architecture"),
    [(Mode.REAL, "i8086"), (Mode.PROTECTED, "i386"), (Mode.LONG, "i386:x86-64")],
)
def test_the_mode_chooses_the_description(mode: Mode, architecture: str) -> None:
    fake = FakeDebugger(mode=mode)
    session = session_of(fake)
    assert session.description is description(architecture)
    size = sum(register.size for register in description(architecture).registers)
    assert len(only_reply(session, b"g")) == 2 * size


def test_every_register_can_be_set_and_read_back() -> None:
    """Each has a place of its own: its number comes back, after all have been set."""
    fake = FakeDebugger(mode=Mode.LONG)
    session = session_of(fake)
    registers = session.description.registers
    keep = {"cs", "ss", "ds", "es", "fs", "gs", "cr0", "cr4", "efer", "ftag"}
    values = {
        i: (0x101 + i).to_bytes(each.size, "little").hex().encode()
        for i, each in enumerate(registers)
        if each.name not in keep
    }
    for i, value in values.items():
        assert only_reply(session, b"P%x=%b" % (i, value)) == b"OK", registers[i].name
    for i, value in values.items():
        assert only_reply(session, b"p%x" % i) == value, registers[i].name
    assert fake.machine.cpus[0].vcpu.regs.r15 == 0x101 + place("i386:x86-64", "r15")
    assert fake.machine.cpus[0].vcpu.sregs.gs.base == 0x101 + place("i386:x86-64", "gs_base")


def test_g_is_all_of_p_and_big_g_takes_what_g_gave() -> None:
    fake = FakeDebugger(mode=Mode.LONG)
    session = session_of(fake)
    vcpu = fake.machine.cpus[0].vcpu
    vcpu.regs.rax, vcpu.regs.rip = 0x1122334455667788, 0xFFFFFFFF81000000
    vcpu.fpu.xmm = tuple(bytes((i,)) * 16 for i in range(16))
    everything = only_reply(session, b"g")
    count = len(session.description.registers)
    assert everything == b"".join(only_reply(session, b"p%x" % i) for i in range(count))
    assert everything.startswith(b"8877665544332211")
    vcpu.regs.rax = vcpu.regs.rip = 0
    assert only_reply(session, b"G" + everything) == b"OK"
    assert only_reply(session, b"g") == everything


def test_in_real_mode_the_program_counter_is_linear() -> None:
    fake = FakeDebugger()
    session = session_of(fake)
    vcpu = fake.machine.cpus[0].vcpu
    vcpu.sregs.cs = Segment(selector=0xF000, base=0xF0000, type=0xB)
    vcpu.regs.rip = 0xFFF0
    eip = place("i8086", "eip")
    assert only_reply(session, b"p%x" % eip) == b"f0ff0f00"
    assert only_reply(session, b"P%x=34120f00" % eip) == b"OK"
    assert vcpu.regs.rip == 0x1234
    assert only_reply(session, b"P%x=00000e00" % eip) == b"E22", "below the segment"
    assert only_reply(session, b"P%x=00001000" % eip) == b"E22", "behind the segment"
    assert vcpu.regs.rip == 0x1234


def test_at_reset_the_program_counter_is_where_code_is_fetched() -> None:
    fake = FakeDebugger()
    vcpu = fake.machine.cpus[0].vcpu
    vcpu.sregs.cs = Segment(selector=0xF000, base=0xFFFF0000, type=0xB)
    vcpu.regs.rip = 0xFFF0
    assert only_reply(session_of(fake), b"p%x" % place("i8086", "eip")) == b"f0ffffff"


def test_in_64_bit_code_bases_do_not_count() -> None:
    fake = FakeDebugger(mode=Mode.LONG)
    vcpu = fake.machine.cpus[0].vcpu
    vcpu.sregs.cs = vcpu.sregs.cs._replace(base=0x5000)
    vcpu.regs.rip = 0xFFFFFFFF81000000
    rip = only_reply(session_of(fake), b"p%x" % place("i386:x86-64", "rip"))
    assert rip == b"00000081ffffffff"


def test_all_registers_at_once_move_code_segment_and_program_counter_together() -> None:
    fake = FakeDebugger()
    session = session_of(fake)
    vcpu = fake.machine.cpus[0].vcpu
    vcpu.sregs.cs = Segment(selector=0xF000, base=0xF0000, type=0xB)
    saved = only_reply(session, b"g")
    vcpu.sregs.cs = Segment(selector=0x100, base=0x1000, type=0xB)
    assert only_reply(session, b"G" + saved) == b"OK"
    assert (vcpu.sregs.cs.base, vcpu.regs.rip) == (0xF0000, 0x1000)


def test_a_selector_loads_its_segment_where_that_takes_no_descriptor() -> None:
    fake = FakeDebugger()
    session = session_of(fake)
    ds = place("i8086", "ds")
    assert only_reply(session, b"P%x=34120000" % ds) == b"OK"
    segment = fake.machine.cpus[0].vcpu.sregs.ds
    assert (segment.selector, segment.base, segment.limit) == (0x1234, 0x12340, 0xFFFF)
    assert only_reply(session, b"P%x=00000100" % ds) == b"E22", "17 bits"


def test_in_protected_mode_a_selector_can_only_stay() -> None:
    fake = FakeDebugger(mode=Mode.PROTECTED)
    session = session_of(fake)
    cs = place("i386", "cs")
    assert only_reply(session, b"P%x=10000000" % cs) == b"E22"
    assert only_reply(session, b"P%x=08000000" % cs) == b"OK"
    fake.machine.cpus[0].vcpu.regs.rflags |= Rflags.VM
    assert only_reply(session, b"P%x=10000000" % cs) == b"OK"


def test_what_kvm_refuses_is_an_error_and_changes_nothing() -> None:
    fake = FakeDebugger()
    session = session_of(fake)
    assert only_reply(session, b"P%x=00000080" % place("i8086", "cr0")) == b"E22"
    assert fake.machine.cpus[0].vcpu.sregs.cr0 == Cr0.ET


def test_32_bit_registers_are_cut_from_a_processor_in_long_mode() -> None:
    """The mode changed since the debugger read its description."""
    fake = FakeDebugger(mode=Mode.PROTECTED)
    session = session_of(fake)
    size = len(only_reply(session, b"g"))
    vcpu = fake.machine.cpus[0].vcpu
    vcpu.regs.rax, vcpu.sregs.efer = 0x1122334455667788, 0x500
    everything = only_reply(session, b"g")
    assert len(everything) == size
    assert everything.startswith(b"88776655")


@pytest.mark.parametrize(
    "packet",
    [
        b"p",
        b"pffff",
        b"p-1",
        b"P",
        b"P0",
        b"P0=",
        b"P0=00",
        b"P0=zz000000",
        b"Pff=00",
        b"G",
        b"G00",
    ],
)
def test_packets_that_name_no_register(packet: bytes) -> None:
    assert only_reply(session_of(FakeDebugger()), packet) == b"E22"


def test_registers_are_those_of_the_chosen_processor() -> None:
    fake = FakeDebugger(processors=2)
    session = session_of(fake)
    fake.machine.cpus[1].vcpu.regs.rax = 7
    assert only_reply(session, b"p0") == b"00000000"
    assert only_reply(session, b"Hg2") == b"OK"
    assert only_reply(session, b"p0") == b"07000000"


VALUES = st.sampled_from(
    [
        bytes(10),  # +0
        bytes(9) + b"\x80",  # -0
        bytes(7) + b"\x80\xff\x3f",  # 1
        b"\x01" + bytes(9),  # a denormal
        bytes(7) + b"\x80\xff\x7f",  # infinity
        bytes(7) + b"\x01\xff\x3f",  # no integer bit
    ]
)


def test_tags_of_single_values() -> None:
    examples = [
        (bytes(10), 1),
        (bytes(9) + b"\x80", 1),
        (bytes(7) + b"\x80\xff\x3f", 0),
        (b"\x01" + bytes(9), 2),
        (bytes(7) + b"\x80\xff\x7f", 2),
        (bytes(7) + b"\x01\xff\x3f", 2),
    ]
    for value, tag in examples:  # SDM vol. 1, 8.1.7: valid 0, zero 1, special 2, empty 3
        # TOP is 7: ST0 is physical register 7
        assert full_tags(0x80, 7 << 11, (value, *[bytes(10)] * 7)) == tag << 14 | 0x3FFF


@given(st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.lists(VALUES, min_size=8, max_size=8))
def test_tags_there_and_back(abridged: int, status: int, stack: list[bytes]) -> None:
    assert abridged_tags(full_tags(abridged, status, stack)) == abridged
