"""Snapshots: the mode, the address of the code, and the code itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, cast

import pytest

from pykvm.cpu.snapshot import CODE_BYTES, take_snapshot
from pykvm.errors import KvmIoctlError
from pykvm.kvm.registers import Regs, Sregs
from pykvm.kvm.vcpu import Vcpu
from pykvm.memory import Gpa, GuestMemory
from pykvm.x86 import (
    Cr0,
    Cr4,
    Efer,
    Mode,
    Segment,
    flat_code,
    real_segment,
)
from tests.unit.snapshots import GENERAL, snapshot

SIZE = 0x1_0000
CODE = bytes(range(1, 65))


class FakeVcpu:
    """Registers, and a translation of addresses."""

    def __init__(self, cs: Segment, rip: int, translate: Callable[[int], int | None]) -> None:
        self.regs = Regs(rip=rip, rax=1, r15=15)
        self.sregs = Sregs(cs=cs, cr0=Cr0.PE, efer=Efer.LMA if cs.l else 0)
        self._translate = translate

    def get_regs(self) -> Regs:
        return self.regs

    def get_sregs(self) -> Sregs:
        return self.sregs

    def translate(self, linear: int) -> int | None:
        if linear >= 1 << 64:
            raise OverflowError("cffi refuses it so")
        return self._translate(linear)


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    with GuestMemory(SIZE) as made:
        yield made


def code_at(
    memory: GuestMemory, cs: Segment, rip: int, translate: Callable[[int], int | None]
) -> bytes:
    """The code in the snapshot of a vCPU."""
    return take_snapshot(cast("Vcpu", cast("Any", FakeVcpu(cs, rip, translate))), memory).code


FLAT64, FLAT32 = flat_code(8, Mode.LONG), flat_code(8, Mode.PROTECTED)


def test_the_registers_are_all_there(memory: GuestMemory) -> None:
    vcpu = FakeVcpu(FLAT64, 0x1000, lambda linear: linear)
    taken = take_snapshot(cast("Vcpu", cast("Any", vcpu)), memory)
    assert set(taken.general) == {*GENERAL, "rip", "rflags"}
    assert (taken.general["rax"], taken.general["r15"], taken.general["rip"]) == (1, 15, 0x1000)
    assert taken.segments["cs"] == FLAT64
    assert taken.control["cr0"] == Cr0.PE
    assert taken.mode is Mode.LONG


def test_code_is_read_through_the_guests_page_tables(memory: GuestMemory) -> None:
    memory.write(Gpa(0x5100), CODE)
    got = code_at(memory, FLAT64, 0xFFFF_8000_0000_0100, lambda at: 0x5000 + at % 0x1000)
    assert got == CODE[:CODE_BYTES]


def test_code_over_two_pages_that_lie_apart(memory: GuestMemory) -> None:
    memory.write(Gpa(0x5FF8), CODE[:8])
    memory.write(Gpa(0x2000), CODE[8:])
    pages = {0x7000: 0x5000, 0x8000: 0x2000}
    got = code_at(memory, FLAT64, 0x7FF8, lambda at: pages[at & ~0xFFF] + at % 0x1000)
    assert got == CODE[:CODE_BYTES]


def test_code_ends_where_nothing_is_mapped(memory: GuestMemory) -> None:
    memory.write(Gpa(0x1FF8), CODE)
    assert code_at(memory, FLAT64, 0x1FF8, lambda at: at if at < 0x2000 else None) == CODE[:8]
    assert code_at(memory, FLAT64, 0x1FF8, lambda _: None) == b""


def test_code_ends_where_ram_does(memory: GuestMemory) -> None:
    memory.write(Gpa(SIZE - 8), CODE[:8])
    assert code_at(memory, FLAT32, SIZE - 8, lambda at: at) == CODE[:8]
    assert code_at(memory, FLAT32, SIZE, lambda at: at) == b""


def test_code_ends_with_the_address_space(memory: GuestMemory) -> None:
    """A guest may map its last page and jump to the end of it."""
    memory.write(Gpa(0x3FF8), CODE[:8])
    for cs, end in ((FLAT64, 1 << 64), (FLAT32, 1 << 32)):
        got = code_at(memory, cs, end - 8, lambda at: 0x3000 + at % 0x1000)
        assert got == CODE[:8]


def test_a_host_that_cannot_translate_tells_no_code(memory: GuestMemory) -> None:
    def fail(_: int) -> int:
        raise KvmIoctlError("KVM_TRANSLATE", 22)

    assert code_at(memory, FLAT64, 0x1000, fail) == b""


@pytest.mark.parametrize(
    ("mode", "cs", "bits"),
    [
        (Mode.REAL, real_segment(0, code=True), 16),
        (Mode.REAL, Segment(db=1, type=11), 32),  # "unreal"
        (Mode.PROTECTED, FLAT32, 32),
        (Mode.PROTECTED, Segment(type=11), 16),
        (Mode.LONG, FLAT64, 64),
        (Mode.LONG, FLAT32, 32),  # compatibility mode
    ],
)
def test_the_mode_and_the_kind_of_code(mode: Mode, cs: Segment, bits: int) -> None:
    state = snapshot(mode, cs=cs)
    assert (state.mode, state.code_bits) == (mode, bits)


@pytest.mark.parametrize(
    ("mode", "cs", "rip", "linear"),
    [
        (Mode.REAL, real_segment(0x1234, code=True), 0x5678, 0x1_79B8),
        (Mode.REAL, Segment(base=0xFFFF_0000, selector=0xF000, type=11), 0xFFF0, 0xFFFF_FFF0),
        (Mode.REAL, Segment(base=0xFFFF_0000, selector=0xF000, type=11), 0x1_0010, 0x10),
        (Mode.PROTECTED, FLAT32._replace(base=0x1000), 0x234, 0x1234),
        (Mode.PROTECTED, FLAT32._replace(base=0x1000), 0xFFFF_F010, 0x10),
        (Mode.LONG, FLAT64._replace(base=0x1000), 0xFFFF_FFFF_8000_0000, 0xFFFF_FFFF_8000_0000),
    ],
)
def test_the_linear_address_of_the_code(mode: Mode, cs: Segment, rip: int, linear: int) -> None:
    assert snapshot(mode, rip, cs=cs).linear_rip == linear


def test_paging_and_pae_do_not_make_long_mode() -> None:
    state = snapshot(Mode.PROTECTED)
    control = state.control | {"cr0": Cr0.PE | Cr0.PG, "cr4": Cr4.PAE, "efer": Efer.LME}
    object.__setattr__(state, "control", control)
    assert state.mode is Mode.PROTECTED
