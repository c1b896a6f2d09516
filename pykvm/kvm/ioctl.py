"""The one way to the kernel: every ioctl of this package goes through `call`.

Tests make any ioctl fail by replacing it, and `pykvm.kvm.journal` notes what is called, so nothing
binds the functions themselves: callers write `ioctl.call(...)`.  (The run loop's KVM_RUN is in C;
`Vcpu.run` is here.)
"""

from __future__ import annotations

import os

from pykvm._shim import ffi, lib
from pykvm.errors import KvmIoctlError
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

_MAP_FAILED = ffi.cast("void *", -1)


def open_device(path: str) -> int:
    """Open a device node for reading and writing; returns the descriptor, or raises OSError."""
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def map_shared(fd: int, size: int) -> Any:
    """Map `size` bytes of `fd`, to be read and written together with the kernel.

    Returns:
        the address, a cffi `void *`.

    Raises:
        KvmIoctlError: it failed; `ioctl` is "mmap".
    """
    address = lib.mmap(ffi.NULL, size, lib.PROT_READ | lib.PROT_WRITE, lib.MAP_SHARED, fd, 0)
    if address == _MAP_FAILED:
        raise KvmIoctlError("mmap", ffi.errno, "the vCPU's run page")
    return address


def call(fd: int, name: str, argument: Any = 0) -> int:
    """Do the ioctl `name` (as the KVM API document spells it) on `fd`.

    Args:
        fd: a system, VM or vCPU descriptor.
        name: e.g. "KVM_GET_REGS".
        argument: a cffi pointer to the ioctl's struct, or a number for one that takes a value.

    Returns:
        What the ioctl returns, never negative.

    Raises:
        KvmIoctlError: it failed; `errno` says how.
    """
    request = getattr(lib, name)
    if isinstance(argument, int):
        result: int = lib.shim_ioctl_value(fd, request, argument)
    else:
        result = lib.shim_ioctl(fd, request, argument)
    if result < 0:
        raise KvmIoctlError(name, -result)
    return result
