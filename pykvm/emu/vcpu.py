"""An emulated processor's registers by the names and in the forms of KVM's `Vcpu`.

So whoever shows, changes or writes down registers need not know who plays the processor.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from pykvm.emu.state import CONTROL, GENERAL, SEGMENTS, TABLES
from pykvm.errors import MachineError

if TYPE_CHECKING:
    from pykvm.emu.engine import Engine
    from pykvm.kvm.cpuid import CpuidEntry
    from pykvm.kvm.registers import Regs, Sregs
    from pykvm.kvm.state import Fpu, MpState

_CONTROL = (*(name for name in CONTROL if name != "cr1"), "efer")
_CPUID_RANGES = (0, 0x8000_0000)
"""Where CPUID says in EAX which leaf is the last."""

_EMPTY = 3
"""An x87 tag: nothing in that register (SDM vol. 1, 8.1.7)."""


class EmulatedVcpu:
    """The register calls of `pykvm.kvm.vcpu.Vcpu`, for a processor that is not running.

    Args:
        engine: who plays it.
        translate: the guest-physical address of a linear one; None where there is none.
        halts: whether it waits for an interrupt.
    """

    def __init__(
        self,
        engine: Engine,
        translate: Callable[[int], int | None],
        halts: Callable[[], bool],
    ) -> None:
        self._engine = engine
        self._state = engine.state
        self._halts = halts
        self.translate = translate

    def __getattr__(self, name: str) -> NoReturn:
        """Refuse what only a vCPU of KVM's has."""
        if name.startswith("__"):
            raise AttributeError(name)  # copy, pickle and the like ask for what is not there
        raise MachineError(f"the machine is emulated, and has no {name} of KVM's: --accel kvm")

    def get_regs(self) -> Regs:
        """The general registers."""
        from pykvm.kvm.registers import Regs

        self._state.fetch()
        values = {name: self._state.get(name) for name in GENERAL}
        return Regs(**values, rflags=self._state.rflags)

    def set_regs(self, regs: Regs) -> None:
        """Set the general registers."""
        self._state.fetch()
        for name in GENERAL:
            self._state.set(name, getattr(regs, name))
        self._state.rflags = regs.rflags
        self._state.leave_shadow()
        self._state.store()

    def get_sregs(self) -> Sregs:
        """The special registers; CR8 and the APIC's base are 0, as there is none."""
        from pykvm.kvm.registers import Sregs

        self._state.fetch()
        sregs = Sregs()
        for name in SEGMENTS:
            setattr(sregs, name, self._state.segment(name))
        for name in TABLES:
            setattr(sregs, name, self._state.table(name))
        for name in _CONTROL:
            setattr(sregs, name, self._state.control(name))
        return sregs

    get_sregs_raw = get_sregs
    """There is no cheaper form."""

    def set_sregs(self, sregs: Sregs) -> None:
        """Set the special registers, but CR8 and the APIC's base."""
        self._state.fetch()
        for name in SEGMENTS:
            self._state.set_segment(name, getattr(sregs, name))
        for name in TABLES:
            self._state.set_table(name, getattr(sregs, name))
        for name in _CONTROL:
            self._state.set_control(name, getattr(sregs, name))
        self._state.derive()
        self._state.store()
        self._engine.forget_translations()

    def get_fpu(self) -> Fpu:
        """The x87 and SSE registers; what the last x87 instruction was is not known."""
        from pykvm.kvm.state import Fpu

        read = self._engine.read_register
        registers = [read(f"FP{number}") for number in range(8)]
        top = read("FPSW") >> 11 & 7
        tags = [read("FPTAG") >> 2 * number & 3 for number in range(8)]
        return Fpu(
            # ST0 to ST7, where Unicorn counts from the first physical register
            fpr=tuple(
                mantissa.to_bytes(8, "little") + exponent.to_bytes(8, "little")
                for mantissa, exponent in (registers[(top + number) % 8] for number in range(8))
            ),
            fcw=read("FPCW"),
            fsw=read("FPSW"),
            ftwx=sum((tag != _EMPTY) << number for number, tag in enumerate(tags)),
            xmm=tuple(read(f"XMM{number}").to_bytes(16, "little") for number in range(16)),
            mxcsr=read("MXCSR"),
        )

    def set_fpu(self, fpu: Fpu) -> None:
        """Set the x87 and SSE registers, but what the last x87 instruction was."""
        write = self._engine.write_register
        top = fpu.fsw >> 11 & 7
        write("FPCW", fpu.fcw)
        write("FPSW", fpu.fsw)
        for number, register in enumerate(fpu.fpr):
            mantissa = int.from_bytes(register[:8], "little")
            exponent = int.from_bytes(register[8:10], "little")
            write(f"FP{(top + number) % 8}", (mantissa, exponent))
        # behind the registers: whoever writes one of those may count it as in use
        empty = (number for number in range(8) if not fpu.ftwx >> number & 1)
        write("FPTAG", sum(_EMPTY << 2 * number for number in empty))
        for number, register in enumerate(fpu.xmm):
            write(f"XMM{number}", int.from_bytes(register, "little"))
        write("MXCSR", fpu.mxcsr)

    def get_mp_state(self) -> MpState:
        """Whether it halts; it needs nobody to start it."""
        from pykvm.kvm.state import MpState

        return MpState.HALTED if self._halts() else MpState.RUNNABLE

    def get_cpuid2(self) -> list[CpuidEntry]:
        """What CPUID tells the guest: all leaves, without the subleaves of those that have some."""
        from pykvm.emu.cpuid import cpuid
        from pykvm.kvm.cpuid import CpuidEntry

        ranges = (range(first, cpuid(first, 0)[0] + 1) for first in _CPUID_RANGES)
        return [CpuidEntry(leaf, 0, 0, *cpuid(leaf, 0)) for leaves in ranges for leaf in leaves]
