"""Traces a machine's run: recorders in, text out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pykvm._shim import lib
from pykvm.debug.facilities import Facilities
from pykvm.debug.stepping import refuse_second
from pykvm.errors import SinkError
from pykvm.kvm.recorder import Recorder
from pykvm.trace.event import Event, Pairing
from pykvm.trace.locator import Locator
from pykvm.trace.matching import Matcher
from pykvm.trace.merger import Merger
from pykvm.trace.stepper import Stepper

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.cpu.kvm import KvmCpu
    from pykvm.debug.symbols import Symbols
    from pykvm.devices.sinks import Sink
    from pykvm.kvm.recorder import Record
    from pykvm.machine import Machine
    from pykvm.trace.form import Format
    from pykvm.trace.selection import Selection

RING = 8192
"""Records of each vCPU between two looks at them."""


class Tracer:
    """Traces a machine from when it is made until `finish`.

    Nothing is lost: where exits come faster than they are written, the guest waits, and that time
    is told apart.  Should writing fail, the guest goes on without a trace.

    Args:
        machine: loaded, and not running.
        form: turns events into text.
        sink: takes the text.
        selection: which events.
        symbols: names for linear addresses, if there are any.
        steps: trace each instruction.
        limit: how many events; None for all.
        on_limit: called when that many were written, on a vCPU's thread.
        on_loss: called when writing fails, likewise.

    Attributes:
        lost: why writing ended early; None if it did not.

    Raises:
        KvmIoctlError: the host cannot single-step.
        DebugError: the machine is to be stepped, and debugged or stepped already.
    """

    def __init__(
        self,
        machine: Machine,
        form: Format,
        sink: Sink,
        *,
        selection: Selection,
        symbols: Symbols | None = None,
        steps: bool = False,
        limit: int | None = None,
        on_limit: Callable[[], None] = lambda: None,
        on_loss: Callable[[SinkError], None] = lambda error: None,
    ) -> None:
        if steps:
            refuse_second(machine)
        self._form = form
        self._sink = sink
        self._selection = selection
        self._left = limit
        self._on_limit = on_limit
        self._on_loss = on_loss
        self.lost: SinkError | None = None
        self._ended = False
        self._lock = threading.Lock()
        self._merger = Merger(len(machine.cpus))
        matcher = Matcher()
        self._traced = [
            _Traced(self, cpu, Locator(cpu.vcpu, machine.memory, symbols, matcher))
            for cpu in machine.kvm_cpus
        ]
        if steps:
            facilities = Facilities(machine.vm)
            for traced in self._traced:
                traced.step(facilities, has_apics=machine.irqchip is not None)
        self._write(form.begin())

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is written: the limit is reached, or writing failed."""
        return self._ended

    def take(self, vcpu: int, events: list[Event], horizon: int) -> None:
        """Write what is complete.  For those who trace a vCPU, from its thread."""
        with self._lock:
            self._put(self._merger.add(vcpu, events, horizon))

    def finish(self) -> None:
        """Write what is left; the machine is not running."""
        for traced in self._traced:
            traced.finish()
        with self._lock:
            self._put(self._merger.end())
            if not self.lost:
                self._write(self._form.end())

    def _put(self, events: list[Event]) -> None:
        if self._ended:
            return
        chosen = [event for event in events if self._selection.takes(event)]
        if self._left is not None:
            chosen = chosen[: self._left]
            self._left -= len(chosen)
        self._write(self._form.events(chosen))
        if self._left == 0 and not self._ended:
            self._ended = True
            self._on_limit()

    def _write(self, text: str) -> None:
        if not text:
            return
        try:
            self._sink.write(text.encode("utf-8", "backslashreplace"))
        except SinkError as error:
            self.lost = error
            self._ended = True
            self._on_loss(error)


class _Traced:
    """One vCPU that is traced."""

    def __init__(self, tracer: Tracer, cpu: KvmCpu, locator: Locator) -> None:
        self._tracer = tracer
        self._cpu = cpu
        self._locator = locator
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
        if self._tracer.has_ended:
            self._end()
        else:
            self._add(events)

    def _on_records(self, records: list[Record]) -> None:
        if self._tracer.has_ended:
            self._end()
            return
        if self._stepper is not None and self._stepper.holds(records):
            return
        self._locator.forget()
        self._add([Event(record, place=self._locator.find(record)) for record in records])

    def _add(self, events: list[Event]) -> None:
        complete = [done for event in events if (done := self._pairing.add(event)) is not None]
        held = self._pairing.held
        horizon = lib.shim_tsc() if held is None else held.record.left
        self._tracer.take(self._cpu.index, complete, horizon)

    def _end(self) -> None:
        """Trace no more, and let the guest run."""
        if self._stepper is not None:
            self._stepper.end()
        self._cpu.loop.record(None)

    def finish(self) -> None:
        if self._stepper is not None:
            self._stepper.end()  # what was not completed will not be
        self._recorder.flush()
        last = self._pairing.end()
        if last is not None:
            self._tracer.take(self._cpu.index, [last], lib.shim_tsc())
        if self._cpu.loop.recorder is self._recorder:
            self._end()
