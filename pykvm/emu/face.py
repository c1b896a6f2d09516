"""What an emulated processor can be asked, whoever plays the machine around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pykvm.cpu.protocol import Counts
from pykvm.emu.loading import read_bios_registers, write_bios_registers
from pykvm.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.bios.registers import Registers
    from pykvm.emu.accesses import Accesses
    from pykvm.emu.engine import Engine
    from pykvm.emu.outcomes import Outcome
    from pykvm.emu.traps import Traps
    from pykvm.emu.vcpu import EmulatedVcpu
    from pykvm.kvm.runloop import RunLoop
    from pykvm.kvm.vcpu import Vcpu


class EmulatedFace:
    """An emulated processor's registers and counts.

    Attributes:
        engine: the emulator.
        emulated: its registers as a vCPU's.
        accesses: the way to the buses.
        traps: what a debugger has it stop for; None while there is none.
        on_trap: called in its thread, under the machine's lock, where it may have met that; says
            whether the machine shall stop.
        on_step: called likewise after each instruction, with True, and after an interrupt that came
            instead, with False, while `traps` has it step and nothing shall stop.
    """

    engine: Engine
    emulated: EmulatedVcpu
    accesses: Accesses
    traps: Traps | None = None
    on_trap: Callable[[], bool] | None = None
    on_step: Callable[[bool], None] | None = None

    @property
    def is_stepped(self) -> bool:
        """Whether somebody looks at it after each instruction, or may."""
        return self.traps is not None

    @property
    def is_in_step(self) -> bool:
        """Whether a debugger has it execute one instruction, and no interrupt shall come."""
        return self.traps is not None and self.traps.steps and self.on_step is None

    def meets_trap(self, outcome: Outcome | None) -> bool:
        """Whether the machine shall stop, since the emulator has returned; see `Traps.look`."""
        traps = self.traps  # which a callback may take away
        if traps is None or not traps.look(outcome):
            return False
        shall_stop = False
        if self.on_step is not None:
            self.on_step(outcome is not None)
        else:
            shall_stop = self.on_trap is None or self.on_trap()
        traps.go_on()
        return shall_stop

    @property
    def vcpu(self) -> Vcpu:
        """Its registers, by the calls that KVM's vCPUs have for them."""
        return cast("Vcpu", self.emulated)

    @property
    def loop(self) -> RunLoop:
        """There is none.

        Raises:
            MachineError: always.
        """
        raise MachineError("the machine is emulated, without KVM's run loop: --accel kvm")

    def limit_exits(self, count: int | None) -> None:
        """Take so many exits and no more in the next run; None for any number."""
        self.accesses.left = count

    @property
    def counts(self) -> Counts:
        """Exits and times so far; an exit is what one would be with KVM."""
        exits, ports = self.accesses.exits, self.accesses.by_port
        return Counts(dict(exits), dict(ports), self.engine.inside_ns)

    def read_bios_registers(self) -> Registers | None:
        """What a BIOS service sees; None in protected mode, where there are none."""
        return read_bios_registers(self.engine.state)

    def write_bios_registers(self, registers: Registers) -> None:
        """What it changed; RIP stays as it is."""
        write_bios_registers(registers, self.engine.state)
