"""Probes: how fast the host runs a guest.  They measure; they do not judge."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import replace

from pykvm.kvm.exits import Hlt
from pykvm.kvm.probes import probe
from pykvm.kvm.probes.bench import CODE, Entry, Guest, code
from pykvm.kvm.system import System

_FIRST_ROUNDS, _LONG_ENOUGH_NS, _EMULATED_NS = 1_000, 30_000_000, 100.0
_EXITS = 500

_LOOP = code(
    "ff c9",  # dec ecx
    "75 fc",  # jnz 1b
    "f4",  # hlt
)
_OUTS = code(
    "e6 10",  # out 0x10, al
    "eb fc",  # jmp 1b
)


@probe("time for an instruction")
def instruction_time(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _LOOP)
    rounds, took = _FIRST_ROUNDS, 0
    while took < _LONG_ENOUGH_NS:
        rounds *= 10
        guest.vcpu.set_regs(replace(guest.vcpu.get_regs(), rip=CODE, rcx=rounds))
        start = time.perf_counter_ns()
        guest.run_to(Hlt)
        took = time.perf_counter_ns() - start
    ns = took / (2 * rounds)
    if ns < _EMULATED_NS:
        return f"{ns:.2f} ns an instruction: the processor runs the guest"
    return f"{ns:.0f} ns an instruction: this KVM emulates the guest's code"


@probe("time for an exit to the C run loop and back")
def exit_time(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.LONG, _OUTS)
    guest.run_to_out(0x10)
    start = time.perf_counter_ns()
    for _ in range(_EXITS):
        guest.loop.enter()
    return f"{(time.perf_counter_ns() - start) / _EXITS / 1e3:.1f} us an exit"
