"""`pykvm bench boot`: what a machine takes from nothing to its guest's first instruction, and away.

The guest's first instruction is an OUT to a device that looks at the clock; then it sends a byte to
COM1, and ends the machine by the debug exit device.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from pykvm._shim import lib
from pykvm.bench import host
from pykvm.bench.processors import pinned
from pykvm.bench.samples import chosen, measure_of, now, pairs_of, ratio_of, result_of
from pykvm.bus import Device
from pykvm.cpu.stop import StopReason
from pykvm.errors import BenchError
from pykvm.kvm.system import System
from pykvm.kvm.vcpu import Vcpu
from pykvm.kvm.vm import Vm
from pykvm.layout import BENCH_PORT, DEFAULT_RAM
from pykvm.machine import Machine
from pykvm.memory import GuestMemory
from pykvm.parts import place_memory
from pykvm.pool import MachinePool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pykvm.bench.options import Options, Progress
    from pykvm.bench.result import Ratio, Result

GUEST = bytes.fromhex(
    "e6 10"  # out 0x10, al
    "ba f8 03"  # mov dx, 0x3f8
    "ee"  # out dx, al
    "e6 f4"  # out 0xf4, al
)

ROUNDS, QUICK_ROUNDS = 7, 3
STARTS, QUICK_STARTS = 30, 8
"""How many machines are started in a round, each way."""

POOL_SIZE = 2
TIMEOUT = 10.0
POOL_GOAL = 1.5

KINDS = {
    "boot-vm": ("a VM", "KVM_CREATE_VM, and what asks for it"),
    "boot-memory": ("RAM", "16 MiB of RAM, mapped and given to a VM as a memory slot"),
    "boot-vcpu": ("a vCPU", "KVM_CREATE_VCPU, its run page, and what CPUID tells it"),
    "boot-machine": ("a whole machine", "Machine(): VM, RAM, interrupt controllers, devices, vCPU"),
    "boot-load": ("its guest, loaded", "Machine.load() of 8 bytes, entered in real mode"),
    "boot-first-instruction": (
        "first instruction",
        "from Machine.run() to the device that the first instruction, an OUT, writes to",
    ),
    "boot-first-byte": (
        "first byte out",
        "from Machine.run() to the first byte at the sink of COM1",
    ),
    "boot-exit": (
        "exit",
        "from the guest's OUT to the debug exit device to Machine.run()'s return",
    ),
    "boot-destroy": ("destroyed", "Machine.close()"),
    "boot-cold": (
        "cold start",
        "from opening /dev/kvm to the guest's first instruction, at a device in Python",
    ),
    "boot-pool": (
        "start from a pool",
        "from MachinePool.take() to the guest's first instruction, at a device in Python",
    ),
    "boot-bare": (
        "bare KVM_RUN",
        "the first KVM_RUN of a machine that is made and loaded, to its return with the first exit",
    ),
}
"""Titles and what is measured, by kind, in the order to show them."""


class Stamps(Device):
    """Notes when the guest's first instruction reached it."""

    name = "bench"

    def __init__(self) -> None:
        self.at = 0

    def write(self, offset: int, size: int, value: int) -> None:
        """Note the time."""
        self.at = time.perf_counter_ns()


class StampSink:
    """Notes when the first byte reached it."""

    def __init__(self) -> None:
        self.at = 0

    def write(self, data: bytes) -> None:
        """Note the time."""
        self.at = self.at or time.perf_counter_ns()


class Started(NamedTuple):
    """When a guest did what, in ns; see `run_to_end`."""

    instruction: int
    byte: int
    end: int


def kinds() -> list[tuple[str, str]]:
    """Names and titles of what is measured."""
    return [(kind, title) for kind, (title, _) in KINDS.items()]


def run(options: Options, progress: Progress) -> Result:
    """Measure.

    Raises:
        BenchError: there is no such kind, or processor.
        KvmUnavailable: there is no usable /dev/kvm.
    """
    wanted = chosen(options.only, KINDS)
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    starts = QUICK_STARTS if options.quick else STARTS
    started = now()
    found: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    with ExitStack() as stack:
        system = stack.enter_context(System())
        # first, so that the thread that makes its machines is not held to the processor that runs
        # them
        pool = stack.enter_context(
            MachinePool(POOL_SIZE, GUEST, prepare=attach, load={"bios": False}, system=system)
        )
        places = stack.enter_context(pinned(options.cpu))
        facts = host.describe(places.first, system)
        start_all_ways(system, pool)
        for done in range(rounds):
            progress(done * starts, rounds * starts, f"round {done + 1} of {rounds}")
            for kind in KINDS:
                found[kind].append([])
            for _ in range(starts):
                for kind, ns in start_all_ways(system, pool):
                    found[kind][-1].append(ns)
        progress(rounds * starts, rounds * starts, "")
    rows = [measure_of(kind, *KINDS[kind], found[kind]) for kind in KINDS if kind in wanted]
    return result_of(options, started, facts, list(rows), _scale(found))


def _scale(found: dict[str, list[list[float]]]) -> list[Ratio]:
    return [
        ratio_of(
            "start from a pool",
            "bare KVM_RUN",
            pairs_of(found["boot-pool"], found["boot-bare"]),
            POOL_GOAL,
        ),
        ratio_of(
            "cold start", "start from a pool", pairs_of(found["boot-cold"], found["boot-pool"])
        ),
    ]


def attach(machine: Machine) -> None:
    """Give a machine the device that its guest's first instruction writes to."""
    machine.ports.attach(BENCH_PORT, 1, Stamps())


def start_all_ways(system: System, pool: MachinePool) -> Iterator[tuple[str, float]]:
    """Start a guest cold, from the pool, and by bare KVM_RUN, one after the other."""
    yield from parts(system)
    yield from cold()
    pool.wait_until_full(TIMEOUT)
    yield "boot-pool", from_pool(pool)
    pool.wait_until_full(TIMEOUT)
    yield "boot-bare", bare(pool)


def parts(system: System) -> Iterator[tuple[str, float]]:
    """What a machine is made of, each alone."""
    supported = system.supported_cpuid_raw()
    with ExitStack() as stack:
        start = time.perf_counter_ns()
        vm = stack.enter_context(Vm(system))
        yield "boot-vm", time.perf_counter_ns() - start
        start = time.perf_counter_ns()
        memory = stack.enter_context(GuestMemory(DEFAULT_RAM))
        place_memory(vm, memory)
        yield "boot-memory", time.perf_counter_ns() - start
        start = time.perf_counter_ns()
        vcpu = stack.enter_context(Vcpu(vm, 0))
        vcpu.set_cpuid2(supported)
        yield "boot-vcpu", time.perf_counter_ns() - start


def cold() -> Iterator[tuple[str, float]]:
    """From nothing to the first instruction, then to the end, and away."""
    stamps, sink = Stamps(), StampSink()
    before = time.perf_counter_ns()
    with System() as system:
        start = time.perf_counter_ns()
        machine = Machine(serial=sink, system=system)
        made = time.perf_counter_ns()
        try:
            machine.ports.attach(BENCH_PORT, 1, stamps)
            loading = time.perf_counter_ns()
            machine.load(GUEST, bios=False)
            loaded = time.perf_counter_ns()
            run_to_end(machine)
            ended = time.perf_counter_ns()
        except BaseException:
            machine.close()
            raise
        closing = time.perf_counter_ns()
        machine.close()
        closed = time.perf_counter_ns()
    yield "boot-machine", made - start
    yield "boot-load", loaded - loading
    yield "boot-first-instruction", stamps.at - loaded
    yield "boot-first-byte", sink.at - loaded
    yield "boot-exit", ended - sink.at
    yield "boot-destroy", closed - closing
    yield "boot-cold", stamps.at - before


def from_pool(pool: MachinePool) -> float:
    """From asking the pool to the first instruction, in ns."""
    start = time.perf_counter_ns()
    with pool.take(TIMEOUT) as machine:
        run_to_end(machine)
        attached = machine.ports.find(BENCH_PORT)
        assert attached is not None
        assert isinstance(attached.device, Stamps)
        return attached.device.at - start


def bare(pool: MachinePool) -> float:
    """The first KVM_RUN alone, in ns."""
    with pool.take(TIMEOUT) as machine:
        vcpu = machine.cpus[0].vcpu
        ioctl, fd, request = lib.shim_ioctl_value, vcpu.fd, lib.KVM_RUN
        start = time.perf_counter_ns()
        error = ioctl(fd, request, 0)
        end = time.perf_counter_ns()
        if error < 0 or vcpu.page.run.exit_reason != lib.KVM_EXIT_IO:
            raise BenchError("the guest does not come to its first instruction: see `pykvm doctor`")
        return end - start


def run_to_end(machine: Machine) -> None:
    """Run the guest.

    Raises:
        BenchError: it does not end as it should.
    """
    stop = machine.run(timeout=TIMEOUT)
    if stop.reason is not StopReason.DEBUG_EXIT:
        raise BenchError(f"the guest ended by {stop.reason.value}: see `pykvm doctor`")
