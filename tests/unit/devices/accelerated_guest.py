"""A guest's view of a bus, with or without an accelerator that obeys the devices' hints."""

from __future__ import annotations

from pykvm.bus import PORT_SPACE, Bus


class FakeAccelerator:
    """Keeps the hints, as the C run loop's route table does."""

    def __init__(self) -> None:
        self.posted: set[tuple[int, int]] = set()
        self.answers: dict[tuple[int, int], int] = {}

    def post_writes(self, address: int, size: int, on: bool) -> None:
        if on:
            self.posted.add((address, size))
        else:
            self.posted.discard((address, size))

    def answer_reads(self, address: int, size: int, value: int | None) -> None:
        for one in (1, 2, 4, 8):
            self.answers.pop((address, one), None)
            if value is not None and size & one:
                self.answers[address, one] = value & (1 << 8 * one) - 1


class Guest:
    """Does port I/O on a bus of its own.

    With `accelerated`, posted writes pile up and reach the bus in runs, only when an access
    comes that Python must see; answered reads never reach it.
    """

    def __init__(self, *, accelerated: bool) -> None:
        self.accelerator = FakeAccelerator() if accelerated else None
        self.bus = Bus("port", PORT_SPACE, accelerator=self.accelerator)
        self._log: list[tuple[int, int, bytearray]] = []

    def out(self, port: int, value: int, size: int = 1) -> None:
        """`out`: write one value."""
        data = value.to_bytes(size, "little")
        if self.accelerator is not None and (port, size) in self.accelerator.posted:
            if self._log and self._log[-1][:2] == (port, size):
                self._log[-1][2].extend(data)
            else:
                self._log.append((port, size, bytearray(data)))
            return
        self.flush()
        self.bus.write(port, size, value)

    def outs(self, port: int, data: bytes, size: int = 1) -> None:
        """`rep outs` that arrives in one exit."""
        self.flush()
        self.bus.write_block(port, size, data)

    def inp(self, port: int, size: int = 1) -> int:
        """`in`: read one value."""
        if self.accelerator is not None and (port, size) in self.accelerator.answers:
            return self.accelerator.answers[port, size]
        self.flush()
        return self.bus.read(port, size)

    def flush(self) -> None:
        """Deliver the posted writes, as at the end of a run."""
        log, self._log = self._log, []
        for port, size, data in log:
            self.bus.write_block(port, size, bytes(data))
