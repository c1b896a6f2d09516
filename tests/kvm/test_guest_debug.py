"""Debugging a guest from outside: steps, breakpoints, watchpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from pykvm.kvm import DebugControl
from pykvm.kvm.exits import Debug, Hlt
from pykvm.kvm.probes.bench import CODE, DATA, HANDLER, Entry, Guest

Make = Callable[..., Guest]

THREE_NOPS = bytes.fromhex(
    "90"  # nop
    "90"  # nop
    "90"  # nop
    "f4"  # hlt
)


@pytest.mark.parametrize("entry", [Entry.REAL, Entry.LONG])
def test_single_step(make_guest: Make, entry: Entry) -> None:
    guest = make_guest(entry, THREE_NOPS)
    guest.vcpu.set_guest_debug(DebugControl.ENABLE | DebugControl.SINGLESTEP)
    for at in range(CODE + 1, CODE + 4):
        exit = guest.run()
        assert isinstance(exit, Debug)
        assert (exit.exception, exit.pc) == (1, at)
    guest.vcpu.set_guest_debug(0)
    assert guest.run() == Hlt()


@pytest.mark.needs("hw_breakpoint_long")
def test_two_hardware_breakpoints(make_guest: Make) -> None:
    guest = make_guest(Entry.LONG, THREE_NOPS)
    guest.vcpu.set_guest_debug(
        DebugControl.ENABLE | DebugControl.USE_HW_BP,
        (CODE + 1, 0, CODE + 2, 0, 0, 0, 0, 0x422),  # DR7: G0 and G2
    )
    for at, hit in ((CODE + 1, 1), (CODE + 2, 4)):
        exit = guest.run()
        assert isinstance(exit, Debug)
        assert (exit.pc, exit.dr6 & 0xF) == (at, hit)
        if at == CODE + 1:
            guest.vcpu.set_guest_debug(
                DebugControl.ENABLE | DebugControl.USE_HW_BP,
                (0, 0, CODE + 2, 0, 0, 0, 0, 0x420),
            )
    guest.vcpu.set_guest_debug(0)
    assert guest.run() == Hlt()


STORE = bytes.fromhex(
    "c6 04 25 00 70 00 00 2a"  # mov byte [0x7000], 0x2a
    "90"  # nop
    "f4"  # hlt
)


@pytest.mark.needs("watchpoint")
def test_a_watchpoint(make_guest: Make) -> None:
    guest = make_guest(Entry.LONG, STORE)
    guest.vcpu.set_guest_debug(
        DebugControl.ENABLE | DebugControl.USE_HW_BP,
        (DATA, 0, 0, 0, 0, 0, 0, 0x10402),  # DR7: G0, a write of 1 byte
    )
    exit = guest.run()
    assert isinstance(exit, Debug)
    assert exit.dr6 & 1
    assert guest.get(DATA, 1) == b"\x2a"


@pytest.mark.needs("sw_breakpoint_long")
def test_a_software_breakpoint(make_guest: Make) -> None:
    guest = make_guest(Entry.LONG, b"\x90\xcc\xf4")  # nop; int3; hlt
    guest.vcpu.set_guest_debug(DebugControl.ENABLE | DebugControl.USE_SW_BP)
    exit = guest.run()
    assert isinstance(exit, Debug)
    assert (exit.exception, exit.pc) == (3, CODE + 1)


BREAK_ITSELF = bytes.fromhex(
    "0f 23 c0"  # mov dr0, rax
    "0f 23 fb"  # mov dr7, rbx
    "90"  # nop
    "90"  # nop
    "f4"  # hlt
)
SECOND_NOP = CODE + 7


@pytest.mark.needs("guest_breakpoint")
def test_a_guest_s_own_breakpoint_is_its_own(make_guest: Make) -> None:
    """It reaches that guest's handler, and no other guest."""
    ends = []
    for dr7 in (0x402, 0x400):  # DR7: G0, then nothing
        guest = make_guest(Entry.LONG, BREAK_ITSELF)
        guest.put(HANDLER, b"\xf4")  # hlt
        guest.gate(1, HANDLER)
        guest.vcpu.set_regs(replace(guest.vcpu.get_regs(), rax=SECOND_NOP, rbx=dr7))
        assert guest.run() == Hlt()
        ends.append(guest.vcpu.get_regs().rip)
    assert ends == [HANDLER + 1, CODE + len(BREAK_ITSELF)]
