"""Kinds that the kernel, or nobody but the processor, handles: the guest stamps each by RDTSC."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pykvm._shim import ffi
from pykvm.bench.kinds import Bench, Kind, Measure
from pykvm.bench.kinds_exits import Latch
from pykvm.bench.rig import Rig
from pykvm.kvm.coalesced import CoalescedZone
from pykvm.kvm.eventfd import IoEventFd
from pykvm.layout import BENCH_MMIO, BENCH_PORT, LOCAL_APIC

PIC_MASK, PIT_COUNTER = 0x21, 0x40
APIC_ID = 0x20
"""The local APIC's id register, from its base; nothing happens when it is read."""

APIC_BASE, X2APIC_ID = 0x1B, 0x802
UCODE_WRITE = 0x79
"""IA32_BIOS_UPDT_TRIG: KVM takes any value for it and does nothing (kvm_set_msr_common)."""

X2APIC = 0b11 << 10
"""In IA32_APIC_BASE: enabled, in x2APIC mode (SDM vol. 3A, "Detecting and Enabling x2APIC")."""

BY_GUEST = "by RDTSC in the guest"

Prepare = Callable[[ExitStack, Rig], None]


def use_x2apic(rig: Rig) -> None:
    """Have the first processor's local APIC in x2APIC mode."""
    base = rig.vcpu.get_msrs([APIC_BASE])[APIC_BASE]
    rig.vcpu.set_msrs({APIC_BASE: base | X2APIC})


def _guest(
    image: str, operand: int = 0, prepare: Prepare | None = None
) -> Callable[[ExitStack, Bench], Measure]:
    def set_up(stack: ExitStack, bench: Bench) -> Measure:
        rig = Rig(stack, f"{image}.bin64", system=bench.system)
        rig.operand(operand)
        if prepare is not None:
            prepare(stack, rig)
        return rig.turns

    return set_up


def _ioeventfd(address: int, length: int, *, pio: bool) -> Prepare:
    def prepare(stack: ExitStack, rig: Rig) -> None:
        fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        stack.callback(os.close, fd)
        stack.enter_context(IoEventFd(rig.machine.vm, fd, address, length, pio=pio))

    return prepare


def _coalesced(address: int, length: int, *, pio: bool) -> Prepare:
    """The ring's entries come to a device in C, as does the write that finds it full."""

    def prepare(stack: ExitStack, rig: Rig) -> None:
        stack.enter_context(CoalescedZone(rig.machine.vm, address, length, pio=pio))
        machine = rig.machine
        (machine.ports if pio else machine.mmio).attach(address, length, Latch())
        space = machine.routes.ports if pio else machine.routes.mmio
        space.native(address, "shim_latch", ffi.new("uint64_t *"))

    return prepare


def _x2apic(stack: ExitStack, rig: Rig) -> None:
    use_x2apic(rig)


def hypercall() -> tuple[str, str]:
    """This processor's hypercall instruction: its name, and the guest's that has it."""
    try:
        facts = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        facts = ""
    name = "VMMCALL" if "AuthenticAMD" in facts or "HygonGenuine" in facts else "VMCALL"
    return name, name.lower()


def _kind(
    name: str,
    title: str,
    what: str,
    image: str,
    *,
    operand: int = 0,
    prepare: Prepare | None = None,
    extra: int = 0,
    needs: str = "long_mode",
) -> Kind:
    """A kind of this module, with `extra` instructions between the stamps besides the measured."""
    what = f"{what}; {BY_GUEST}"
    return Kind(name, title, what, _guest(image, operand, prepare), True, extra, (needs,))


_HYPERCALL, _HYPERCALL_IMAGE = hypercall()

KINDS = (
    _kind(
        "pio-out-ioeventfd",
        "OUT, ioeventfd",
        "OUT of a byte that KVM turns into a write to an eventfd",
        "out",
        operand=BENCH_PORT,
        prepare=_ioeventfd(BENCH_PORT, 1, pio=True),
        extra=1,
        needs="ioeventfd",
    ),
    _kind(
        "mmio-write-ioeventfd",
        "MMIO write, ioeventfd",
        "MOV of 4 bytes that KVM turns into a write to an eventfd",
        "mmio_write",
        operand=BENCH_MMIO,
        prepare=_ioeventfd(BENCH_MMIO, 4, pio=False),
        needs="ioeventfd_mmio",
    ),
    _kind(
        "pio-out-coalesced",
        "OUT, coalesced",
        "OUT of a byte that KVM keeps in its ring; the tail is the exit for a full ring",
        "out",
        operand=BENCH_PORT,
        prepare=_coalesced(BENCH_PORT, 1, pio=True),
        extra=1,
        needs="coalesced_pio",
    ),
    _kind(
        "mmio-write-coalesced",
        "MMIO write, coalesced",
        "MOV of 4 bytes that KVM keeps in its ring; the tail is the exit for a full ring",
        "mmio_write",
        operand=BENCH_MMIO,
        prepare=_coalesced(BENCH_MMIO, 4, pio=False),
        needs="coalesced_mmio",
    ),
    _kind("cpuid", "CPUID", "CPUID, leaf 0, answered by KVM", "cpuid", extra=1),
    _kind(
        "rdmsr",
        "RDMSR",
        "RDMSR of IA32_APIC_BASE, answered by KVM",
        "rdmsr",
        operand=APIC_BASE,
        needs="irqchip",
    ),
    _kind(
        "wrmsr",
        "WRMSR",
        "WRMSR to IA32_BIOS_UPDT_TRIG, which KVM takes and drops",
        "wrmsr",
        operand=UCODE_WRITE,
    ),
    _kind("cr0-write", "MOV to CR0", "MOV to CR0 that flips AM", "cr0"),
    _kind("cr4-write", "MOV to CR4", "MOV to CR4 that flips MCE", "cr4"),
    _kind(
        "cr8-write",
        "MOV to CR8",
        "MOV to CR8 that flips a bit; no exit where the processor virtualizes the task priority",
        "cr8",
        needs="irqchip",
    ),
    _kind(
        "hypercall",
        _HYPERCALL,
        f"{_HYPERCALL} of KVM_HC_VAPIC_POLL_IRQ, which does nothing",
        _HYPERCALL_IMAGE,
        extra=1,
        needs=_HYPERCALL_IMAGE,
    ),
    _kind(
        "pic-read",
        "PIC register, in KVM",
        "IN of the first PIC's mask register",
        "in",
        operand=PIC_MASK,
        extra=1,
        needs="irqchip",
    ),
    _kind(
        "pit-read",
        "PIT counter, in KVM",
        "IN of the PIT's first counter",
        "in",
        operand=PIT_COUNTER,
        extra=1,
        needs="pit",
    ),
    _kind(
        "lapic-mmio-read",
        "local APIC by MMIO, in KVM",
        "MOV from the local APIC's id register in xAPIC mode; no exit where it is virtualized",
        "mmio_read",
        operand=LOCAL_APIC + APIC_ID,
        needs="irqchip",
    ),
    _kind(
        "lapic-msr-read",
        "local APIC by MSR, in KVM",
        "RDMSR of the local APIC's id register in x2APIC mode; no exit where it is virtualized",
        "rdmsr",
        operand=X2APIC_ID,
        prepare=_x2apic,
        needs="msi",
    ),
    _kind(
        "exception",
        "exception within the guest",
        "division by zero, to its handler and back: no exit, the floor",
        "exception",
        extra=1,
    ),
)
