"""Parts of `pykvm.cpu.kvm`: what a vCPU with its run loop can be asked, and its accesses."""

from __future__ import annotations

from pykvm._shim import ffi
from pykvm.errors import PykvmError
from pykvm.kvm.runloop import INTERRUPTED, NO_BUDGET
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from pykvm.bios.registers import Registers
    from pykvm.bus import Bus
    from pykvm.cpu.protocol import Counts
    from pykvm.kvm.runloop import RunLoop
    from pykvm.kvm.vcpu import Vcpu

SETTLING_EXITS = 4096
"""More exits than any string instruction takes in real mode."""


class LoopedVcpu:
    """A vCPU and its run loop.

    Attributes:
        vcpu, loop: as they say.
    """

    vcpu: Vcpu
    loop: RunLoop

    @property
    def counts(self) -> Counts:
        """What it has counted so far."""
        from pykvm.cpu.protocol import Counts
        from pykvm.kvm.decode import reason_name

        exits = {reason_name(r): count for r, count in self.loop.exits_by_reason().items()}
        return Counts(exits, self.loop.exits_by_port(), self.loop.inside_ns)

    def limit_exits(self, count: int | None) -> None:
        """Take so many exits and no more, shared with the others; None for any number."""
        self.loop.budget = NO_BUDGET if count is None else count

    def read_bios_registers(self) -> Registers | None:
        """What a BIOS service sees; None in protected mode, where there are none."""
        from pykvm.cpu.bios_registers import read_registers

        return read_registers(self.vcpu)

    def write_bios_registers(self, registers: Registers) -> None:
        """What it changed; RIP stays as it is."""
        from pykvm.cpu.bios_registers import write_registers

        write_registers(self.vcpu, registers)


def settle(loop: RunLoop) -> None:
    """Have KVM finish the access that the guest was stopped at; no further instruction runs.

    KVM does so when it is entered again, and would write a register, or go on behind the
    instruction, of whatever was loaded since (KVM API section 5, "immediate_exit").

    Raises:
        PykvmError: it is a string instruction that goes on and on.
    """
    loop.budget = NO_BUDGET
    for _ in range(SETTLING_EXITS):
        loop.kick()
        if loop.enter() == INTERRUPTED:
            return
    raise PykvmError("the guest is in the middle of a long string instruction: make a new one")


def dispatch(exit: Any, bus: Bus) -> None:
    """Do on the bus what the guest did, all elements of it, and put back what it reads.

    Args:
        exit: the run loop's `struct shim_exit`.
        bus: the one it is for.
    """
    size: int = exit.size
    count: int = exit.count
    address: int = exit.address
    data = ffi.buffer(exit.data, size * count)
    if exit.is_write:
        if count == 1:
            bus.write(address, size, int.from_bytes(data, "little"))
        else:
            bus.write_block(address, size, bytes(data))
    elif count == 1:
        data[:] = bus.read(address, size).to_bytes(size, "little")
    else:
        data[:] = bus.read_block(address, size, count)
