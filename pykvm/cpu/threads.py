"""Threads that leave the process's signals to the main thread."""

from __future__ import annotations

import signal

from pykvm.kvm.runloop import KICK_SIGNAL
from pykvm.named import TYPE_CHECKING

if TYPE_CHECKING:
    import threading


def start_without_signals(thread: threading.Thread) -> None:
    """Start a thread that lets all signals but kicks, which are for one thread, pass it by.

    A new thread blocks what its maker blocks.  Signals of the process are the maker's: one that
    the kernel gave to another thread would be seen late.

    Raises:
        RuntimeError: the host has no thread left.
    """
    # asked for first: blocking runs handlers that are due, and one may raise when all is blocked
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals() - {KICK_SIGNAL})
        thread.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
