"""A server over a fake debugger, in a thread of its own, and clients of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from pykvm.cpu.stop import Stop, StopReason
from pykvm.debug.debugger import Event
from pykvm.gdb.server import GdbServer
from tests.support.rsp import PATIENCE, RspClient
from tests.unit.gdb.fakes import FakeDebugger


class Rig:
    """The server's surroundings.

    Attributes:
        debuggers: those it makes, one a machine, next one first.
        said: the lines for the user.
        stopping: the stop that is asked for from outside.
        result: what `run` has returned, or raised.
    """

    def __init__(self, *, wait: bool, fakes: list[FakeDebugger], timeout: float | None) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.fakes = fakes
        self.said: list[str] = []
        self.stopping: Stop | None = None
        self.result: Stop | BaseException | None = None
        self._left = list(fakes)
        self._timeout = timeout
        self.server = GdbServer(
            self.listener,
            wait=wait,
            stopping=lambda: self.stopping,
            say=self.said.append,
            attach=cast(Any, lambda _: self._left.pop(0)),
        )
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    @property
    def fake(self) -> FakeDebugger:
        """The first machine's debugger."""
        return self.fakes[0]

    def _run(self) -> None:
        with self.server:
            for _ in self.fakes:
                try:
                    self.result = self.server.run(cast(Any, None), self._timeout)
                except BaseException as error:
                    self.result = error

    def connect(self) -> RspClient:
        """A client."""
        return RspClient(socket.create_connection(self.listener.getsockname()))

    def stop(self, stop: Stop) -> None:
        """As a signal does: word for the machine that runs, and for the server that waits."""
        self.stopping = stop
        for fake in self.fakes:
            fake.events.put(Event("ended", 0, stop=stop))
        if self.thread.is_alive():
            self.server.wake()

    def end(self) -> Stop | BaseException | None:
        """Wait until the server is done; what came of it."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        return self.result


Start = Callable[..., Rig]


@contextmanager
def rigs() -> Iterator[Start]:
    """Makes rigs; all are ended at the end."""
    made: list[Rig] = []

    def make(
        *, wait: bool = True, processors: int = 1, machines: int = 1, timeout: float | None = None
    ) -> Rig:
        fakes = [FakeDebugger(processors) for _ in range(machines)]
        made.append(Rig(wait=wait, fakes=fakes, timeout=timeout))
        return made[-1]

    try:
        yield make
    finally:
        for rig in made:
            rig.stop(Stop(StopReason.STOPPED))
            rig.end()
            rig.listener.close()
