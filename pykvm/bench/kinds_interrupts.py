"""Kinds that interrupt: from what asks for an interrupt to its handler, by the asker's clock."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack

from pykvm._shim import ffi
from pykvm.bench.kinds import Bench, Kind, Measure
from pykvm.bench.kinds_kernel import BY_GUEST, use_x2apic
from pykvm.bench.rig import Done, Rig, Sample, Unable
from pykvm.kvm.eventfd import IrqFd
from pykvm.kvm.interrupts import MsiRoute, set_gsi_routing
from pykvm.layout import BENCH_PIN, BENCH_PORT, LOCAL_APIC
from pykvm.x86 import Mode

VECTOR, GSI = 0x40, 24
HALTS, GAP = 8, 12
"""Parameters of ipi.bin: offsets in its image."""

ASLEEP_NS = 500_000
"""How long a processor halts before it is woken: longer than KVM polls for it by default."""


def _irqfd(stack: ExitStack, bench: Bench) -> Measure:
    """The OUT's device is C, and writes the eventfd on the thread of the processor itself."""
    rig = Rig(stack, "irqfd.bin64", system=bench.system)
    rig.operand(BENCH_PORT)
    use_x2apic(rig)
    vm = rig.machine.vm
    set_gsi_routing(vm, [MsiRoute(GSI, LOCAL_APIC, VECTOR)])
    fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    stack.callback(os.close, fd)
    stack.enter_context(IrqFd(vm, fd, GSI))
    rig.machine.routes.ports.native(BENCH_PORT, "shim_signal", ffi.new("int *", fd))
    return rig.turns


def _self_ipi(stack: ExitStack, bench: Bench) -> Measure:
    rig = Rig(stack, "self_ipi.bin64", system=bench.system)
    use_x2apic(rig)
    return rig.turns


def _to_another(*, halts: bool) -> Callable[[ExitStack, Bench], Measure]:
    def set_up(stack: ExitStack, bench: Bench) -> Measure:
        first, second = bench.places
        if second is None:
            raise Unable("this process may use one processor only, and it takes two")
        rig = Rig(stack, "ipi.bin", system=bench.system, mode=Mode.REAL, smp=2)
        rig.parameter(HALTS, int(halts))
        rig.parameter(GAP, gap(bench.calibration.instruction_ns) if halts else 0)
        # the first processor's thread, in its device
        away = Done(lambda: os.sched_setaffinity(0, [first]))
        rig.machine.ports.attach(BENCH_PIN, 1, away)

        def measure(count: int) -> Sample:
            # the second processor's thread begins where this one is
            os.sched_setaffinity(0, [second])
            try:
                return rig.turns(count)
            finally:
                os.sched_setaffinity(0, [first])

        return measure

    return set_up


def gap(instruction_ns: float) -> int:
    """How many turns of an empty loop, of two instructions, take as long as a sleep."""
    return max(int(ASLEEP_NS / 2 / instruction_ns), 1) if instruction_ns else 1


KINDS = (
    Kind(
        "irqfd",
        "OUT to irqfd to handler",
        "from an OUT whose device in C writes an eventfd, over KVM_IRQFD and an MSI, to the "
        f"handler's first instruction, the OUT included; {BY_GUEST}",
        _irqfd,
        by_guest=True,
        instructions=1,
        needs=("irqfd", "msi"),
    ),
    Kind(
        "ipi-self",
        "IPI to itself",
        "from WRMSR to the interrupt command register, x2APIC mode, to the handler's first "
        f"instruction; {BY_GUEST}",
        _self_ipi,
        by_guest=True,
        instructions=3,
        needs=("msi",),
    ),
    Kind(
        "ipi",
        "IPI to another processor",
        "from WRMSR to the interrupt command register until the handler on another processor, "
        f"which spins, has written to memory; {BY_GUEST}",
        _to_another(halts=False),
        by_guest=True,
        instructions=4,
        needs=("msi",),
    ),
    Kind(
        "hlt-wake",
        "HLT, woken by an IPI",
        "the same to a processor that has halted, in KVM, for 0.5 ms: it wakes, and its handler "
        f"writes to memory; {BY_GUEST}",
        _to_another(halts=True),
        by_guest=True,
        instructions=4,
        needs=("msi",),
    ),
)
