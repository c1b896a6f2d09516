"""Probes: interrupt controllers, timers and the ways to interrupt a guest."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack

from pykvm.kvm.capabilities import Capability
from pykvm.kvm.eventfd import IrqFd
from pykvm.kvm.exits import IrqWindowOpen
from pykvm.kvm.interrupts import MsiRoute, irq_line, set_gsi_routing, signal_msi
from pykvm.kvm.irqchip import IrqChip, Pit, SplitIrqChip
from pykvm.kvm.probes import probe
from pykvm.kvm.probes.bench import CODE, HANDLER, Entry, Failed, Guest, code, expect, with_irqchip
from pykvm.kvm.system import System
from pykvm.kvm.vm import Vm

_READY, _HANDLED = 0x10, 0x11
_NMI, _PIC_BASE, _MSI_VECTOR, _GSI = 2, 0x20, 0x40, 30
_LAPIC_ADDRESS, _LAPIC_ISR = 0xFEE00000, 0x100
_TICKS, _TICK_MS = 10, 4096 / 1193.182

_PIC = code(
    "b0 11",  # mov al, 0x11
    "e6 20",  # out 0x20, al
    "b0 20",  # mov al, 0x20
    "e6 21",  # out 0x21, al
    "b0 04",  # mov al, 4
    "e6 21",  # out 0x21, al
    "b0 01",  # mov al, 1
    "e6 21",  # out 0x21, al
    "b0 df",  # mov al, 0xdf
    "e6 21",  # out 0x21, al
    "e6 10",  # out 0x10, al
    "fb",  # sti
    "f4",  # hlt
    "eb fd",  # jmp 1b
)
_PIT = code(
    "b0 11",  # mov al, 0x11
    "e6 20",  # out 0x20, al
    "b0 20",  # mov al, 0x20
    "e6 21",  # out 0x21, al
    "b0 04",  # mov al, 4
    "e6 21",  # out 0x21, al
    "b0 01",  # mov al, 1
    "e6 21",  # out 0x21, al
    "b0 fe",  # mov al, 0xfe
    "e6 21",  # out 0x21, al
    "b0 34",  # mov al, 0x34
    "e6 43",  # out 0x43, al
    "b0 00",  # mov al, 0
    "e6 40",  # out 0x40, al
    "b0 10",  # mov al, 0x10
    "e6 40",  # out 0x40, al
    "fb",  # sti
    "f4",  # hlt
    "eb fd",  # jmp 1b
)
_ON_IRQ = code(
    "e6 11",  # out 0x11, al
    "b0 20",  # mov al, 0x20
    "e6 20",  # out 0x20, al
    "cf",  # iret
)
_WAIT = code(
    "e6 10",  # out 0x10, al
    "fb",  # sti
    "eb fe",  # jmp 1b
)
_ON_VECTOR = code(
    "e6 11",  # out 0x11, al
    "cf",  # iret
)
_X2APIC = code(
    "b9 1b 00 00 00",  # mov ecx, 0x1b
    "0f 32",  # rdmsr
    "0d 00 0c 00 00",  # or eax, 0xc00
    "0f 30",  # wrmsr
    "b9 0f 08 00 00",  # mov ecx, 0x80f
    "31 d2",  # xor edx, edx
    "b8 ff 01 00 00",  # mov eax, 0x1ff
    "0f 30",  # wrmsr
    "e6 10",  # out 0x10, al
    "fb",  # sti
    "f4",  # hlt
    "eb fd",  # jmp 1b
)
_ON_MSI = code(
    "e6 11",  # out 0x11, al
    "b9 0b 08 00 00",  # mov ecx, 0x80b
    "31 c0",  # xor eax, eax
    "31 d2",  # xor edx, edx
    "0f 30",  # wrmsr
    "48 cf",  # iretq
)
_SPIN = code(
    "eb fe",  # jmp 1b
)


@probe("in-kernel PIC and interrupt lines")
def irqchip(stack: ExitStack, system: System) -> str:
    system.require(Capability.IRQCHIP)
    guest = Guest(stack, system, Entry.REAL, _PIC, prepare=with_irqchip)
    guest.put(HANDLER, _ON_IRQ)
    guest.gate(_PIC_BASE + 5, HANDLER)
    guest.run_to_out(_READY)
    for _ in range(2):
        irq_line(guest.vm, 5, True)
        irq_line(guest.vm, 5, False)
        guest.run_to_out(_HANDLED)
    return "IRQ 5 wakes HLT and calls its vector, twice"


def _with_pit(vm: Vm) -> None:
    Pit(IrqChip(vm))


@probe("in-kernel PIT")
def pit(stack: ExitStack, system: System) -> str:
    system.require(Capability.PIT2)
    guest = Guest(stack, system, Entry.REAL, _PIT, prepare=_with_pit)
    guest.put(HANDLER, _ON_IRQ)
    guest.gate(_PIC_BASE, HANDLER)
    guest.run_to_out(_HANDLED)
    start = time.monotonic()
    for _ in range(_TICKS):
        guest.run_to_out(_HANDLED)
    took = (time.monotonic() - start) * 1e3
    return f"{_TICKS} ticks in {took:.1f} ms ({_TICKS * _TICK_MS:.1f} ms by its own clock)"


def _wait_for_msi(stack: ExitStack, system: System, prepare: object) -> Guest:
    """A guest that waits in HLT for vector 0x40, its local APIC in x2APIC mode."""
    assert callable(prepare)
    guest = Guest(stack, system, Entry.LONG, _X2APIC, prepare=prepare)
    guest.put(HANDLER, _ON_MSI)
    guest.gate(_MSI_VECTOR, HANDLER)
    guest.run_to_out(_READY)
    return guest


def _send_msi(guest: Guest) -> str:
    for _ in range(2):
        if not signal_msi(guest.vm, _LAPIC_ADDRESS, _MSI_VECTOR):
            raise Failed("the message was not delivered")
        guest.run_to_out(_HANDLED)
    return "the message wakes HLT and calls its vector, twice"


@probe("MSI to an in-kernel local APIC")
def msi(stack: ExitStack, system: System) -> str:
    system.require(Capability.SIGNAL_MSI)
    return _send_msi(_wait_for_msi(stack, system, with_irqchip))


@probe("interrupts stay in service until EOI")
def in_service(stack: ExitStack, system: System) -> str:
    guest = _wait_for_msi(stack, system, with_irqchip)
    if not signal_msi(guest.vm, _LAPIC_ADDRESS, _MSI_VECTOR):
        raise Failed("the message was not delivered")
    guest.run_to_out(_HANDLED)
    registers = guest.vcpu.get_lapic()
    at = _LAPIC_ISR + _MSI_VECTOR // 32 * 16
    expect(registers[at], 1 << _MSI_VECTOR % 8, "the in-service register before EOI")
    return "the local APIC holds it till then"


@probe("split irqchip: local APICs only")
def split_irqchip(stack: ExitStack, system: System) -> str:
    system.require(Capability.SPLIT_IRQCHIP)
    return _send_msi(_wait_for_msi(stack, system, SplitIrqChip))


@probe("irqfd")
def irqfd(stack: ExitStack, system: System) -> str:
    system.require(Capability.IRQFD)
    guest = _wait_for_msi(stack, system, with_irqchip)
    set_gsi_routing(guest.vm, [MsiRoute(_GSI, _LAPIC_ADDRESS, _MSI_VECTOR)])
    fd = os.eventfd(0, os.EFD_CLOEXEC)
    stack.callback(os.close, fd)
    IrqFd(guest.vm, fd, _GSI)
    for _ in range(2):
        os.eventfd_write(fd, 1)
        guest.run_to_out(_HANDLED)
    return "a write to the eventfd interrupts the guest"


@probe("NMI")
def nmi(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.REAL, _WAIT)
    guest.put(HANDLER, _ON_VECTOR)
    guest.gate(_NMI, HANDLER)
    guest.run_to_out(_READY)
    guest.vcpu.nmi()
    guest.run_to_out(_HANDLED)
    return "calls vector 2"


@probe("interrupt windows, interrupts from the host")
def interrupt_window(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.REAL, _WAIT)
    guest.put(HANDLER, _ON_VECTOR)
    guest.gate(_PIC_BASE, HANDLER)
    guest.run_to_out(_READY)
    guest.vcpu.page.request_interrupt_window = True
    guest.run_to(IrqWindowOpen)
    if not guest.vcpu.page.ready_for_interrupt_injection:
        raise Failed("the window is open, yet not ready for an interrupt")
    guest.vcpu.page.request_interrupt_window = False
    guest.vcpu.interrupt(_PIC_BASE)
    guest.run_to_out(_HANDLED)
    return "STI opens a window, the interrupt calls its vector"


@probe("stopping a guest that never exits")
def kick(stack: ExitStack, system: System) -> str:
    guest = Guest(stack, system, Entry.REAL, _SPIN)
    start = time.monotonic_ns()
    guest.loop.set_timer(start + 1_000_000, 0)
    guest.loop.enter()
    late = (time.monotonic_ns() - start - 1_000_000) / 1e3
    if guest.vcpu.get_regs().rip != CODE:
        raise Failed("it was stopped somewhere else")
    return f"a signal stops it, {late:.0f} us late"
