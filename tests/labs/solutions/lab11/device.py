"""Lab 11, solved: a ring of bytes with two free-running indices.

Port 0, 4 bytes: the ring's address; writing it resets the device.  Port 4: the doorbell.

    ring + 0   produced: how many bytes the driver has put in, modulo 2**32
    ring + 4   consumed: how many the device has taken out
    ring + 8   SIZE bytes
"""

from collections.abc import Callable

from pykvm.bus import Device
from pykvm.memory import GuestMemory

RING, BELL = 0, 4
SIZE = 1024
HEADER = 8
MASK = 0xFFFFFFFF


class Console(Device):
    name = "paravirtual console"
    width = 4

    def __init__(self, memory: GuestMemory, send: Callable[[bytes], int]) -> None:
        self._memory = memory
        self._send = send
        self._ring: int | None = None
        self._consumed = 0

    def read(self, offset: int, size: int) -> int:
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        if offset == RING and size == 4:
            fits = self._memory.contains(value, HEADER + SIZE)
            self._ring = value if fits else None
            self._consumed = 0
        elif offset == BELL and self._ring is not None:
            self._drain(self._ring)

    def _drain(self, ring: int) -> None:
        produced = self._memory.read_uint(ring, 4)
        waiting = (produced - self._consumed) & MASK
        if waiting > SIZE:
            return
        while waiting:
            start = self._consumed % SIZE
            data = self._memory.read(ring + HEADER + start, min(waiting, SIZE - start))
            taken = self._send(data)
            self._consumed = (self._consumed + taken) & MASK
            waiting -= taken
            if taken < len(data):
                break
        self._memory.write_uint(ring + 4, 4, self._consumed)
