"""Lab 11: the host's side of a paravirtual console.

Write the class.  `python device.py IMAGE LENGTH` runs a guest image with it at ports 0xC00 to
0xC0F, and counts its exits.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from pykvm.bus import Device
from pykvm.errors import GuestCrash, ImageError
from pykvm.memory import GuestMemory

BASE, PORTS = 0xC00, 16
MOST = 4096  # bytes that one access to a port may send


class Console(Device):
    """Sixteen ports, which mean what you say, and a ring in the guest's RAM.

    Args:
        memory: the guest's RAM: contains(address, length), read(address, length),
            write(address, data), read_uint(address, size), write_uint(address, size, value).
        send: call it with bytes, in order; it returns how many of them, from the first on, it
            took.  The others are to be sent again later.
    """

    name = "paravirtual console"
    width = 4  # the widest access that `read` and `write` get

    def __init__(self, memory: GuestMemory, send: Callable[[bytes], int]) -> None:
        self._memory = memory
        self._send = send

    def read(self, offset: int, size: int) -> int:
        """The guest reads `size` bytes at port BASE + `offset`."""
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """The guest writes `value`, of `size` bytes, to port BASE + `offset`."""


def try_it(image: Path, length: int) -> None:
    """Run the guest, and tell what came out and what it cost."""
    from pykvm.machine import Machine
    from pykvm.x86 import Mode

    sent = bytearray()

    def send(data: bytes) -> int:
        sent.extend(data)
        return len(data)

    with Machine("1M", stats=True) as machine:
        machine.ports.attach(BASE, PORTS, Console(machine.memory, send))
        machine.load(image, mode=Mode.PROTECTED, bios=False)
        machine.memory.write_uint(0x1004, 4, length)
        machine.memory.write_uint(0x1008, 4, 2024)
        try:
            end = machine.run(timeout=5).reason.value
        except GuestCrash as crash:
            rip = machine.cpus[0].vcpu.get_regs().rip
            end = f"crashed at RIP {rip:#x}: {crash.cause}"
        stats = machine.stats()
        print(f"{end}; by the ring {bytes(sent[:40])}, {len(sent)} bytes")
        print(f"by COM1 {machine.output[:40]}, {len(machine.output)} bytes")
        print(f"exits: {stats.exits.get('KVM_EXIT_IO', 0)}, by port:", end="")
        print("".join(f" {port:#x}: {count}" for port, count in stats.ports.items()))


if __name__ == "__main__":
    if len(sys.argv) != 3 or not sys.argv[2].isdecimal():
        sys.exit("python device.py IMAGE LENGTH")
    try:
        try_it(Path(sys.argv[1]), int(sys.argv[2]))
    except ImageError as error:  # `pykvm lab asm` makes it
        sys.exit(f"device: {error}")
