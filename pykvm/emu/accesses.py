"""What an emulated guest asks of devices: dispatched to the buses, counted, timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from pykvm.kvm import exits

if TYPE_CHECKING:
    import threading

    from pykvm.bus import Bus


class Accesses:
    """The way from the emulator to the buses.

    Args:
        ports, mmio: the buses.
        lock: held while devices are called.
        look: called after an access in the middle of an instruction: there may be reason to stop.
        detailed: count by port, too.

    Attributes:
        last: the access that was dispatched last.
        listener: told each exit, under the lock: a write before its device, a read with what was
            answered as its `data`.  None: nobody listens.
        exits: how many there were, named as KVM names its exits.
        by_port: those to ports, by port.
        left: how many exits may yet be taken; None for any number.
    """

    def __init__(
        self,
        ports: Bus,
        mmio: Bus,
        lock: threading.RLock,
        *,
        look: Callable[[], None],
        detailed: bool,
    ) -> None:
        self._ports, self._mmio, self._lock = ports, mmio, lock
        self._look = look
        self._detailed = detailed
        self.last: exits.Exit = exits.Intr()
        self.listener: Callable[[exits.Exit], None] | None = None
        self.exits: Counter[str] = Counter()
        self.by_port: Counter[int] = Counter()
        self.left: int | None = None

    def count(self, name: str, port: int | None = None) -> None:
        """Count an exit."""
        self.exits[name] += 1
        if self._detailed and port is not None:
            self.by_port[port] += 1
        if self.left is not None:
            self.left -= 1

    def tell(self, exit: exits.Exit) -> None:
        """Tell the listener, if there is one; under the lock."""
        if self.listener is not None:
            self.listener(exit)

    def halt(self) -> None:
        """HLT; under the lock."""
        self.count("KVM_EXIT_HLT")
        self.tell(exits.Hlt())

    def shut_down(self) -> None:
        """A triple fault; under the lock."""
        self.tell(exits.Shutdown())

    def write_port(self, port: int, size: int, value: int) -> None:
        """OUT, when the instruction is done; under the lock."""
        self.count("KVM_EXIT_IO", port)
        self.last = exits.Io(port, size, 1, True, value.to_bytes(size, "little"))
        self.tell(self.last)
        self._ports.write(port, size, value)

    def read_port(self, port: int, size: int) -> int:
        """IN."""
        self.count("KVM_EXIT_IO", port)
        return self._read(exits.Io(port, size, 1, False, b""), self._ports, port, size)

    def read_memory(self, gpa: int, size: int) -> int:
        """A read where no RAM is."""
        self.count("KVM_EXIT_MMIO")
        return self._read(exits.Mmio(gpa, size, False, b""), self._mmio, gpa, size)

    def write_memory(self, gpa: int, size: int, value: int) -> None:
        """A write where no RAM is."""
        self.count("KVM_EXIT_MMIO")
        self.last = exits.Mmio(gpa, size, True, value.to_bytes(size, "little"))
        with self._lock:
            self.tell(self.last)
            self._mmio.write(gpa, size, value)
        self._look()

    def _read(self, access: exits.Io | exits.Mmio, bus: Bus, address: int, size: int) -> int:
        self.last = access
        with self._lock:
            value = (1 << 8 * size) - 1  # what the guest gets if this raises
            try:
                value = bus.read(address, size)
            finally:
                if self.listener is not None:
                    self.listener(replace(access, data=value.to_bytes(size, "little")))
        self._look()
        return value
