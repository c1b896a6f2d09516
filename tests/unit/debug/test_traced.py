"""What a processor under the debugger makes of KVM_EXIT_DEBUG, played by a fake.

Hosts where INT3 leaves the guest are rare among those that tests run on.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

pytest.importorskip("pykvm._shim", reason="it knows exits and the flags of KVM_SET_GUEST_DEBUG")

from pykvm.debug.facilities import Facilities
from pykvm.debug.plan import Plan
from pykvm.debug.points import Point
from pykvm.debug.target import Hit
from pykvm.debug.traced import Traced
from pykvm.errors import DebugError
from pykvm.kvm.cpuid import CpuidEntry
from pykvm.kvm.exits import Debug
from pykvm.kvm.registers import Regs, Sregs
from pykvm.kvm.state import DebugControl, DebugRegs, MpState
from pykvm.memory import Gpa, GuestMemory

CODE = 0x1000
DR6 = 0xFFFF_0FF0
BS = 1 << 14
STEPS = DebugControl.ENABLE | DebugControl.SINGLESTEP
INJECT_BP, INJECT_DB = DebugControl.INJECT_BP, DebugControl.INJECT_DB


class FakeVcpu:
    """Real mode, at CODE; keeps what it was told."""

    fd = -1

    def __init__(self) -> None:
        self.exit = Debug(1, CODE, DR6, 0)
        self.control = DebugControl(0)
        self.registers: tuple[int, ...] = ()
        self.debugregs = DebugRegs()
        self.regs, self.sregs = Regs(rip=CODE), Sregs()
        self.sregs.cs = self.sregs.cs._replace(base=0)

    def set_guest_debug(self, control: int, debugreg: tuple[int, ...] = ()) -> None:
        self.control, self.registers = DebugControl(control), debugreg

    def last_exit(self) -> Debug:
        return self.exit

    def get_regs(self) -> Regs:
        return self.regs

    def get_sregs(self) -> Sregs:
        return self.sregs

    def get_debugregs(self) -> DebugRegs:
        return self.debugregs

    def set_debugregs(self, registers: DebugRegs) -> None:
        self.debugregs = registers

    def get_mp_state(self) -> MpState:
        return MpState.RUNNABLE

    def get_cpuid2(self) -> list[CpuidEntry]:
        return []


class Rig:
    """A processor, its points and a host that can do everything, unless told otherwise."""

    def __init__(self, memory: GuestMemory, monkeypatch: pytest.MonkeyPatch, **host: bool) -> None:
        can = {"software": True, "hardware": True, "watch": True, "halts_in_step": True, **host}
        for name, value in can.items():
            monkeypatch.setattr(Facilities, name, value)
        monkeypatch.setattr(Facilities, "block_irq", DebugControl.BLOCKIRQ)
        self.memory = memory
        self.vcpu = FakeVcpu()
        loop = SimpleNamespace(enter=lambda: 0, use_routes=lambda on: None)
        cpu = SimpleNamespace(index=0, vcpu=self.vcpu, loop=loop, on_trap=None, enter=None)
        machine = SimpleNamespace(
            memory=memory,
            read_physical=lambda gpa, length: memory.read(Gpa(gpa), length),
            cpus=(cpu,),
            vm=None,
            irqchip=object(),
        )
        self.plan = Plan(cast("Any", machine))
        # what KVM_GET_SREGS tells of real mode
        monkeypatch.setattr(self.plan.linear, "gpa", lambda processor, gva: Gpa(gva))
        monkeypatch.setattr(self.plan.linear, "find", Gpa)
        self.traced = Traced(cast("Any", cpu), self.plan)

    def run(self, *, step: bool = False) -> None:
        """Be about to run."""
        self.plan.begin()
        self.traced.prepare(step=step)

    def trap(self, exception: int, pc: int, dr6: int = DR6) -> Hit | None:
        """KVM_EXIT_DEBUG comes; the hit, if that ends the run."""
        self.vcpu.exit = Debug(exception, pc, dr6, 0)
        assert self.traced._on_trap() == (self.traced.hit is not None)
        return self.traced.hit


@pytest.fixture
def memory() -> Iterator[GuestMemory]:
    with GuestMemory(0x10000) as ram:
        yield ram


@pytest.fixture
def rig(memory: GuestMemory, monkeypatch: pytest.MonkeyPatch) -> Rig:
    return Rig(memory, monkeypatch)


def test_without_points_there_is_no_debugging(rig: Rig) -> None:
    rig.run()
    assert rig.vcpu.control == 0


def test_a_step_keeps_interrupts_away(rig: Rig) -> None:
    rig.run(step=True)
    assert rig.vcpu.control == STEPS | DebugControl.BLOCKIRQ
    assert rig.trap(1, CODE + 1, DR6 | BS) == Hit("step", CODE + 1)


def test_int3_that_is_ours(rig: Rig) -> None:
    point = Point("software", CODE + 5)
    rig.plan.insert(point)
    assert rig.memory.read(Gpa(CODE + 5), 1) == b"\xcc"
    rig.run()
    assert rig.vcpu.control == DebugControl.ENABLE | DebugControl.USE_SW_BP
    assert rig.trap(3, CODE + 5) == Hit("breakpoint", CODE + 5, point)


def test_int3_of_the_guest_is_the_guest_s(rig: Rig) -> None:
    rig.plan.insert(Point("software", CODE + 5))
    rig.run()
    assert rig.trap(3, CODE + 9) is None
    assert rig.vcpu.control & INJECT_BP
    assert rig.vcpu.control & DebugControl.USE_SW_BP


@pytest.mark.parametrize("kind", ["hardware", "write", "read", "access"])
def test_a_debug_register_that_is_ours(rig: Rig, kind: str) -> None:
    other, point = Point("hardware", CODE + 7), Point(kind, CODE + 0x100)
    rig.plan.insert(other)
    rig.plan.insert(point)
    rig.run()
    assert rig.vcpu.control == DebugControl.ENABLE | DebugControl.USE_HW_BP
    assert rig.vcpu.registers[:2] == (CODE + 7, CODE + 0x100)
    kind = "breakpoint" if kind == "hardware" else "watchpoint"
    assert rig.trap(1, CODE + 3, DR6 | 0b10) == Hit(kind, CODE + 3, point)


def test_a_write_is_no_read(rig: Rig) -> None:
    """Debug registers do not tell them apart: the value does."""
    point = Point("read", 0x2000, 4)
    rig.plan.insert(point)
    rig.run()
    rig.memory.write(Gpa(0x2000), b"new!")
    assert rig.trap(1, CODE + 3, DR6 | 1) is None
    assert not rig.vcpu.control & INJECT_DB
    assert rig.trap(1, CODE + 6, DR6 | 1) == Hit("watchpoint", CODE + 6, point)


def test_the_guest_s_own_debug_register_reaches_the_guest(rig: Rig) -> None:
    rig.plan.insert(Point("hardware", CODE + 7))
    rig.vcpu.debugregs = DebugRegs(db=(0, 0, 0, CODE + 2), dr7=0x480)
    rig.run()
    assert rig.trap(1, CODE + 2, DR6 | 0b10) is None  # where DR1 stands for its DR3
    assert rig.vcpu.control & INJECT_DB
    assert rig.vcpu.debugregs.dr6 & 0xF == 0b1000


def test_the_guest_s_own_single_step_reaches_the_guest(rig: Rig) -> None:
    rig.plan.insert(Point("hardware", CODE + 7))
    rig.run()
    assert rig.trap(1, CODE + 2, DR6 | BS) is None
    assert rig.vcpu.control & INJECT_DB
    assert rig.vcpu.debugregs.dr6 & BS


def test_without_any_help_processors_are_stepped(
    memory: GuestMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(memory, monkeypatch, software=False, hardware=False, watch=False)
    point, write = Point("software", CODE + 5), Point("write", 0x2000, 2)
    rig.plan.insert(point)
    rig.plan.insert(write)
    rig.run()
    assert rig.vcpu.control == STEPS
    assert rig.trap(1, CODE + 1, DR6 | BS) is None
    assert rig.trap(1, CODE + 5, DR6 | BS) == Hit("breakpoint", CODE + 5, point)
    memory.write(Gpa(0x2001), b"x")
    assert rig.trap(1, CODE + 6, DR6 | BS) == Hit("watchpoint", CODE + 6, write)
    assert rig.trap(1, CODE + 7, DR6 | BS) is None
    with pytest.raises(DebugError, match='"write" watchpoint'):
        rig.plan.insert(Point("access", 0x2000))


def test_software_where_memory_is_not_mapped_takes_a_register(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.plan.linear, "find", lambda gva: None)
    rig.plan.insert(Point("software", 0xFFFF_FFFF_8100_0000))
    rig.run()
    assert rig.vcpu.registers[0] == 0xFFFF_FFFF_8100_0000
