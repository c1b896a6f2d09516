"""Making what a machine consists of: RAM where the guest sees it, processors around one VM."""

from __future__ import annotations

from pykvm._shim import ffi, lib
from pykvm.cpu.kvm import KvmCpu
from pykvm.cpu.model import CpuModel, cpuid_for
from pykvm.cpu.topology import find_leaves
from pykvm.errors import GuestMemoryError
from pykvm.kvm.system import read_cpuid
from pykvm.kvm.vm import Vm
from pykvm.layout import IDENTITY_MAP_ADDRESS, MIN_RAM, TSS_ADDRESS
from pykvm.named import TYPE_CHECKING
from pykvm.sizes import parse_size

if TYPE_CHECKING:
    import threading
    from collections.abc import Sequence
    from contextlib import ExitStack

    from pykvm.boot.platform import Platform
    from pykvm.controllers import NoControllers
    from pykvm.cpu.shared import Shared
    from pykvm.memory import GuestMemory


def ram_size(memory: int | str) -> int:
    """Bytes of RAM, from a number or a text.

    Raises:
        GuestMemoryError: it is no size, or too little.
    """
    size = parse_size(memory) if isinstance(memory, str) else memory
    if size < MIN_RAM:
        raise GuestMemoryError(
            f"a machine needs at least {MIN_RAM >> 10} KiB of RAM, not {size} bytes"
        )
    return size


def place_memory(vm: Vm, memory: GuestMemory) -> None:
    """Give a VM its RAM, and KVM the addresses that it needs for itself on Intel hosts."""
    vm.set_tss_address(TSS_ADDRESS)
    vm.set_identity_map_address(IDENTITY_MAP_ADDRESS)
    for slot, region in enumerate(memory.regions):
        with ffi.from_buffer(region.view) as start:
            address = int(ffi.cast("uintptr_t", start))
        vm.set_memory_slot(slot, region.gpa, region.size, address)


def make_cpus(
    vm: Vm, count: int, shared: Shared, undo: ExitStack, *, model: CpuModel, stats: bool
) -> tuple[KvmCpu, ...]:
    """Make the processors, after the interrupt controllers.

    Args:
        vm: what they belong to.
        count: how many.
        shared: the rest of the machine.
        undo: closes them.
        model: what they are.
        stats: as for `KvmCpu`.

    Raises:
        CpuModelError: the host does not offer a feature of `model`.
    """
    cpus: list[KvmCpu] = []
    supported = vm.system.supported_cpuid_raw()
    tsc_deadline = bool(vm.check(lib.KVM_CAP_TSC_DEADLINE_TIMER))
    for index in range(count):
        cpuid = cpuid_for(
            supported,
            index,
            count,
            lapic=shared.has_apics,
            tsc_deadline=tsc_deadline,
            model=model,
        )
        budget = cpus[0].loop.budget_cell if cpus else None
        cpu = KvmCpu(vm, index, cpuid, shared, alone=count == 1, budget=budget, stats=stats)
        undo.callback(cpu.close)
        cpus.append(cpu)
    if shared.has_apics and count > 1:
        # KVM finds a processor by a map of all local APICs, which it draws anew when one changes.
        # The last vCPU is not in it yet, and an INIT from a guest that changes none would be lost.
        cpus[-1].vcpu.set_lapic(cpus[-1].vcpu.get_lapic())
    return tuple(cpus)


def platform_of(cpus: Sequence[KvmCpu], controllers: NoControllers) -> Platform:
    """What firmware's tables are to tell of a machine, as it is."""
    from pykvm.boot.platform import Platform

    table = read_cpuid(cpus[0].vcpu.fd, "KVM_GET_CPUID2")
    _, leaf_1 = find_leaves(table, (1,))[0]
    return Platform(
        cpus=len(cpus),
        signature=leaf_1.eax,
        features=leaf_1.edx,
        ioapic_version=controllers.ioapic_version,
        has_pics=controllers.has_pics,
    )


def make_as_new(
    vm: Vm, cpus: Sequence[KvmCpu], controllers: NoControllers, lock: threading.RLock
) -> None:
    """Take back what the last image did to processors and interrupt controllers, if one ran.

    What KVM begins with is its own affair: it is copied from what is made for that.
    """
    if not any(cpu.has_run for cpu in cpus):
        return
    for cpu in cpus:
        cpu.settle()
    with Vm(vm.system) as other:
        new = type(controllers)(other)
        for cpu in cpus:
            cpu.reset(other)
        with lock:
            controllers.copy(new)
