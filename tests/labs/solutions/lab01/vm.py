"""Lab 1, solved."""

import ctypes
import mmap
from dataclasses import replace

from pykvm.kvm import System, Vcpu, Vm
from pykvm.kvm.exits import Hlt, Intr, Io

RAM_SIZE = 0x10000
LOAD_ADDRESS = 0x1000


def run(code: bytes, ax: int) -> int:
    ram = mmap.mmap(-1, RAM_SIZE)
    host_address = ctypes.addressof(ctypes.c_char.from_buffer(ram))
    ram[LOAD_ADDRESS : LOAD_ADDRESS + len(code)] = code
    with System() as system, Vm(system) as vm:
        vm.set_memory_slot(0, gpa=0, size=RAM_SIZE, host_address=host_address)
        with Vcpu(vm, 0) as vcpu:
            sregs = vcpu.get_sregs()
            sregs.cs = sregs.cs._replace(base=0, selector=0)
            vcpu.set_sregs(sregs)
            vcpu.set_regs(replace(vcpu.get_regs(), rip=LOAD_ADDRESS, rax=ax, rflags=2))
            while not isinstance(exit := vcpu.run(), Hlt):
                if not isinstance(exit, Io | Intr):
                    raise RuntimeError(f"the guest ended with {exit}")
            return vcpu.get_regs().rax & 0xFFFF
