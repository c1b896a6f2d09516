"""A guest in long mode, as lab 1 made one in real mode: complete."""

import ctypes
import mmap
from dataclasses import replace

from longmode import enter

from pykvm.kvm import System, Vcpu, Vm

RAM_SIZE = 0x40_0000  # 4 MiB, at guest-physical address 0
LOAD_ADDRESS = 0x1000


def run(code: bytes, tables: bytes, at: int, entry: int, stack: int) -> str:
    """Run `code`, which is put at physical 0x1000, from linear address `entry` to its exit.

    Args:
        code: 64-bit.
        tables: what `build` returned.
        at: where they go, and what CR3 is.
        entry, stack: RIP and RSP: linear addresses.

    Returns:
        the exit, and RAX.
    """
    ram = mmap.mmap(-1, RAM_SIZE)
    ram[LOAD_ADDRESS : LOAD_ADDRESS + len(code)] = code
    ram[at : at + len(tables)] = tables
    host_address = ctypes.addressof(ctypes.c_char.from_buffer(ram))
    with System() as system, Vm(system) as vm, Vcpu(vm, 0) as vcpu:
        vm.set_memory_slot(0, gpa=0, size=RAM_SIZE, host_address=host_address)
        vcpu.set_cpuid2(system.supported_cpuid())
        sregs = vcpu.get_sregs()
        enter(sregs, at)
        vcpu.set_sregs(sregs)
        vcpu.set_regs(replace(vcpu.get_regs(), rip=entry, rsp=stack))
        exit = vcpu.run()
        return f"{exit}, RAX {vcpu.get_regs().rax:#x}"
