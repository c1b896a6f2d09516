"""The debug console: the simplest output device there is, as in Bochs and QEMU."""

from __future__ import annotations

from pykvm.bus import Device, Shortcuts
from pykvm.devices.sinks import Sink

READBACK = 0xE9
"""What a read answers, so that a guest can tell that the console is there."""


class Debugcon(Device):
    """One port: a byte written goes to the sink, a read answers `READBACK`.

    Args:
        sink: where the bytes go.
    """

    name = "debug console"

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def connect(self, shortcuts: Shortcuts) -> None:
        """Post all writes and answer all reads: neither changes what a guest can see."""
        shortcuts.post(0)
        shortcuts.answer(0, READBACK)

    def read(self, offset: int, size: int) -> int:
        """Answer `READBACK`."""
        return READBACK

    def write(self, offset: int, size: int, value: int) -> None:
        """Send one byte."""
        self._sink.write(bytes((value,)))

    def write_block(self, offset: int, size: int, data: bytes) -> None:
        """Send a run of bytes."""
        self._sink.write(data)
