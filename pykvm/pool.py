"""Machines made beforehand, for who cannot wait until one is made.

with MachinePool(4, "guests/hello.bin", memory="1M") as pool:
    with pool.take() as machine:
        machine.run(timeout=5)
        print(machine.output)
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from pykvm.errors import MachineError
from pykvm.machine import Machine

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

PAUSE = 0.01
"""Seconds; the start of a small guest is over by then."""


class MachinePool:
    """Keeps machines ready to run: made and loaded, so that nothing is left but to enter the guest.

    A machine is used once: it is its taker's, who closes it.  A thread makes the next ones.  It
    waits until a moment has passed without a `take`, since whoever takes a machine wants to start
    it, and the two would be in each other's way.  When there is none left it does not wait.

    Closing the pool (or leaving the `with` block) closes the machines that nobody took.  Each keeps
    descriptors open and, as far as the image reaches, memory in use: `pykvm bench density` tells
    how much.

    Args:
        size: how many are kept ready, at least 1.
        image: what they run, as for `Machine.load`.  A file is read anew for each.
        load: more arguments for `Machine.load`: `{"mode": Mode.LONG}`.
        prepare: called with each machine when it is loaded, in the pool's thread: attach your own
            devices here.
        pause: seconds without a `take` after which the pool is filled up.
        **machine: the arguments of `Machine`.  Sinks are shared by all that are made: without
            `serial` each keeps its own output.

    Raises:
        ValueError: there cannot be such a pool.
        PykvmError: the first machine cannot be made, or its image not loaded.
    """

    def __init__(
        self,
        size: int,
        image: str | os.PathLike[str] | bytes,
        *,
        load: Mapping[str, Any] | None = None,
        prepare: Callable[[Machine], object] | None = None,
        pause: float = PAUSE,
        **machine: Any,
    ) -> None:
        if size < 1:
            raise ValueError(f"a pool of {size} machines: at least 1")
        if pause < 0:
            raise ValueError(f"a pause of {pause} seconds: at least 0")
        self.size = size
        self._image = image
        self._load = dict(load or {})
        self._prepare = prepare
        self._pause = pause
        self._arguments = machine
        self._ready: deque[Machine] = deque()
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._taken = 0
        self._closed = False
        self._thread = threading.Thread(target=self._refill, name="pykvm-pool", daemon=True)
        # the first one here, so that what is wrong is said where the pool is asked for
        self._ready.append(self._make())
        try:
            self._thread.start()
        except RuntimeError as error:
            self._close_rest()
            raise MachineError(f"the host has no thread left for a pool: {error}") from None

    @property
    def ready(self) -> int:
        """How many can be taken at once."""
        return len(self._ready)

    def take(self, timeout: float | None = None) -> Machine:
        """A machine that is ready to run; if there is none, the next that is made.

        It is the caller's to run and to close.

        Args:
            timeout: seconds to wait for one; None for as long as it takes.

        Raises:
            TimeoutError: none was made in time.
            ValueError: the pool is closed, or is closed meanwhile.
            PykvmError: no more can be made; the pool tries again at the next `take`.
        """
        with self._changed:
            self._taken += 1
            self._changed.notify_all()
            if not self._changed.wait_for(self._may_return, timeout):
                raise TimeoutError(f"no machine was made within {timeout:g} s")
            if self._ready:
                return self._ready.popleft()
            if self._closed:
                raise ValueError("the pool is closed")
            error, self._error = self._error, None
            assert error is not None
            raise error

    def _may_return(self) -> bool:
        return bool(self._ready) or self._closed or self._error is not None

    def wait_until_full(self, timeout: float | None = None) -> bool:
        """Wait until all machines are ready; returns whether they are.

        Args:
            timeout: seconds; None for as long as it takes.

        Raises:
            ValueError: the pool is closed.
            PykvmError: no more can be made.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_full() or self._closed or self._error is not None, timeout
            )
            if self._closed:
                raise ValueError("the pool is closed")
            if self._error is not None:
                error, self._error = self._error, None
                self._changed.notify_all()
                raise error
            return self._is_full()

    def _is_full(self) -> bool:
        return len(self._ready) >= self.size

    def _make(self) -> Machine:
        machine = Machine(**self._arguments)
        try:
            machine.load(self._image, **self._load)
            if self._prepare is not None:
                self._prepare(machine)
        except BaseException:
            machine.close()
            raise
        return machine

    def _refill(self) -> None:
        while self._wait_for_work():
            try:
                machine = self._make()
            except BaseException as error:  # whatever it is, it belongs to who wants a machine
                with self._changed:
                    self._error = error
                    self._changed.notify_all()
                continue
            with self._changed:
                if not self._closed:
                    self._ready.append(machine)
                    self._changed.notify_all()
                    continue
            machine.close()

    def _wait_for_work(self) -> bool:
        """Wait until a machine is to be made; False when the pool is closed."""
        with self._changed:
            while not self._closed:
                if self._is_full() or self._error is not None:
                    self._changed.wait()
                    continue
                if not self._ready or self._is_quiet():
                    return not self._closed
            return False

    def _is_quiet(self) -> bool:
        """Wait for the pause; whether nobody took a machine in it, and the pool is open."""
        taken = self._taken
        return not self._changed.wait_for(lambda: self._taken != taken or self._closed, self._pause)

    def close(self) -> None:
        """Close all machines that were not taken.  Closing again does nothing."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self._close_rest()

    def _close_rest(self) -> None:
        while self._ready:
            self._ready.popleft().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
