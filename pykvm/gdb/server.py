"""The server: it runs a machine as `Machine.run` does, while a debugger may come, stop it and go.

The guest runs on the thread that calls `run`, as without a debugger, and it is that thread, too,
that answers packets while the guest is stopped.  While it runs, a second thread stands at the door.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pykvm.cpu.stop import Stop, StopReason
from pykvm.cpu.threads import start_without_signals
from pykvm.debug.debugger import Debugger, Event
from pykvm.errors import GuestCrash, MachineError
from pykvm.gdb.answers import Leave
from pykvm.gdb.description import description
from pykvm.gdb.door import Door
from pykvm.gdb.packets import to_hex
from pykvm.gdb.resumes import Resume
from pykvm.gdb.session import Session
from pykvm.gdb.stops import SIGABRT, exited, terminated

if TYPE_CHECKING:
    import socket

    from pykvm.machine import Machine

FREELY = Resume()


class GdbServer:
    """Serves debuggers, one after the other.  A context manager: on leaving, the last one is told
    how the guest ended.

    Args:
        listener: where they connect; it stays its owner's.
        wait: keep the guest stopped at its first instruction until one comes and lets it go on.
        stopping: tells the stop that was asked for from outside while the guest is stopped; None
            if none was.  Call `wake` when there is one.
        say: given a line for the user.
        architecture: the description to offer (see `pykvm.gdb.description`); None: the one for
            the first processor's mode when a debugger comes.
        attach: makes the debugger of a machine.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        wait: bool,
        stopping: Callable[[], Stop | None] = lambda: None,
        say: Callable[[str], None] = lambda words: None,
        architecture: str | None = None,
        attach: Callable[[Machine], Debugger] = Debugger,
    ) -> None:
        self._door = Door(listener)
        self._stopping = stopping
        self._say = say
        self._architecture = architecture
        self._attach = attach
        self._session: Session | None = None
        self._going: Resume | None = None if wait else FREELY
        self._crash: GuestCrash | None = None
        self._farewell = terminated(SIGABRT)

    def wake(self) -> None:
        """Have a stop that was asked for noticed; from any thread or signal handler."""
        self._door.wake()

    def run(self, machine: Machine, timeout: float | None = None) -> Stop:
        """Run a machine until it stops, and its debugger has no more to ask.

        It may be called again, with the machine that takes the place of one that was reset: the
        debugger and its points stay.

        Args:
            machine: the machine.
            timeout: seconds after which to stop, whatever a debugger does; None for never.

        Returns:
            why it stopped.

        Raises:
            GuestCrash: the guest cannot go on.  A debugger sees it first.
            Exception: what else `Machine.run` raises.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self._farewell = terminated(SIGABRT)
        self._crash = None
        with self._attach(machine) as debugger:
            self._begin(debugger)
            while True:
                if self._going is None:
                    stop = self._converse(debugger, deadline)
                else:
                    stop = self._let_go(debugger, self._going, deadline)
                if stop is not None:
                    self._farewell = exited(stop.status)
                    return stop

    def _begin(self, debugger: Debugger) -> None:
        """Go on with a new machine; a step of the one that was reset has led to its start."""
        if self._session is None:
            return
        point = self._session.move_to(debugger)
        if self._going is not None and self._going.step:
            self._halt(Event("step", 0))
        elif point is not None:
            self._halt(Event("breakpoint", 0, point))
        else:
            self._going = FREELY

    # ---- while the guest is stopped

    def _converse(self, debugger: Debugger, deadline: float | None) -> Stop | None:
        """Answer until the guest goes on (None) or the run is over."""
        while self._going is None:
            stop = self._stopping()
            if stop is not None:
                return stop
            if deadline is not None and time.monotonic() >= deadline:
                return Stop(StopReason.TIMEOUT)
            client = self._door.client
            packet = None if client is None else client.take()
            if client is None or (packet is None and not client.is_gone):
                self._door.wait(deadline)
            elif packet is None:
                self._lose(debugger)
            else:
                stop = self._answer(debugger, packet)
                if stop is not None:
                    return stop
        if self._crash is not None:
            self._going = FREELY
            raise self._crash
        return None

    def _answer(self, debugger: Debugger, packet: bytes) -> Stop | None:
        client = self._door.client
        assert client is not None
        if self._session is None:
            told = self._architecture
            self._session = Session(debugger, None if told is None else description(told))
        answer = self._session.handle(packet)
        for each in answer.packets:
            client.send(each)
        client.wants_acks = self._session.wants_acks
        match answer.then:
            case Leave.KILL:
                self._end_session()
                return Stop(StopReason.TERMINATED, detail="its debugger")
            case Leave.DETACH:
                self._end_session()
                self._going = FREELY
            case Resume():
                self._going = answer.then
        return None

    def _end_session(self) -> None:
        if self._session is not None:
            self._session.leave()
            self._session = None
        self._door.show_out()

    def _lose(self, debugger: Debugger) -> None:
        """The client has gone without a word; a guest that it had stopped stays so for the next."""
        knew = self._session is not None
        self._end_session()
        if self._crash is not None:
            self._going = FREELY
        elif knew:
            self._say("gdb: the debugger has gone; the stopped guest waits for the next one")

    # ---- while the guest runs

    def _let_go(self, debugger: Debugger, how: Resume, deadline: float | None) -> Stop | None:
        """Let it run until something happens (None) or the run is over."""
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        with self._somebody_at_the_door(debugger):
            event = debugger.resume(step=how.step, only=how.only, timeout=left)
        if event.kind == "ended":
            assert event.stop is not None
            return event.stop
        if event.kind == "crash" and self._session is None:
            assert event.crash is not None
            raise event.crash
        if event.kind == "interrupted" and not self._must_stop():
            # an interrupt that came when the guest had stopped already, and found it running again
            return None
        self._halt(event)
        return None

    def _must_stop(self) -> bool:
        """Whether the client wants the guest to stop, or is gone."""
        client = self._door.client
        if client is None:
            return False
        if client.is_gone:
            return True
        return client.interrupts if self._session is not None else bool(client.packets)

    @contextmanager
    def _somebody_at_the_door(self, debugger: Debugger) -> Iterator[None]:
        """Look out for the client, in a thread, while the guest runs."""
        over = False

        def look_out() -> None:
            while not over:
                if self._must_stop():
                    debugger.interrupt()
                    return
                self._door.wait()

        thread = threading.Thread(target=look_out, name="pykvm gdb", daemon=True)
        try:
            start_without_signals(thread)
        except RuntimeError as error:
            raise MachineError(f"gdb: {error}") from None
        try:
            yield
        finally:
            over = True
            self._door.wake()
            thread.join()

    def _halt(self, event: Event) -> None:
        """The guest has stopped: tell the client, whose turn it is."""
        client = self._door.client
        if client is None or client.is_gone:
            # it left the guest running, and so it stays
            self._end_session()
            self._going = FREELY
            if event.crash is not None:
                raise event.crash
            return
        self._going = None
        client.forget_interrupts()
        if self._session is None:
            return  # it comes just now
        if event.crash is not None:
            self._crash = event.crash
            client.send(b"O" + to_hex(f"the guest crashed: {event.crash}\n".encode()))
        client.send(self._session.tell(event))

    # ---- the end

    def close(self) -> None:
        """Tell the client that the guest has ended, and close the door."""
        if self._session is not None and self._door.client is not None:
            self._door.client.send(self._farewell)
        self._door.close()

    def __enter__(self) -> GdbServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
