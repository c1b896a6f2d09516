"""Where a trace's events come from, whoever plays the machine.

`kvm_source.py` has KVM's exits, which a recorder has noted; `emu_source.py` the emulator's, as they
are dispatched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pykvm.trace.form import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pykvm.debug.symbols import Symbols
    from pykvm.machine import Machine
    from pykvm.trace.event import Event


class Taker(Protocol):
    """Who takes events."""

    @property
    def has_ended(self) -> bool:
        """Whether it wants no more."""

    def take(self, vcpu: int, events: list[Event], horizon: int) -> None:
        """Take what is complete, from the thread that runs a processor.

        Args:
            vcpu: its number.
            events: its next ones, in order.
            horizon: a TSC before which it has no more to tell; 0 where there are no times.
        """


class Source(Protocol):
    """One processor that is traced, from when this is made.

    It gives a `Taker` its events, and lets the processor run untraced when that has ended.
    """

    def finish(self) -> None:
        """Give what is left and trace no more; the machine is not running."""


def open_sources(
    machine: Machine, taker: Taker, symbols: Symbols | None, *, steps: bool
) -> Sequence[Source]:
    """The processors of a machine, traced from now on.

    Args:
        machine: loaded, and not running.
        taker: takes the events.
        symbols: names for linear addresses, if there are any.
        steps: trace each instruction, too.

    Raises:
        KvmIoctlError: the host cannot single-step.
    """
    if machine.accelerator.name == "kvm":
        from pykvm.trace.kvm_source import open_kvm_sources

        return open_kvm_sources(machine, taker, symbols, steps=steps)
    from pykvm.trace.emu_source import EmuSource

    return [EmuSource(machine, taker, symbols, steps=steps)]


def subject_of(machine: Machine) -> Subject:
    """What a trace of this machine tells of; times are counted from now on."""
    if machine.accelerator.name == "kvm":
        from pykvm.kvm.tsc import TscClock

        return Subject("returns of KVM_RUN", TscClock(machine.cpus[0].vcpu))
    return Subject("exits of an emulated guest", None)
