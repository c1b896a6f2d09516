"""A hypervisor in pure Python: fcntl.ioctl for KVM, ctypes for the address of RAM.

What somebody writes who wants KVM from Python without an extension.  It runs real-mode code and
hands I/O to one function; `peer_loops.py` measures it.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import time
from collections.abc import Callable
from fcntl import ioctl

KVM_CREATE_VM = 0xAE01
KVM_GET_VCPU_MMAP_SIZE = 0xAE04
KVM_CREATE_VCPU = 0xAE41
KVM_SET_USER_MEMORY_REGION = 0x4020AE46
KVM_SET_TSS_ADDR = 0xAE47
KVM_RUN = 0xAE80
KVM_SET_REGS = 0x4090AE82
KVM_GET_SREGS = 0x8138AE83
KVM_SET_SREGS = 0x4138AE84
KVM_EXIT_IO = 2

RAM = 0x10000
LOAD = 0x1000
TSS = 0x7FFBD000
"""Three pages without RAM, for Intel's real mode; fcntl.ioctl takes a C int."""

SREGS_SIZE = 0x138
CS_BASE, CS_SELECTOR = slice(0, 8), slice(12, 14)
REGS = struct.Struct("<16QQQ")
"""RAX to R15, RIP, RFLAGS."""

REGION = struct.Struct("<IIQQQ")
EXIT_REASON = struct.Struct("<8xI")
EXIT_IO = struct.Struct("<32xBBHIQ")
"""Direction (1: out), size, port, count, offset of the data."""

OnOut = Callable[[int, int, int], None]
"""Called with port, size in bytes and value."""


class CtypesLoop:
    """A VM with 64 KiB, a vCPU at `code`, and a loop around KVM_RUN.

    Args:
        code: real-mode code for 0x1000.
        on_out: gets what the guest writes to ports.

    Raises:
        OSError: KVM refuses.
    """

    def __init__(self, code: bytes, on_out: OnOut) -> None:
        self._on_out = on_out
        self._kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
        self._vm = ioctl(self._kvm, KVM_CREATE_VM, 0)
        ioctl(self._vm, KVM_SET_TSS_ADDR, TSS)
        self._ram = mmap.mmap(-1, RAM)
        self._ram[LOAD : LOAD + len(code)] = code
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._ram))
        ioctl(self._vm, KVM_SET_USER_MEMORY_REGION, REGION.pack(0, 0, 0, RAM, address))
        self._vcpu = ioctl(self._vm, KVM_CREATE_VCPU, 0)
        self._page = mmap.mmap(self._vcpu, ioctl(self._kvm, KVM_GET_VCPU_MMAP_SIZE, 0))
        sregs = bytearray(SREGS_SIZE)
        ioctl(self._vcpu, KVM_GET_SREGS, sregs)
        sregs[CS_BASE], sregs[CS_SELECTOR] = bytes(8), bytes(2)
        ioctl(self._vcpu, KVM_SET_SREGS, sregs)
        ioctl(self._vcpu, KVM_SET_REGS, REGS.pack(*[0] * 16, LOAD, 2))

    def run(self, exits: int) -> float:
        """Take that many I/O exits; returns the seconds they took.

        Raises:
            OSError: KVM_RUN failed.
            RuntimeError: the guest did something else than I/O.
        """
        vcpu, page, on_out = self._vcpu, self._page, self._on_out
        start = time.monotonic_ns()
        for _ in range(exits):
            ioctl(vcpu, KVM_RUN, 0)
            (reason,) = EXIT_REASON.unpack_from(page)
            if reason != KVM_EXIT_IO:
                raise RuntimeError(f"exit reason {reason}")
            is_out, size, port, count, at = EXIT_IO.unpack_from(page)
            if is_out:
                for i in range(at, at + size * count, size):
                    on_out(port, size, int.from_bytes(page[i : i + size], "little"))
        return (time.monotonic_ns() - start) / 1e9

    def close(self) -> None:
        """Give all of it back."""
        self._page.close()
        for descriptor in (self._vcpu, self._vm, self._kvm):
            os.close(descriptor)
