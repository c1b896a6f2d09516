"""Probes: debugging a guest, from outside and from inside."""

from __future__ import annotations

from contextlib import ExitStack

from pykvm.kvm.exits import Debug, Hlt
from pykvm.kvm.probes import probe
from pykvm.kvm.probes.bench import CODE, DATA, HANDLER, Entry, Failed, Guest, code, describe, expect
from pykvm.kvm.state import DebugControl, DebugRegs
from pykvm.kvm.system import System

_DB, _BP = 1, 3
_DR6_B0, _DR6_BS = 1 << 0, 1 << 14
_DR7_EXECUTE_0 = 0x402
_DR7_WRITE_4_BYTES_0 = 0xD0402
"""DR7 for breakpoint 0: global enable, R/W and LEN (SDM vol. 3B, 18.2.4)."""

_NOPS = code(
    "90",  # nop
    "90",  # nop
    "90",  # nop
    "f4",  # hlt
)
_INT3 = code(
    "90",  # nop
    "cc",  # int3
    "90",  # nop
    "f4",  # hlt
)
_STORE = code(
    "c7 04 25 00 70 00 00 07 00 00 00",  # mov dword ptr [0x7000], 7
    "90",  # nop
    "90",  # nop
    "f4",  # hlt
)
_TRAP_FLAG = code(
    "9c",  # pushf
    "81 0c 24 00 01 00 00",  # or dword ptr [rsp], 0x100
    "9d",  # popf
    "90",  # nop
    "90",  # nop
    "f4",  # hlt
)
_ON_DEBUG = code(
    "0f 21 f0",  # mov rax, dr6
    "f4",  # hlt
)


def _software_breakpoint(guest: Guest) -> str:
    guest.vcpu.set_guest_debug(DebugControl.ENABLE | DebugControl.USE_SW_BP)
    exit = guest.run_to(Debug)
    assert isinstance(exit, Debug)
    expect((exit.exception, exit.pc), (_BP, CODE + 1), "exception and address")
    return "INT3 leaves the guest"


@probe("software breakpoints in real mode")
def sw_breakpoint(stack: ExitStack, system: System) -> str:
    return _software_breakpoint(Guest(stack, system, Entry.REAL, _INT3))


@probe("software breakpoints in long mode")
def sw_breakpoint_long(stack: ExitStack, system: System) -> str:
    return _software_breakpoint(Guest(stack, system, Entry.LONG, _INT3))


def _hardware_breakpoint(guest: Guest) -> str:
    control = DebugControl.ENABLE | DebugControl.USE_HW_BP
    guest.vcpu.set_guest_debug(control, (CODE + 2, 0, 0, 0, 0, 0, 0, _DR7_EXECUTE_0))
    exit = guest.run_to(Debug)
    assert isinstance(exit, Debug)
    expect((exit.exception, exit.pc), (_DB, CODE + 2), "exception and address")
    expect(exit.dr6 & _DR6_B0, _DR6_B0, "DR6.B0")
    guest.vcpu.set_guest_debug(0)
    guest.run_to(Hlt)
    return "stops before the instruction and goes on"


@probe("hardware breakpoints in real mode")
def hw_breakpoint(stack: ExitStack, system: System) -> str:
    return _hardware_breakpoint(Guest(stack, system, Entry.REAL, _NOPS))


@probe("hardware breakpoints in long mode")
def hw_breakpoint_long(stack: ExitStack, system: System) -> str:
    return _hardware_breakpoint(Guest(stack, system, Entry.LONG, _NOPS))


@probe("data watchpoints")
def watchpoint(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _STORE)
    control = DebugControl.ENABLE | DebugControl.USE_HW_BP
    guest.vcpu.set_guest_debug(control, (DATA, 0, 0, 0, 0, 0, 0, _DR7_WRITE_4_BYTES_0))
    exit = guest.run()
    if isinstance(exit, Hlt):
        raise Failed("the write went unnoticed")
    if not isinstance(exit, Debug):
        raise Failed(describe(exit))
    expect((exit.exception, exit.dr6 & _DR6_B0), (_DB, _DR6_B0), "exception and DR6.B0")
    expect(guest.get(DATA, 1), b"\x07", "what was written")
    return "stops after the write"


def _single_step(guest: Guest) -> str:
    """Three NOPs by single steps, to HLT; whether that one then halts is another probe's."""
    guest.vcpu.set_guest_debug(DebugControl.ENABLE | DebugControl.SINGLESTEP)
    for at in range(CODE + 1, CODE + 4):
        exit = guest.run_to(Debug)
        assert isinstance(exit, Debug)
        expect((exit.exception, exit.pc), (_DB, at), "exception and address")
        expect(exit.dr6 & _DR6_BS, _DR6_BS, "DR6.BS")
    return "stops after every instruction"


@probe("single-step in real mode")
def single_step(stack: ExitStack, system: System) -> str:
    return _single_step(Guest(stack, system, Entry.REAL, _NOPS))


@probe("single-step in long mode")
def single_step_long(stack: ExitStack, system: System) -> str:
    return _single_step(Guest(stack, system, Entry.LONG, _NOPS))


@probe("HLT halts under single-step, too")
def single_step_hlt(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _NOPS)
    _single_step(guest)
    exit = guest.run()
    if isinstance(exit, Debug):
        exit = guest.run()
        if isinstance(exit, Debug):
            raise Failed("is stepped over like any instruction")
    if not isinstance(exit, Hlt):
        raise Failed(describe(exit))
    return "an exit of its own"


@probe("the guest's own single-step (TF)")
def trap_flag(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _TRAP_FLAG)
    guest.put(HANDLER, _ON_DEBUG)
    guest.gate(1, HANDLER)
    guest.run_to(Hlt)
    expect(guest.vcpu.get_regs().rax & _DR6_BS, _DR6_BS, "DR6.BS in the guest")
    return "#DB reaches the guest"


@probe("the guest's own breakpoints (DR0 to DR7)")
def guest_breakpoint(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _NOPS)
    guest.put(HANDLER, _ON_DEBUG)
    guest.gate(1, HANDLER)
    # set from outside: QEMU 7.2's SVM keeps a breakpoint that MOV to DR7 made when the guest is
    # gone, so that a guest of this probe would hurt those that come after it
    guest.vcpu.set_debugregs(DebugRegs(db=(CODE + 2, 0, 0, 0), dr7=_DR7_EXECUTE_0))
    guest.run_to(Hlt)
    expect(guest.vcpu.get_regs().rip, HANDLER + len(_ON_DEBUG), "where the guest halted")
    expect(guest.vcpu.get_regs().rax & _DR6_B0, _DR6_B0, "DR6.B0 in the guest")
    return "#DB reaches the guest"
