"""All processors of a machine: run together, stopped together."""

from __future__ import annotations

import threading
from contextlib import suppress

from pykvm.cpu.stop import ALL_ASLEEP, Stop, StopReason, StopRequest
from pykvm.errors import MachineError
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from typing import Any

    from pykvm.cpu.protocol import Cpu


class _Thread(threading.Thread):
    """A thread that says when it is done with its processor."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.done = threading.Event()


_RUNNING = "the machine is running: stop it and wait for `run` to return"


class Processors:
    """Runs processors, the first on the calling thread, each other one on a thread of its own.

    Whichever ends, by a word in `requests` or an exception, the others are kicked and joined
    before `run` returns.  So nobody has to tell "stopped" from "about to stop" later.

    Args:
        requests: where each looks for the word to stop, and leaves its own.
        may_wake: whether something besides them may yet wake one that halts with RFLAGS.IF = 0.
    """

    def __init__(self, requests: StopRequest, may_wake: Callable[[], bool]) -> None:
        self._cpus: Sequence[Cpu] = ()
        self._chosen: Sequence[Cpu] = ()
        self._requests = requests
        self._may_wake = may_wake
        self._owner: dict[str, object] = {}

    def add(self, cpus: Sequence[Cpu]) -> None:
        """Say which they are, the first one's first."""
        self._cpus = self._chosen = cpus

    def on_sleep(self) -> None:
        """One of them sleeps for ever, unless another wakes it: stop, if all say so.

        They said so at different times, and one may have woken another since.  Only when all are
        out of the guest does it show (`run` looks): a vCPU's state cannot be read while it runs.
        """
        if all(cpu.is_asleep for cpu in self._chosen):
            self._requests.suppose_asleep()

    def refuse_while_running(self) -> None:
        """Raise RuntimeError while `run` is under way."""
        if self._owner:
            raise RuntimeError(_RUNNING)

    def run(
        self, start: int, deadline: int | None = None, only: Collection[int] | None = None
    ) -> Stop:
        """Run them until they stop.

        Args:
            start: CLOCK_MONOTONIC in ns (`time.monotonic_ns`) now.
            deadline: when to stop, likewise; None for never.
            only: the numbers of those to run, at least one; None for all.

        Raises:
            RuntimeError: they are running.
            MachineError: the host has no thread left.
            Exception: what the first that failed has raised.
        """
        me = object()
        try:
            # atomic, and undone whatever a signal's handler raises when
            if self._owner.setdefault("thread", me) is not me:
                raise RuntimeError(_RUNNING)  # even if the other one ends just now
            self._choose(only)
            while True:
                self._run_until_word(start, deadline)
                stop = self._requests.take()
                if stop is ALL_ASLEEP:
                    if not self._all_sleep():
                        continue
                    stop = Stop(StopReason.HALTED)
                if stop is not None:
                    return stop
        finally:
            if self._owner.get("thread") is me:
                del self._owner["thread"]

    def _choose(self, only: Collection[int] | None) -> None:
        chosen = [cpu for cpu in self._cpus if only is None or cpu.index in only]
        if not chosen:
            raise ValueError("there is no processor to run")
        for cpu in chosen:
            cpu.keeps_time = cpu is chosen[0]
        self._chosen = chosen

    def _all_sleep(self) -> bool:
        return all(cpu.sleeps_for_ever() for cpu in self._cpus) and not self._may_wake()

    def _run_until_word(self, start: int, deadline: int | None) -> None:
        first, others = self._chosen[0], self._chosen[1:]
        if not others:
            first.run(start, deadline)
            return
        from pykvm.cpu.threads import start_without_signals

        threads: list[_Thread] = []
        try:
            for cpu in others:
                threads.append(self._make_thread(cpu, start, deadline))
                try:
                    start_without_signals(threads[-1])
                except RuntimeError as error:
                    raise MachineError(
                        f"the host has no thread left for processor {cpu.index}: fewer --smp"
                    ) from error
            self._run_one(first, start, deadline)
        except BaseException:
            # a signal's handler or the lack of a thread: it is that, and no word, that ends the run
            self._requests.post(Stop(StopReason.STOPPED))
            self._end(threads)
            self._forget_word()
            raise
        self._end(threads)

    def _run_one(self, cpu: Cpu, start: int, deadline: int | None) -> None:
        try:
            cpu.run(start, deadline)
        except Exception as error:
            self._requests.fail(error)

    def _make_thread(self, cpu: Cpu, start: int, deadline: int | None) -> _Thread:
        def body() -> None:
            _name_thread(f"vcpu{cpu.index}")
            try:
                self._run_one(cpu, start, deadline)
            finally:
                thread.done.set()
                self._kick()

        thread = _Thread(target=body, name=f"vcpu{cpu.index}", daemon=True)
        return thread

    def _kick(self) -> None:
        for cpu in self._chosen:
            cpu.kick()

    def _end(self, threads: list[_Thread]) -> None:
        """Wait until all other processors have stopped, for which there is a word already.

        A signal's handler may raise meanwhile, more than once; the last of that is raised here.
        """
        raised: BaseException | None = None
        while True:
            try:
                self._kick()
                for thread in threads:
                    if thread.ident is not None:  # it was started
                        # Python 3.11's `join`, when a handler raises in it, may take a thread
                        # that runs for one that has ended
                        thread.done.wait()
                        thread.join()
                break
            except BaseException as error:
                raised = error
        if raised is not None:
            self._forget_word()
            raise raised

    def _forget_word(self) -> None:
        with suppress(Exception):
            self._requests.take()


def _name_thread(name: str) -> None:
    """Tell the kernel, for `top -H` and debuggers; Python itself does so from 3.14 on only."""
    comm = f"/proc/self/task/{threading.get_native_id()}/comm"
    with suppress(OSError), open(comm, "wb", buffering=0) as file:
        file.write(name.encode())
