"""The one way to the kernel: every ioctl of this package goes through `call`.

Tests make any ioctl fail by replacing it, so nothing binds the function itself: callers write
`ioctl.call(...)`.  (The run loop's KVM_RUN is in C; `Vcpu.run` is here.)
"""

from __future__ import annotations

from typing import Any

from pykvm._shim import lib
from pykvm.errors import KvmIoctlError


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
