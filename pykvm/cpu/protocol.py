"""What a machine needs of a processor, whoever plays it."""

from __future__ import annotations

from pykvm.named import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.bios.registers import Registers
    from pykvm.boot.state import BootState
    from pykvm.cpu.snapshot import CpuSnapshot
    from pykvm.kvm.runloop import RunLoop
    from pykvm.kvm.vcpu import Vcpu


class Counts(NamedTuple):
    """What a processor has counted so far.

    Attributes:
        exits: by reason, named as in the KVM API document.
        ports: I/O exits by port, where they are counted.
        inside_ns: time in the guest, where it is measured.
    """

    exits: dict[str, int]
    ports: dict[int, int]
    inside_ns: int


class Cpu(Protocol):
    """One processor of a machine."""

    index: int
    """Its number, from 0."""

    is_asleep: bool
    """Whether, when it last looked in this run, only another processor could have woken it."""

    keeps_time: bool
    """Whether devices look at their clocks at its ticks: the first of those that run."""

    on_trap: Callable[[], bool] | None
    """Called in its thread, under the machine's lock, where it met what it is debugged for; says
    whether the machine shall stop.  None: it shall."""

    @property
    def is_stepped(self) -> bool:
        """Whether somebody looks at it after each instruction."""

    @property
    def vcpu(self) -> Vcpu:
        """Its registers.  An emulated one's has the calls for those, and refuses all others."""

    @property
    def loop(self) -> RunLoop:
        """KVM's run loop.

        Raises:
            MachineError: it is emulated.
        """

    @property
    def has_run(self) -> bool:
        """Whether it is no longer as it was made."""

    @property
    def runs_here(self) -> bool:
        """Whether it is this thread that runs it: in a device, whose access is dispatched."""

    @property
    def counts(self) -> Counts:
        """What it has counted so far."""

    def limit_exits(self, count: int | None) -> None:
        """Take so many exits and no more, shared with the others; None for any number."""

    def read_bios_registers(self) -> Registers | None:
        """What a BIOS service sees; None in protected mode, where there are none."""

    def write_bios_registers(self, registers: Registers) -> None:
        """What it changed; RIP stays as it is."""

    def settle(self) -> None:
        """Finish the access that the guest was stopped at, so that another can be loaded."""

    def load(self, state: BootState) -> None:
        """Take the registers of `state`."""

    def sleeps_for_ever(self) -> bool:
        """Whether only another processor can wake it, as it is now; not while it runs."""

    def run(self, start: int, deadline: int | None = None) -> None:
        """Run the guest until there is a word that the machine shall stop; it may be its own.

        Args:
            start: CLOCK_MONOTONIC in ns (`time.monotonic_ns`) at which the machine's run began.
            deadline: when to stop, likewise.

        Raises:
            GuestCrash: the guest cannot go on.
            RuntimeError: it is running already.
        """

    def kick(self) -> None:
        """Make a `run` under way look at the machine's stop request; from any thread."""

    def snapshot(self) -> CpuSnapshot:
        """The registers and the code at RIP, for people to read."""

    def close(self) -> None:
        """Give back what it holds.

        Raises:
            RuntimeError: it is running.
        """
