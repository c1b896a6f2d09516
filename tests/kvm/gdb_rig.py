"""A real machine behind a server for debuggers, in a thread of its own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pykvm import Machine
from pykvm.cpu.stop import Stop, StopReason
from pykvm.gdb.server import GdbServer
from tests.support.rsp import PATIENCE, RspClient


class Debugged(NamedTuple):
    """A machine that waits for debuggers.

    Attributes:
        machine: it.
        address: where its server listens.
        ends: what its run has returned or raised, once it has.
        thread: where it runs.
    """

    machine: Machine
    address: tuple[str, int]
    ends: list[Stop | BaseException]
    thread: threading.Thread

    def connect(self) -> RspClient:
        """A client."""
        return RspClient(socket.create_connection(self.address))

    def end(self) -> Stop | BaseException:
        """Wait for its end."""
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()
        return self.ends[0]


@contextmanager
def debugged(machine: Machine, *, wait: bool = True) -> Iterator[Debugged]:
    """Serve debuggers of `machine`; it is stopped at the end, if it has not ended."""
    ends: list[Stop | BaseException] = []
    stopping: list[Stop] = []
    listener = socket.create_server(("127.0.0.1", 0))
    server = GdbServer(listener, wait=wait, stopping=lambda: stopping[0] if stopping else None)

    def run() -> None:
        with server:
            try:
                ends.append(server.run(machine))
            except BaseException as error:
                ends.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield Debugged(machine, listener.getsockname(), ends, thread)
    finally:
        stopping.append(Stop(StopReason.STOPPED))
        if thread.is_alive():
            machine.stop()
            server.wake()
        thread.join(PATIENCE)
        listener.close()
        assert not thread.is_alive()
