"""Lab 8, part 3: a printer that fetches its text from the guest's memory.

`python count.py batch` runs your driver with it.
"""

from collections.abc import Callable

from pykvm.bus import Device
from pykvm.errors import GuestMemoryError
from pykvm.memory import Gpa, GuestMemory

ADDRESS, LENGTH, DOORBELL = 0, 4, 8  # offsets; all take 4 bytes
STATUS = DOORBELL  # read

OK, NO_MEMORY, TOO_LONG = range(3)  # in STATUS
LARGEST = 4096  # bytes that one ring of the doorbell may print


class BatchPrinter(Device):
    """Three registers of 32 bits.

    Args:
        memory: the guest's RAM: `memory.read(Gpa(address), length)` gives bytes, or raises
            GuestMemoryError if they are not all RAM.
        send: call it with the characters that are printed.
    """

    name = "batch printer"
    width = 4

    def __init__(self, memory: GuestMemory, send: Callable[[bytes], None]) -> None:
        self._memory = memory
        self._send = send

    def read(self, offset: int, size: int) -> int:
        """The guest reads `size` bytes (1, 2 or 4)."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """The guest writes `size` bytes (1, 2 or 4)."""
        raise NotImplementedError
