"""A child process on a short leash: time, memory, output and children of its own are bounded.

It is a leash for mistakes, not a jail: code that means harm can do what its user can.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import psutil

from pykvm.labs.copy import Copy

HEAD, TAIL = 2048, 4096
"""How much of the beginning and the end of a child's output is kept."""
LONGEST_MESSAGE = 1 << 20
MOST_CHILDREN = 64
GLANCE = 0.25
"""Seconds between two looks at how many processes there are."""

Process = subprocess.Popen[bytes] | Copy

_running: set[Process] = set()

_adopted: list[int] = []
"""This process, if it adopts orphans."""


class Ended(NamedTuple):
    """How a child ended.

    Attributes:
        status: its exit status; negative for the signal that killed it.
        trouble: what it was killed for, in words: "longer than 5 s", ...; else empty.
        printed: what came on its standard output and error, without the middle if it was much.
        message: what came on its message pipe, at most 1 MiB.
    """

    status: int
    trouble: str
    printed: str
    message: bytes


class _Kept:
    """The two ends of an output."""

    def __init__(self) -> None:
        self._head = self._tail = b""
        self._total = 0

    def add(self, data: bytes) -> None:
        self._total += len(data)
        room = HEAD - len(self._head)
        self._head += data[:room]
        self._tail = (self._tail + data[room:])[-TAIL:]

    def text(self) -> str:
        lost = self._total - len(self._head) - len(self._tail)
        gap = f"\n... {lost} bytes more ...\n".encode() if lost else b""
        return (self._head + gap + self._tail).decode(errors="replace")


def run(
    start: Callable[[int], Process],
    *,
    given: bytes = b"",
    seconds: float,
    children: int | None = MOST_CHILDREN,
    on_message: Callable[[bytes], None] | None = None,
) -> Ended:
    """Run a process, and everything it starts, to the end.

    Args:
        start: starts it, as the leader of a session of its own; gets the descriptor of its message
            pipe.
        given: its standard input.
        seconds: how long it may take.
        children: how many processes it may have at a time; None for any number.
        on_message: called with each piece that comes on the message pipe, which is then not kept.
    """
    inner, outer = os.pipe()
    try:
        with start(outer) as process:
            os.close(outer)
            outer = -1
            _running.add(process)
            try:
                return _Watch(process, inner, seconds, children, on_message).run(given)
            finally:
                _running.discard(process)
    finally:
        for fd in (inner, outer):
            if fd >= 0:
                os.close(fd)


class _Watch:
    """Follows one child to its end."""

    def __init__(
        self,
        process: Process,
        inner: int,
        seconds: float,
        children: int | None,
        on_message: Callable[[bytes], None] | None,
    ) -> None:
        assert process.stdout is not None
        self._process = process
        self._seconds = seconds
        self._children = children
        self._printed = _Kept()
        self._message = b""
        self._inner = inner
        self._output = process.stdout.fileno()
        self._on_message = on_message or self._keep

    def run(self, given: bytes) -> Ended:
        try:
            self._give(given)
            trouble = self._follow()
        finally:
            kill_all(self._process)
        self._drain()
        return Ended(self._process.wait(), trouble, self._printed.text(), self._message)

    def _give(self, given: bytes) -> None:
        """Hand over the input: less than a pipe holds, or the child reads it first of all."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(given)
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def _follow(self) -> str:
        deadline = time.monotonic() + self._seconds
        ended = os.pidfd_open(self._process.pid)
        try:
            with selectors.DefaultSelector() as selector:
                for fd in (ended, self._output, self._inner):
                    selector.register(fd, selectors.EVENT_READ)
                look = time.monotonic() + GLANCE
                while True:
                    now = time.monotonic()
                    if now >= deadline:
                        return f"longer than {self._seconds:g} s"
                    if now >= look:
                        if self._has_too_many():
                            return f"more than {self._children} processes"
                        look = time.monotonic() + GLANCE
                    ready = [key.fd for key, _ in selector.select(min(deadline, look) - now)]
                    for fd in ready:
                        if fd != ended and not self._take(fd):
                            selector.unregister(fd)
                    if ready == [ended]:
                        return ""
        finally:
            os.close(ended)

    def _take(self, fd: int) -> bool:
        """Take what there is; returns whether more may come."""
        data = os.read(fd, 65536)
        if data:
            (self._printed.add if fd == self._output else self._on_message)(data)
        return bool(data)

    def _keep(self, data: bytes) -> None:
        self._message += data[: LONGEST_MESSAGE - len(self._message)]

    def _drain(self) -> None:
        """Take what is left in the pipes; whoever still holds their other ends says no more."""
        for fd in (self._output, self._inner):
            os.set_blocking(fd, False)
            with suppress(BlockingIOError):
                for _ in range(64):
                    if not self._take(fd):
                        break

    def _has_too_many(self) -> bool:
        if self._children is None:
            return False
        with suppress(psutil.Error):
            return len(psutil.Process(self._process.pid).children(recursive=True)) > self._children
        return False


def kill_all(process: Process) -> None:
    """Kill a child and what it started, and wait for it."""
    kill_tree(process.pid)
    process.wait()


def kill_tree(pid: int) -> None:
    """Kill a child, its process group, and whatever it started that can still be found."""
    with suppress(psutil.Error):
        child = psutil.Process(pid)
        # itself, too: it may not have come to lead a group
        for process in (*child.children(recursive=True), child):
            with suppress(psutil.Error):
                process.kill()
    with suppress(ProcessLookupError, PermissionError):
        # the group's number stays taken as long as it has a member or the child is not waited for
        os.killpg(pid, signal.SIGKILL)


def kill_running() -> None:
    """Kill what other threads are just waiting for in `run`, which then returns."""
    for process in tuple(_running):
        kill_tree(process.pid)


def adopt_orphans() -> None:
    """Make this process the parent of orphaned descendants, so that `sweep` finds them.

    It must not have children that it wants to keep.
    """
    from ctypes import CDLL

    pr_set_child_subreaper = 36  # prctl(2)
    CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)
    _adopted.append(os.getpid())


def sweep() -> None:
    """Kill and bury all children of a process that adopts orphans, and so has no others.

    Those that start new ones as fast as they are killed are given a second.
    """
    if os.getpid() not in _adopted:
        return
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        left = psutil.Process().children(recursive=True)
        if not left:
            return
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=0.2)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
