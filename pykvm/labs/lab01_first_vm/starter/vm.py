"""Lab 1: a virtual machine by hand.

Write `run`.  `python vm.py` tries it on a guest of five instructions.
"""

import ctypes
import mmap
from dataclasses import replace

from pykvm.kvm import System, Vcpu, Vm
from pykvm.kvm.exits import Hlt

RAM_SIZE = 0x10000  # 64 KiB, at guest-physical address 0
LOAD_ADDRESS = 0x1000


def run(code: bytes, ax: int) -> int:
    """Run `code` in real mode, with `ax` in AX, until it halts; return what AX is then.

    Raises RuntimeError, naming the exit, if the guest ends in another way than HLT.
    """
    ram = mmap.mmap(-1, RAM_SIZE)  # the guest's memory is a piece of this process's memory
    host_address = ctypes.addressof(ctypes.c_char.from_buffer(ram))
    # 1. open /dev/kvm, make a VM
    # 2. put `code` into RAM, and RAM into memory slot 0
    # 3. make a vCPU; have it begin at LOAD_ADDRESS
    # 4. enter it until it halts
    raise NotImplementedError


if __name__ == "__main__":
    GUEST = bytes.fromhex(
        "01 c0"  # add ax, ax
        "bb 03 00"  # mov bx, 3
        "01 d8"  # add ax, bx
        "e6 80"  # out 0x80, al
        "f4"  # hlt
    )
    print(run(GUEST, 20), "should be 43")
