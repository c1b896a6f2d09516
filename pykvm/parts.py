"""Making what a machine consists of: RAM where the guest sees it, processors around one VM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm._shim import ffi
from pykvm.cpu.kvm import KvmCpu
from pykvm.layout import IDENTITY_MAP_ADDRESS, TSS_ADDRESS

if TYPE_CHECKING:
    import threading
    from contextlib import ExitStack

    from pykvm.bus import Bus
    from pykvm.controllers import NoControllers
    from pykvm.cpu.processors import Processors
    from pykvm.cpu.stop import StopRequest
    from pykvm.kvm.routes import Routes
    from pykvm.kvm.vm import Vm
    from pykvm.memory import GuestMemory


def place_memory(vm: Vm, memory: GuestMemory) -> None:
    """Give a VM its RAM, and KVM the addresses that it needs for itself on Intel hosts."""
    vm.set_tss_address(TSS_ADDRESS)
    vm.set_identity_map_address(IDENTITY_MAP_ADDRESS)
    for slot, region in enumerate(memory.regions):
        with ffi.from_buffer(region.view) as start:
            address = int(ffi.cast("uintptr_t", start))
        vm.set_memory_slot(slot, region.gpa, region.size, address)


def make_cpus(
    vm: Vm,
    count: int,
    undo: ExitStack,
    *,
    ports: Bus,
    mmio: Bus,
    memory: GuestMemory,
    routes: Routes,
    requests: StopRequest,
    lock: threading.RLock,
    controllers: NoControllers,
    processors: Processors,
    stats: bool,
) -> tuple[KvmCpu, ...]:
    """Make `count` processors, after the interrupt controllers; `undo` closes them."""
    cpus: list[KvmCpu] = []
    cpuid = vm.system.supported_cpuid_raw()
    for index in range(count):
        cpu = KvmCpu(
            vm,
            index,
            count=count,
            cpuid=cpuid,
            ports=ports,
            mmio=mmio,
            memory=memory,
            routes=routes,
            requests=requests,
            lock=lock,
            end_of_interrupt=controllers.end_of_interrupt,
            on_sleep=processors.on_sleep,
            has_apic=controllers.has_apics,
            budget=cpus[0].loop.budget_cell if cpus else None,
            stats=stats,
        )
        undo.callback(cpu.close)
        cpus.append(cpu)
    return tuple(cpus)
