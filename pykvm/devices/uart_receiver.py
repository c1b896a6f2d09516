"""The receiving half of a 16550A: what the host has sent, and what of it has arrived.

A host has no baud rate, so the guest sets the pace:

- Characters that the host sends wait in a queue.  They arrive in bursts that fill the FIFO, each
  when the guest has read the FIFO below its trigger level.  So a full FIFO is never overrun, and
  a guest that reads one trigger level's worth an interrupt gets its next one.
- The character time-out comes at once.  On the chip it means "no further character for four
  character times"; here nothing further can be on its way once the FIFO stays below its trigger
  level, since the queue is empty then.
- Characters start to arrive when the guest first looks (reads LSR or RBR, or enables receiver
  interrupts), and again after it clears the FIFO.  So input that is there before the guest has
  initialised its UART survives the initialisation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from pykvm.devices.serial_reg import LSR_BI, LSR_DR, LSR_FE, LSR_FIFOE, LSR_OE, LSR_PE

FIFO_SIZE = 16
TRIGGER_LEVELS = (1, 4, 8, 14)
"""By FCR bits 7 and 6 (datasheet, FIFO control register)."""

BREAK = (LSR_BI | LSR_FE) << 8
"""A break as it is queued: character 0, with its LSR errors in bits 8 to 15."""

_FIFO_ERRORS = LSR_PE | LSR_FE | LSR_BI


class Receiver:
    """The host's queue, the receiver FIFO (in 16450 mode: the one RBR), and the errors.

    Args:
        queue_size: how many characters may wait.

    Attributes:
        on_room: see `Uart16550`.
        connected: whether SIN leads to the host; False in loop-back.
        listening: whether the guest has looked; see above.
        fifo_mode: FCR bit 0.
        timed_out: the character time-out is indicated.
        errors: LSR bits 1 to 4, until the guest reads them.
    """

    def __init__(self, queue_size: int) -> None:
        self.on_room: Callable[[], None] | None = None
        self.connected = True
        self.listening = False
        self.fifo_mode = False
        self.timed_out = False
        self.errors = 0
        self._queue: deque[int] = deque()
        self._queue_size = queue_size
        self._queue_was_full = False
        self._fifo: deque[int] = deque()
        self._depth = self._trigger = 1
        self._last = 0

    @property
    def room(self) -> int:
        """How many more characters the queue takes."""
        return max(0, self._queue_size - len(self._queue))

    @property
    def at_trigger(self) -> bool:
        """Whether "received data available" is indicated."""
        return len(self._fifo) >= self._trigger

    @property
    def line_status(self) -> int:
        """The receiver's part of the LSR: bits 0 to 4 and 7."""
        status = self.errors
        if self._fifo:
            status |= LSR_DR
        if self.fifo_mode and (
            self.errors & _FIFO_ERRORS or any(item > 0xFF for item in self._fifo)
        ):
            status |= LSR_FIFOE
        return status

    def unread(self) -> list[int]:
        """What the host has sent and the guest has not read; in loop-back the FIFO is its own."""
        return [*(self._fifo if self.connected else ()), *self._queue]

    def send(self, items: Iterable[int]) -> None:
        """Queue characters (with errors in bits 8 to 15): as many as there is `room` for, or what
        another receiver had `unread`."""
        self._queue.extend(items)

    def arrive(self) -> None:
        """Let waiting characters into the FIFO if it wants some, and settle what follows."""
        fifo = self._fifo
        if self.listening and self.connected and len(fifo) < self._trigger:
            while self._queue and len(fifo) < self._depth:
                fifo.append(self._queue.popleft())
        self.timed_out = 0 < len(fifo) < self._trigger
        if fifo and fifo[0] > 0xFF:
            # Errors show when their character reaches the top of the FIFO, and then stay.
            self.errors |= fifo[0] >> 8
            fifo[0] &= 0xFF

    def loop_back(self, value: int) -> None:
        """Take a character from the UART's own transmitter.

        An overrun destroys the character in the RBR; one beyond a full FIFO is lost itself.
        """
        if len(self._fifo) == self._depth:
            self.errors |= LSR_OE
            if self.fifo_mode:
                return
            self._fifo.pop()
        self._fifo.append(value)

    def pop(self) -> int:
        """Take the character at the top, or the last one again; this ends a time-out."""
        if self._fifo:
            self._last = self._fifo.popleft()
            self.timed_out = False
        return self._last

    def set_mode(self, fifo_mode: bool, trigger_code: int) -> None:
        """Set FCR bit 0, and with it bits 7 and 6 as `trigger_code`."""
        self.fifo_mode = fifo_mode
        self._depth = FIFO_SIZE if fifo_mode else 1
        self._trigger = TRIGGER_LEVELS[trigger_code] if fifo_mode else 1

    def clear(self) -> None:
        """Lose what has arrived."""
        self._fifo.clear()
        self.timed_out = False

    def note_full(self) -> None:
        """Remember to call `on_room` if the queue is full now."""
        self._queue_was_full = self.room == 0

    def notify_room(self) -> None:
        """Call `on_room` if the queue was full and is at most half full now."""
        if self._queue_was_full and len(self._queue) <= self._queue_size // 2:
            self._queue_was_full = False
            if self.on_room is not None:
                self.on_room()
