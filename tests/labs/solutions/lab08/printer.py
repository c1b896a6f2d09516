"""Lab 8, part 2: a printer that the C loop answers for."""

from collections.abc import Callable

from pykvm.bus import Device, Shortcuts

DATA, STATUS, CONTROL, COUNT = range(4)  # offsets

READY, ERROR, PAPER_LOW = 0x01, 0x02, 0x04  # in STATUS
ONLINE, RESET = 0x01, 0x80  # in CONTROL


class Printer(Device):
    """Four registers of 8 bits."""

    name = "printer"
    width = 1

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._online = False
        self._error = False
        self._paper_low = False
        self._count = 0
        self._shortcuts: Shortcuts | None = None

    def connect(self, shortcuts: Shortcuts) -> None:
        """The bus calls it once, when the device is attached: here are the shortcuts."""
        self._shortcuts = shortcuts
        self._update()

    def set_paper_low(self, low: bool) -> None:
        """The host's side: paper runs low, or there is new paper.  May come before `connect`."""
        self._paper_low = low
        self._update()

    def read(self, offset: int, size: int) -> int:
        """The guest reads a register."""
        if offset == STATUS:
            status = self._status()
            self._error = False  # reading takes it away
            self._update()
            return status
        if offset == CONTROL:
            return ONLINE if self._online else 0
        if offset == COUNT:
            return self._count
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """The guest writes a register; STATUS and COUNT take no notice."""
        if offset == DATA:
            self._print(value)
        elif offset == CONTROL:
            self._online = bool(value & ONLINE)
            if value & RESET:
                self._error = False
                self._count = 0
            self._update()

    def _print(self, character: int) -> None:
        if self._online:
            self._send(bytes([character]))
            self._count = (self._count + 1) & 0xFF
        else:
            self._error = True
            self._update()

    def _status(self) -> int:
        return (
            (READY if self._online else 0)
            | (ERROR if self._error else 0)
            | (PAPER_LOW if self._paper_low else 0)
        )

    def _update(self) -> None:
        """Keep the hints right.

        Off line, a write to DATA shows in STATUS, which C answers; an error goes by reading.
        """
        if self._shortcuts is not None:
            self._shortcuts.answer(STATUS, None if self._error else self._status())
            self._shortcuts.post(DATA, on=self._online)
