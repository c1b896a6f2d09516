"""A guest in real mode, as lab 1 made it: complete, to be used by console.py."""

import ctypes
import mmap
from contextlib import ExitStack
from dataclasses import replace

from pykvm.kvm import System, Vcpu, Vm
from pykvm.kvm.exits import Exit

RAM_SIZE = 0x10000  # 64 KiB, at guest-physical address 0
LOAD_ADDRESS = 0x1000


class Guest:
    """One processor, 64 KiB of RAM, `code` at 0x1000, where it begins.  Use it with `with`."""

    def __init__(self, code: bytes) -> None:
        self._stack = ExitStack()
        self._ram = mmap.mmap(-1, RAM_SIZE)
        self._ram[LOAD_ADDRESS : LOAD_ADDRESS + len(code)] = code
        host_address = ctypes.addressof(ctypes.c_char.from_buffer(self._ram))
        vm = self._stack.enter_context(Vm(self._stack.enter_context(System())))
        vm.set_memory_slot(0, gpa=0, size=RAM_SIZE, host_address=host_address)
        self._vcpu = self._stack.enter_context(Vcpu(vm, 0))
        sregs = self._vcpu.get_sregs()
        sregs.cs = sregs.cs._replace(base=0, selector=0)
        self._vcpu.set_sregs(sregs)
        self._vcpu.set_regs(replace(self._vcpu.get_regs(), rip=LOAD_ADDRESS, rsp=LOAD_ADDRESS))

    def enter(self) -> Exit:
        """Run the guest until it exits; why it did.

        If the exit before was an IN, `reply` must have answered it.
        """
        return self._vcpu.run()

    def reply(self, data: bytes) -> None:
        """Answer an IN, with size * count bytes; the guest gets them at the next `enter`."""
        self._vcpu.page.reply_io(data)

    def __enter__(self) -> "Guest":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
