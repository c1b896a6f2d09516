"""Where clients come in: one at a time is served, another is told so and sent away.

Of the two threads of the server one at a time is at the door: the one that answers packets while
the guest is stopped, or the one that looks out for an interrupt while it runs.
"""

from __future__ import annotations

import select
import socket
import time
from collections import deque
from contextlib import suppress

from pykvm.gdb.packets import EBADMSG, Decoder, Mark, PacketError, frame

CHUNK = 1 << 16
SEND_PATIENCE = 10.0
"""Seconds that a client may take to receive something, before it counts as gone."""

MOST_WAITING = 1 << 10
"""Packets that may wait, while the guest runs, before nothing more is read."""

MOST_REFUSED = 8
"""Those that may not come in and have not yet gone."""

BUSY = b"+" + frame(b"E.pykvm: another debugger is attached to this guest")


class Client:
    """A connection to a debugger.

    Args:
        connection: its socket.

    Attributes:
        packets: what it has sent and nobody has looked at, oldest first.
        is_gone: whether it has closed the connection, or broken it.
        wants_acks: whether packets are acknowledged.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        connection.settimeout(SEND_PATIENCE)
        if connection.family != socket.AF_UNIX:
            # packets are small, and each waits for the other side's
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._decoder = Decoder()
        self._last = b""
        self.packets: deque[bytes | Mark] = deque()
        self.is_gone = False
        self.wants_acks = True

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def receive(self) -> None:
        """Take what has come, which must be there."""
        try:
            data = self._socket.recv(CHUNK)
        except OSError:
            data = b""
        if not data:
            self.is_gone = True
        self.packets += (item for item in self._decoder.feed(data) if item is not Mark.ACK)

    @property
    def interrupts(self) -> bool:
        """Whether it has sent Ctrl-C behind the last packet that was taken."""
        return Mark.INTERRUPT in self.packets

    def forget_interrupts(self) -> None:
        """The guest has stopped: what was sent before is obeyed."""
        self.packets = deque(item for item in self.packets if item is not Mark.INTERRUPT)

    @property
    def is_leaving(self) -> bool:
        """Whether it will send no more than what is there."""
        if self.is_gone:
            return True
        poll = select.poll()
        poll.register(self, select.POLLRDHUP)
        return bool(poll.poll(0))

    def take(self) -> bytes | None:
        """The next packet, acknowledged; None if there is none.

        A damaged one is asked for again where that is agreed on, and answered by an error where it
        is not; the last reply is repeated where the client asks for that.
        """
        while self.packets:
            item = self.packets.popleft()
            if isinstance(item, bytes):
                if self.wants_acks:
                    self._transmit(b"+")
                return item
            if item is Mark.NAK:
                self._transmit(self._last)
            elif item is Mark.INTERRUPT:
                continue  # the guest is stopped
            elif self.wants_acks:
                self._transmit(b"-")
            else:
                self.send(PacketError(EBADMSG).reply)
        return None

    def send(self, content: bytes) -> None:
        """Send a packet; a client that cannot be reached is gone."""
        self._last = frame(content)
        self._transmit(self._last)

    def _transmit(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError:
            self.is_gone = True

    def close(self) -> None:
        """Close the connection, once all that was sent has its way."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()


class Door:
    """Lets clients in.  A context manager: on leaving, the client is cut off.

    Args:
        listener: where they knock; it stays its owner's.

    Attributes:
        client: who is in.
    """

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        listener.setblocking(False)
        self.client: Client | None = None
        self._refused: dict[socket.socket, bool] = {}
        """Those that may not come in, the first one first, and whether each was told so."""

        self._bell, self._bell_rope = socket.socketpair()
        for end in (self._bell, self._bell_rope):
            end.setblocking(False)

    def wait(self, deadline: float | None = None) -> None:
        """Sleep until the client has sent something, or somebody came, or `wake` was called.

        Args:
            deadline: when to return at the latest (`time.monotonic`); None for never.
        """
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        poll.register(self._listener, select.POLLIN)
        refused = {one.fileno(): one for one in self._refused}
        for fd in refused:
            poll.register(fd, select.POLLIN)
        client = self.client
        if client is not None and not client.is_gone and len(client.packets) < MOST_WAITING:
            poll.register(client, select.POLLIN)
        timeout = None if deadline is None else max(0, deadline - time.monotonic()) * 1e3
        for fd, _ in poll.poll(timeout):
            if fd == self._bell.fileno():
                with suppress(BlockingIOError):
                    self._bell.recv(CHUNK)
            elif fd == self._listener.fileno():
                self._let_in()
            elif fd in refused:
                self._refuse(refused[fd])
            elif client is not None:
                client.receive()

    def wake(self) -> None:
        """Have `wait` return, now or when it is next called; from any thread or signal handler."""
        # one that is full already wakes as well, and one that is closed has nobody to wake
        with suppress(OSError):
            self._bell_rope.send(b"\0")

    def _let_in(self) -> None:
        if self.client is not None and self.client.is_leaving:
            return  # the place is free as soon as this is noticed
        try:
            connection, _ = self._listener.accept()
        except OSError:  # gone again
            return
        if self.client is None:
            self.client = Client(connection)
            return
        connection.setblocking(False)
        self._refused[connection] = False
        if len(self._refused) > MOST_REFUSED:
            self._forget(next(iter(self._refused)))

    def _refuse(self, connection: socket.socket) -> None:
        """Answer the first packet of one that may not come in, and wait until it has gone.

        One that finds itself cut off while it still has something to say, if only that it has
        understood, would not read why.
        """
        try:
            data = connection.recv(CHUNK)
            # a lone acknowledgement, of nothing, comes before the first packet
            if b"#" in data and not self._refused[connection]:
                self._refused[connection] = True
                connection.send(BUSY)
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            data = b""
        if not data:
            self._forget(connection)

    def _forget(self, connection: socket.socket) -> None:
        del self._refused[connection]
        connection.close()

    def show_out(self) -> None:
        """Close the connection to the client, if there is one; the next one may come in."""
        client, self.client = self.client, None
        if client is not None:
            client.close()

    def close(self) -> None:
        """Cut the client off."""
        self.show_out()
        for connection in self._refused:
            connection.close()
        self._refused.clear()
        self._bell.close()
        self._bell_rope.close()

    def __enter__(self) -> Door:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
