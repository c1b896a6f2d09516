"""Where the command keeps its machine: a guest's restart puts a new one in the old one's place.

Signals, keys, the serial line's input and a BIOS's screen are connected to the chassis, so they
stay connected.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager

from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

    from pykvm.cpu.stop import Stop
    from pykvm.machine import Machine
    from pykvm.stats import Stats


class Chassis:
    """The machine that is in now.  A context manager: on leaving, it is closed.

    Args:
        make: makes a machine with its image loaded, ready to run.
        counted: keep the stats of machines that are replaced.

    Attributes:
        machine: the one that is in; None after a restart that failed.
        restarts: how often it was replaced.
        on_room: called when `send` takes bytes again, in whichever thread finds out; or None.
        stopping: the stop that was asked for; None if none was.
        on_stop: called when one was, in whichever thread or signal handler asks; or None.
        on_key_room: the same for the keyboard of its BIOS.

    Raises:
        Exception: what `make` has raised.
    """

    def __init__(self, make: Callable[[], Machine], *, counted: bool = False) -> None:
        self._make = make
        self._counted = counted
        self._before: Stats | None = None
        # held by whoever touches devices, so that nobody drives lines of a closing machine
        self._in_use = threading.Lock()
        self.restarts = 0
        self.on_room: Callable[[], None] | None = None
        self.stopping: Stop | None = None
        self.on_stop: Callable[[], None] | None = None
        self.on_key_room: Callable[[], None] | None = None
        self.machine: Machine | None = None
        self._put(make())

    def restart(self) -> None:
        """Put a new machine in.  It gets the input and the keys that the guest before had not read.

        Raises:
            Exception: what `make` has raised; there is no machine then.
        """
        old = self.machine
        assert old is not None, "there is none to start anew"
        self._before = self.stats()
        with self._in_use:
            self.machine = None
        keys = old.take_keys()
        old.close()
        new = self._make()
        new.board.serial.take_over(old.board.serial)
        if new.bios is not None:
            new.bios.keyboard.give(keys)
        self.restarts += 1
        self._put(new)

    def _put(self, machine: Machine) -> None:
        machine.board.serial.on_room = self._tell_of_room
        if machine.bios is not None:
            machine.bios.keyboard.on_room = self._tell_of_key_room
        with self._in_use:
            self.machine = machine
        # `stop` may have found none, or may come now: one of the two sees what the other did
        if self.stopping is not None:
            machine.stop(self.stopping)
        self._tell_of_room()
        self._tell_of_key_room()

    def _tell_of_room(self) -> None:
        if self.on_room is not None:
            self.on_room()

    def _tell_of_key_room(self) -> None:
        if self.on_key_room is not None:
            self.on_key_room()

    @contextmanager
    def inside(self) -> Iterator[Machine | None]:
        """The machine that is in, which stays in meanwhile; None while there is none."""
        with self._in_use:
            yield self.machine

    def stop(self, stop: Stop) -> None:
        """End this run and all that were to follow; from another thread or a signal handler."""
        if self.stopping is None:
            self.stopping = stop
        machine = self.machine
        if machine is not None:
            machine.stop(self.stopping)
        on_stop = self.on_stop
        if on_stop is not None:
            on_stop()

    def send(self, data: bytes) -> int:
        """Give the guest `data` on COM1; returns how many bytes of it there was room for."""
        with self.inside() as machine:
            return 0 if machine is None else machine.send(data)

    def press_power_button(self) -> None:
        """Press the power button of the machine that is in."""
        with self.inside() as machine:
            if machine is not None:
                machine.press_power_button()

    def stats(self) -> Stats | None:
        """Exits and times of all machines so far; None unless they are counted."""
        if not self._counted or self.machine is None:
            return self._before
        stats = self.machine.stats()
        if self._before is None:
            return stats
        from pykvm.stats import add

        return add(self._before, stats)

    def close(self) -> None:
        """Close the machine that is in."""
        if self.machine is not None:
            self.machine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
