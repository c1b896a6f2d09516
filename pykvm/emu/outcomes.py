"""What comes out of the emulator, and who answers what must be answered within."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Out(NamedTuple):
    """The guest wrote to a port; the instruction is done."""

    port: int
    size: int
    value: int


class Raised(NamedTuple):
    """An exception or software interrupt, which is not delivered yet.

    Attributes:
        vector: which.
        error_code: what an exception would push.
        is_software: RIP is behind the INT that asked for it, else at the instruction that failed.
    """

    vector: int
    error_code: int
    is_software: bool


class Called(NamedTuple):
    """SYSCALL or SYSENTER, which is not done yet.

    Attributes:
        is_syscall: which.
        address, behind: its linear address and that of the next instruction.
    """

    is_syscall: bool
    address: int
    behind: int


class Stopped(NamedTuple):
    """The guest halts, or `stop` was called: both may be."""


class Failed(NamedTuple):
    """The emulator cannot go on.

    Attributes:
        number: Unicorn's error number.
        words: what it says.
    """

    number: int
    words: str


Outcome = Out | Raised | Called | Stopped | Failed


class Handlers(NamedTuple):
    """What answers the guest's accesses.

    Attributes:
        may_access_port: called with port and size, where it is not certain; `Engine.state` is as
            before the instruction.
        port_read: called with port and size; returns the value.
        memory_read: called with a physical address and a size; returns the value.
        memory_write: called with a physical address, a size and a value.
        cpuid: called with EAX and ECX; returns EAX, EBX, ECX and EDX; None for Unicorn's own.
    """

    may_access_port: Callable[[int, int], bool]
    port_read: Callable[[int, int], int]
    memory_read: Callable[[int, int], int]
    memory_write: Callable[[int, int, int], None]
    cpuid: Callable[[int, int], tuple[int, int, int, int]] | None = None
