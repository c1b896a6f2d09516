"""A processor of KVM's that is traced: a `pykvm.trace.source.Source`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pykvm._shim import lib
from pykvm.debug.facilities import Facilities
from pykvm.kvm.recorder import Recorder
from pykvm.trace.event import Pairing, timed, times_of
from pykvm.trace.locator import ExitLocator
from pykvm.trace.matching import Matcher
from pykvm.trace.stepper import Stepper

if TYPE_CHECKING:
    from pykvm.cpu.kvm import KvmCpu
    from pykvm.debug.symbols import Symbols
    from pykvm.kvm.recorder import Record
    from pykvm.machine import Machine
    from pykvm.trace.event import Event
    from pykvm.trace.source import Taker

RING = 8192
"""Records of each vCPU between two looks at them."""


def open_kvm_sources(
    machine: Machine, taker: Taker, symbols: Symbols | None, *, steps: bool
) -> list[KvmSource]:
    """See `pykvm.trace.source.open_sources`."""
    matcher = Matcher()
    sources = [
        KvmSource(cpu, ExitLocator(cpu, machine.memory, symbols, matcher), taker)
        for cpu in machine.kvm_cpus
    ]
    if steps:
        facilities = Facilities(machine.vm)
        for source in sources:
            source.step(facilities, has_apics=machine.irqchip is not None)
    return sources


class KvmSource:
    """One vCPU, whose exits are recorded.

    Args:
        cpu: it.
        locator: finds its instructions.
        taker: takes its events.
    """

    def __init__(self, cpu: KvmCpu, locator: ExitLocator, taker: Taker) -> None:
        self._cpu = cpu
        self._locator = locator
        self._taker = taker
        self._pairing = Pairing()
        self._recorder = Recorder(RING, segments=True, on_records=self._on_records)
        self._stepper: Stepper | None = None
        cpu.loop.record(self._recorder)

    def step(self, facilities: Facilities, *, has_apics: bool) -> None:
        """From now on, each instruction is an event."""
        self._stepper = Stepper(
            self._cpu,
            self._recorder,
            self._locator,
            facilities,
            has_apics=has_apics,
            tell=self._on_step,
        )

    def _on_step(self, events: list[Event]) -> None:
        if self._taker.has_ended:
            self._end()
        else:
            self._add(events)

    def _on_records(self, records: list[Record]) -> None:
        if self._taker.has_ended:
            self._end()
            return
        if self._stepper is not None and self._stepper.holds(records):
            return
        self._locator.forget()
        self._add([timed(record, place=self._locator.find(record)) for record in records])

    def _add(self, events: list[Event]) -> None:
        complete = [done for event in events if (done := self._pairing.add(event)) is not None]
        held = self._pairing.held
        horizon = lib.shim_tsc() if held is None else times_of(held).left
        self._taker.take(self._cpu.index, complete, horizon)

    def _end(self) -> None:
        """Trace no more, and let the guest run."""
        if self._stepper is not None:
            self._stepper.end()
        self._cpu.loop.record(None)

    def finish(self) -> None:
        """See `pykvm.trace.source.Source`."""
        if self._stepper is not None:
            self._stepper.end()  # what was not completed will not be
        self._recorder.flush()
        last = self._pairing.end()
        if last is not None:
            self._taker.take(self._cpu.index, [last], lib.shim_tsc())
        if self._cpu.loop.recorder is self._recorder:
            self._end()
