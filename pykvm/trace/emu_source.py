"""An emulated processor that is traced: a `pykvm.trace.source.Source`.

The emulator tells each access while the instruction that made it is known, so that none is looked
for, and code is seen as it is just then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from pykvm._shim import lib
from pykvm.debug.stepping import linear_pc
from pykvm.emu.traps import Traps
from pykvm.kvm import exits
from pykvm.kvm.decode import REASONS
from pykvm.trace.event import Event
from pykvm.trace.locator import Locator
from pykvm.trace.registers import changes_between, values_of
from pykvm.x86 import code_bits

if TYPE_CHECKING:
    from pykvm.cpu.emu import EmuCpu
    from pykvm.debug.symbols import Symbols
    from pykvm.machine import Machine
    from pykvm.trace.event import Place
    from pykvm.trace.source import Taker

_SHUTDOWN = REASONS.index("SHUTDOWN")


class Emulated(NamedTuple):
    """A `pykvm.trace.event.Occurrence` of an emulated guest: all are answered in Python."""

    reason: int
    vcpu: int
    code_width: int
    address: int = 0
    value: int = 0
    size: int = 0
    # a tuple's method of that name gives way
    count: int = 0  # type: ignore[assignment]
    is_write: bool = False
    handled: int = 0
    rip: int = 0
    """What KVM leaves it at: so there is none."""


class EmuSource:
    """The processor of an emulated machine.

    Args:
        machine: it.
        taker: takes the events, one by one.
        symbols: names for linear addresses, if there are any.
        steps: trace each instruction, too.
    """

    def __init__(
        self, machine: Machine, taker: Taker, symbols: Symbols | None, *, steps: bool
    ) -> None:
        (cpu,) = machine.cpus
        self._cpu = cast("EmuCpu", cpu)
        self._taker = taker
        self._locator = Locator(cpu, machine.memory, symbols)
        self._cpu.accesses.listener = self._on_exit
        self._traps: Traps | None = None
        if steps:
            self._step()

    def finish(self) -> None:
        """See `pykvm.trace.source.Source`: nothing is left."""
        self._cpu.accesses.listener = None
        if self._traps is not None:
            self._cpu.traps = self._cpu.on_step = None
            self._traps.release()
            self._traps = None

    def _tell(self, event: Event) -> None:
        self._taker.take(self._cpu.index, [event], 0)
        if self._taker.has_ended:
            self.finish()

    # ---- exits

    def _on_exit(self, exit: exits.Exit) -> None:
        sregs = self._cpu.vcpu.get_sregs()
        width = code_bits(sregs.cs, sregs.efer)
        self._tell(Event(_occurrence(exit, self._cpu.index, width), place=self._place(exit, width)))

    def _place(self, exit: exits.Exit, width: int) -> Place | None:
        address, size = self._cpu.engine.last_instruction
        # what could not even be fetched is no instruction, and was not the last one to run
        if isinstance(exit, exits.Shutdown) and self._pc not in (address, address + size):
            return None
        return self._locator.at(address, width)

    @property
    def _pc(self) -> int:
        vcpu = self._cpu.vcpu
        return linear_pc(vcpu.get_regs(), vcpu.get_sregs())

    # ---- steps

    def _step(self) -> None:
        self._traps = Traps(self._cpu.engine)
        self._cpu.traps, self._cpu.on_step = self._traps, self._on_step
        self._look()
        self._traps.arm(step=True)

    def _look(self) -> None:
        """Note what is there before the next instruction."""
        vcpu = self._cpu.vcpu
        regs, sregs = vcpu.get_regs(), vcpu.get_sregs()
        self._width = code_bits(sregs.cs, sregs.efer)
        self._values = values_of(regs)
        self._address = linear_pc(regs, sregs)
        self._next = self._locator.at(self._address, self._width)

    def _on_step(self, executed: bool) -> None:
        before, done = self._values, self._next
        self._look()
        if executed:
            record = Emulated(
                lib.KVM_EXIT_DEBUG, self._cpu.index, self._width, address=self._address
            )
            self._tell(Event(record, place=done, changes=changes_between(before, self._values)))
        if self._traps is not None:
            self._traps.arm(step=True)


def _occurrence(exit: exits.Exit, vcpu: int, width: int) -> Emulated:
    """What an exit of the emulator was."""
    match exit:
        case exits.Io(port, size, count, is_write, data):
            value = int.from_bytes(data, "little")
            return Emulated(
                lib.KVM_EXIT_IO, vcpu, width, port, value, size, count, is_write=is_write
            )
        case exits.Mmio(address, size, is_write, data):
            value = int.from_bytes(data, "little")
            return Emulated(
                lib.KVM_EXIT_MMIO, vcpu, width, address, value, size, 1, is_write=is_write
            )
        case exits.Hlt():
            return Emulated(lib.KVM_EXIT_HLT, vcpu, width)
    assert isinstance(exit, exits.Shutdown)
    return Emulated(_SHUTDOWN, vcpu, width)
