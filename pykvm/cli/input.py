"""From the host into the guest: what comes in on its serial line, or is typed on its keyboard."""

from __future__ import annotations

import os
import select
import threading
from contextlib import suppress

from pykvm.cpu.threads import start_without_signals
from pykvm.named import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykvm.cli.chassis import Chassis
    from pykvm.cli.terminal import Keyboard

CHUNK = 4096
TYPE_AHEAD = 16 << 20
"""How many bytes a terminal's user may be ahead of the guest; the keys behind them wait."""

_END_WITHIN = 1.0


class Destination(Protocol):
    """Where what comes in goes."""

    def take(self, data: bytes) -> int:
        """Take some of `data` from its start; returns how many bytes."""

    def call_when_room(self, wake: Callable[[], None] | None) -> None:
        """Call `wake` whenever there is room again; None ends that."""


class SerialPort:
    """COM1 of the machine that is in a chassis, as a destination."""

    def __init__(self, machine: Chassis) -> None:
        self._machine = machine

    def take(self, data: bytes) -> int:
        """Take what there is room for."""
        return self._machine.send(data)

    def call_when_room(self, wake: Callable[[], None] | None) -> None:
        """Have the UART tell."""
        self._machine.on_room = wake


class InputPump:
    """A thread that moves what comes in to the guest, as fast as the guest takes it.

    Args:
        fd: where to read.
        destination: where it goes.
        keyboard: what looks at it first, if it is a terminal's.  Then it is read even while the
            guest does not take what was typed: else nothing that is typed could end it.

    Raises:
        OSError: there is no descriptor or no thread left for it.
    """

    def __init__(self, fd: int, destination: Destination, keyboard: Keyboard | None = None) -> None:
        self._fd = fd
        self._destination = destination
        self._keyboard = keyboard
        self._limit = 1 if keyboard is None else TYPE_AHEAD
        self._ending = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        destination.call_when_room(self._wake)
        self._thread = threading.Thread(target=self._run, name="pykvm input", daemon=True)
        try:
            start_without_signals(self._thread)
        except RuntimeError as error:
            self._close()
            raise OSError(None, str(error)) from None

    def _wake(self) -> None:
        # a full pipe wakes as well as a fuller one would
        with suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")

    def _run(self) -> None:
        """Wait, read, filter, deliver, until `end`."""
        waiting = bytearray()
        open_input = True
        while not self._ending:
            self._deliver(waiting)
            if self._wait(for_input=open_input and len(waiting) < self._limit):
                came = self._read()
                if came is None:
                    open_input = False
                elif self._keyboard is None:
                    waiting += came
                else:
                    waiting += self._keyboard.take(came)

    def _deliver(self, waiting: bytearray) -> None:
        """Hand over what the guest has room for; `_wake` is called when there is more."""
        while waiting:
            piece = bytes(waiting[:CHUNK])
            taken = self._destination.take(piece)
            del waiting[:taken]
            if taken < len(piece):
                return

    def _wait(self, *, for_input: bool) -> bool:
        """Sleep until there is something to do; tells whether it is input."""
        poll = select.poll()
        poll.register(self._wake_read, select.POLLIN)
        if for_input:
            poll.register(self._fd, select.POLLIN)
        ready = {fd for fd, _ in poll.poll()}
        if self._wake_read in ready:
            os.read(self._wake_read, CHUNK)
        return self._fd in ready

    def _read(self) -> bytes | None:
        """What there is, or None at the end of the input."""
        try:
            return os.read(self._fd, CHUNK) or None
        except BlockingIOError:
            return b""
        except OSError:
            return None

    def end(self) -> None:
        """Stop, and wait until stopped.

        Where another process took the input from under it, the thread hangs in read(2): then it
        is left behind.
        """
        self._ending = True
        self._wake()
        self._thread.join(_END_WITHIN)
        if not self._thread.is_alive():
            self._close()

    def _close(self) -> None:
        self._destination.call_when_room(None)
        os.close(self._wake_read)
        os.close(self._wake_write)
