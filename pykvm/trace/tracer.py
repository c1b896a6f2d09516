"""Traces a machine's run: events in, text out."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pykvm.debug.stepping import refuse_second
from pykvm.errors import SinkError
from pykvm.trace.merger import Merger
from pykvm.trace.source import open_sources

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.debug.symbols import Symbols
    from pykvm.devices.sinks import Sink
    from pykvm.machine import Machine
    from pykvm.trace.event import Event
    from pykvm.trace.form import Format
    from pykvm.trace.selection import Selection


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
        self._sources = open_sources(machine, self, symbols, steps=steps)
        self._write(form.begin())

    @property
    def has_ended(self) -> bool:
        """Whether nothing more is written: the limit is reached, or writing failed."""
        return self._ended

    def take(self, vcpu: int, events: list[Event], horizon: int) -> None:
        """See `pykvm.trace.source.Taker`."""
        with self._lock:
            self._put(self._merger.add(vcpu, events, horizon))

    def finish(self) -> None:
        """Write what is left; the machine is not running."""
        for source in self._sources:
            source.finish()
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
