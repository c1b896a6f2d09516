"""What interrupts a program: exceptions, software and external interrupts, as values.

SDM vol. 3A, chapter 6: which vector is which, which push an error code, and what becomes of a fault
in delivering another one.
"""

from __future__ import annotations

from typing import NamedTuple

DIVIDE_ERROR = 0
DEBUG = 1
NMI = 2
BREAKPOINT = 3
OVERFLOW = 4
INVALID_OPCODE = 6
DOUBLE_FAULT = 8
INVALID_TSS = 10
SEGMENT_NOT_PRESENT = 11
STACK_FAULT = 12
GENERAL_PROTECTION = 13
PAGE_FAULT = 14
ALIGNMENT_CHECK = 17
MACHINE_CHECK = 18

HAVE_ERROR_CODE = frozenset((*(DOUBLE_FAULT, INVALID_TSS, SEGMENT_NOT_PRESENT, STACK_FAULT),
                             *(GENERAL_PROTECTION, PAGE_FAULT, ALIGNMENT_CHECK)))  # fmt: skip
"""Exceptions that push an error code (SDM vol. 3A, table 6-1)."""

_TRAPS_AND_ABORTS = frozenset((DEBUG, NMI, BREAKPOINT, OVERFLOW, DOUBLE_FAULT, MACHINE_CHECK))
_EXCEPTIONS = 32
_CONTRIBUTORY = frozenset(
    (DIVIDE_ERROR, INVALID_TSS, SEGMENT_NOT_PRESENT, STACK_FAULT, GENERAL_PROTECTION)
)

EXTERNAL = 1
"""EXT of an error code: what was being delivered was none of the program's own asking."""

IDT = 2
"""Of an error code: its index is one of the interrupt descriptor table."""


class Event(NamedTuple):
    """Something to be delivered.

    Attributes:
        vector: 0 to 255.
        error_code: what an exception pushes; None where there is none.
        is_software: an instruction asked for it (INT n, INT3, INTO).
        is_external: it comes from an interrupt controller.
    """

    vector: int
    error_code: int | None = None
    is_software: bool = False
    is_external: bool = False

    @property
    def is_exception(self) -> bool:
        """Whether the processor itself found cause for it."""
        return not (self.is_software or self.is_external) and self.vector < _EXCEPTIONS

    @property
    def is_fault(self) -> bool:
        """Whether the instruction will be done again, for which the saved RFLAGS.RF is set."""
        return self.is_exception and self.vector not in _TRAPS_AND_ABORTS

    @property
    def ext(self) -> int:
        """EXT in the error code of a fault that comes of delivering it."""
        return 0 if self.is_software else EXTERNAL


def exception(vector: int, error_code: int) -> Event:
    """An exception; `error_code` counts where there is one."""
    return Event(vector, error_code if vector in HAVE_ERROR_CODE else None)


class Fault(Exception):
    """A fault in delivering something.

    Attributes:
        vector, error_code: the exception that it is.
        address: for CR2, if it is a page fault.
    """

    def __init__(self, vector: int, error_code: int = 0, address: int | None = None) -> None:
        super().__init__(f"exception {vector}, error code {error_code:#x}")
        self.vector = vector
        self.error_code = error_code
        self.address = address


class TripleFault(Exception):
    """A fault in delivering a double fault: the processor shuts down."""


class TaskGateMet(Exception):
    """What is to be delivered goes through a task gate, which pykvm does not play."""


def after_fault(event: Event, fault: Fault) -> Event:
    """What is delivered instead, when a fault comes of delivering `event` (SDM vol. 3A, table 6-5).

    Raises:
        TripleFault: nothing can be.
    """
    if event.is_exception:
        serious = fault.vector in _CONTRIBUTORY or fault.vector == PAGE_FAULT
        if event.vector == DOUBLE_FAULT and serious:
            raise TripleFault
        if event.vector in _CONTRIBUTORY and fault.vector in _CONTRIBUTORY:
            return Event(DOUBLE_FAULT, 0)
        if event.vector == PAGE_FAULT and serious:
            return Event(DOUBLE_FAULT, 0)
    return exception(fault.vector, fault.error_code)
