"""The POST port, 0x80: firmware writes how far its power-on self-test got."""

from __future__ import annotations

from collections import deque

from pykvm.bus import Device, Shortcuts

HISTORY_LENGTH = 256


class Post(Device):
    """Latches the last code written, reads it back, and remembers those before it.

    Attributes:
        history: the last `HISTORY_LENGTH` codes, oldest first.
    """

    name = "POST port"

    def __init__(self) -> None:
        self.history: deque[int] = deque(maxlen=HISTORY_LENGTH)
        self._code = 0

    @property
    def code(self) -> int:
        """The last code written; 0 before the first."""
        return self._code

    def connect(self, shortcuts: Shortcuts) -> None:
        """Post all writes: kernels write here just to let a microsecond pass.

        Reads are not answered, so that one of them brings the posted writes home first.
        """
        shortcuts.post(0)

    def read(self, offset: int, size: int) -> int:
        """The last code written."""
        return self._code

    def write(self, offset: int, size: int, value: int) -> None:
        """Latch a code."""
        self._code = value
        self.history.append(value)

    def write_block(self, offset: int, size: int, data: bytes) -> None:
        """Latch a run of codes."""
        if data:
            self._code = data[-1]
            self.history.extend(data)
