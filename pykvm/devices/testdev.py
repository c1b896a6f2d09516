"""The test device: what test kernels for KVM want of a machine, as QEMU's pc-testdev gives it.

Four independent parts: a latch in the port space, a port that has a page's mapping forgotten,
one port for each interrupt line, and a piece of memory whose every access leaves the guest.  Not
here: QEMU's second window on the latch, ports 0xE8 to 0xEB, which tests QEMU's own bus and lies
across the debug console at 0xE9; and the exit port, which is `pykvm.devices.debug_exit`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from pykvm.bus import Device
from pykvm.errors import GuestMemoryError
from pykvm.irq import IrqLine
from pykvm.memory import Gpa
from pykvm.x86 import PAGE_SIZE

SCRATCH_LENGTH = 4
FLUSH_LENGTH = 4
LINES = 24
MEMORY_LENGTH = 64 << 10


class ScratchPort(Device):
    """A 32-bit latch: what was written to its bytes is read back, in whatever sizes."""

    name = "test device latch"
    width = 4

    def __init__(self) -> None:
        self._latch = bytearray(SCRATCH_LENGTH)

    def read(self, offset: int, size: int) -> int:
        """What the bytes hold."""
        return int.from_bytes(self._latch[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Keep the bytes."""
        self._latch[offset : offset + size] = value.to_bytes(size, "little")


class PageFlush(Device):
    """A 32-bit write has the mapping of one page forgotten, so that the next access makes it anew.

    What the page holds stays.  Narrower writes do nothing, nor do those of an address where no
    RAM is.

    Args:
        flush: forgets the mapping of the page at a guest-physical address; may raise
            `GuestMemoryError` if that is not RAM.
    """

    name = "test device page flush"
    width = 4

    def __init__(self, flush: Callable[[Gpa], None]) -> None:
        self._flush = flush

    def write(self, offset: int, size: int, value: int) -> None:
        """Forget the page that `value` lies in."""
        if size == FLUSH_LENGTH:
            with suppress(GuestMemoryError):
                self._flush(Gpa(value & -PAGE_SIZE))


class LinePorts(Device):
    """One port for each interrupt line: 0 releases it, anything else asserts it.

    Args:
        line: gives the line of an interrupt number, 0 to 23.
    """

    name = "test device interrupt lines"

    def __init__(self, line: Callable[[int], IrqLine]) -> None:
        self._lines = tuple(line(number) for number in range(LINES))

    def write(self, offset: int, size: int, value: int) -> None:
        """Drive line number `offset`."""
        self._lines[offset].set(value != 0)


class ScratchMemory(Device):
    """64 KiB that keep what is written to them: memory to read and write by exits alone."""

    name = "test device memory"
    width = 8

    def __init__(self) -> None:
        self._bytes = bytearray(MEMORY_LENGTH)

    def read(self, offset: int, size: int) -> int:
        """What the bytes hold."""
        return int.from_bytes(self._bytes[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """Keep the bytes."""
        self._bytes[offset : offset + size] = value.to_bytes(size, "little")
