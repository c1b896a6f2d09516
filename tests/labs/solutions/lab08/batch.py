"""Lab 8, part 3: a printer that fetches its text from the guest's memory."""

from collections.abc import Callable

from pykvm.bus import Device
from pykvm.errors import GuestMemoryError
from pykvm.memory import Gpa, GuestMemory

ADDRESS, LENGTH, DOORBELL = 0, 4, 8  # offsets; all take 4 bytes
STATUS = DOORBELL  # read

OK, NO_MEMORY, TOO_LONG = range(3)  # in STATUS
LARGEST = 4096  # bytes that one ring of the doorbell may print


class BatchPrinter(Device):
    """Three registers of 32 bits."""

    name = "batch printer"
    width = 4

    def __init__(self, memory: GuestMemory, send: Callable[[bytes], None]) -> None:
        self._memory = memory
        self._send = send
        self._registers = {ADDRESS: 0, LENGTH: 0, STATUS: OK}

    def read(self, offset: int, size: int) -> int:
        """The guest reads `size` bytes (1, 2 or 4)."""
        if size != 4:
            return 0xFFFFFFFF
        return self._registers.get(offset, 0xFFFFFFFF)

    def write(self, offset: int, size: int, value: int) -> None:
        """The guest writes `size` bytes (1, 2 or 4)."""
        if size != 4:
            return
        if offset == DOORBELL:
            self._registers[STATUS] = self._ring(self._registers[ADDRESS], self._registers[LENGTH])
        elif offset in self._registers:
            self._registers[offset] = value

    def _ring(self, address: int, length: int) -> int:
        if length > LARGEST:
            return TOO_LONG
        try:
            text = self._memory.read(Gpa(address), length)
        except GuestMemoryError:
            return NO_MEMORY
        self._send(text)
        return OK
