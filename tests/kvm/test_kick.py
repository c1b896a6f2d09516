"""Getting a vCPU out of the guest: by timer, and from other threads."""

from __future__ import annotations

import os
import resource
import signal
import threading
import time
from pathlib import Path

import pytest

from pykvm import Device, Machine, StopReason
from pykvm.errors import PykvmError
from pykvm.kvm.runloop import INTERRUPTED
from tests.support.bare import Bare
from tests.support.waiting import eventually

SPIN = bytes.fromhex(
    "eb fe"  # jmp $
)


def test_the_timer_ends_a_guest_that_never_exits(bare: Bare) -> None:
    bare.load(SPIN)
    bare.loop.set_timer(time.monotonic_ns() + 1_000_000, 0)
    assert bare.loop.enter() == INTERRUPTED
    assert bare.loop.inside_ns > 0


def test_the_timer_fires_again_and_again_until_stopped(bare: Bare) -> None:
    bare.load(SPIN)
    bare.loop.set_timer(time.monotonic_ns() + 1, 1_000_000)
    for _ in range(5):
        assert bare.loop.enter() == INTERRUPTED
    bare.loop.stop_timer()
    bare.loop.stop_timer()


def test_a_timer_that_fires_in_python_ends_the_next_run(bare: Bare) -> None:
    bare.load(SPIN)
    first = time.monotonic_ns() + 1000
    bare.loop.set_timer(first, 0)
    while time.monotonic_ns() < first + 5_000_000:
        pass
    assert bare.loop.enter() == INTERRUPTED


def test_a_host_without_timers_says_so(bare: Bare) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_SIGPENDING)
    resource.setrlimit(resource.RLIMIT_SIGPENDING, (0, hard))
    try:
        with pytest.raises(PykvmError, match=r"timer .* Resource temporarily unavailable"):
            bare.loop.set_timer(1, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_SIGPENDING, (soft, hard))


def test_a_kick_before_the_run_is_not_lost(bare: Bare) -> None:
    bare.load(SPIN)
    bare.loop.kick()
    assert bare.loop.enter() == INTERRUPTED


def test_a_kick_from_another_thread_ends_the_run(bare: Bare) -> None:
    bare.load(SPIN)
    kicker = threading.Thread(target=_kick_when_running, args=(bare,))
    kicker.start()
    assert bare.loop.enter() == INTERRUPTED
    kicker.join()


def _kick_when_running(bare: Bare) -> None:
    assert eventually(lambda: bool(bare.loop._c.thread))
    bare.loop.kick()


def test_the_gil_is_free_while_the_guest_runs(bare: Bare) -> None:
    """Python makes progress on another thread, which alone can end the guest."""
    bare.load(SPIN)
    turns = 0

    def count_then_kick() -> None:
        nonlocal turns
        for _ in range(1000):
            turns += 1
        _kick_when_running(bare)

    thread = threading.Thread(target=count_then_kick)
    thread.start()
    assert bare.loop.enter() == INTERRUPTED
    thread.join()
    assert turns == 1000


def is_reading() -> bool:
    """Whether the main thread sleeps in read(2), system call number 0."""
    call = Path(f"/proc/self/task/{threading.main_thread().native_id}/syscall")
    return call.read_text(encoding="ascii").startswith("0 ")


def test_a_device_that_hangs_in_a_system_call_does_not_hold_up_signal_handlers() -> None:
    """A signal may come to another thread, or just before the call: nothing breaks that off."""
    blocked, freed = os.pipe()
    handled, held_up = threading.Event(), threading.Event()

    class Hanging(Device):
        def write(self, offset: int, size: int, value: int) -> None:
            sender.start()
            os.read(blocked, 1)

    def send_the_signal_elsewhere() -> None:
        assert eventually(is_reading)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        if not handled.wait(20):
            held_up.set()
            os.write(freed, b"x")

    def handler(number: int, frame: object) -> None:
        handled.set()
        os.write(freed, b"x")

    sender = threading.Thread(target=send_the_signal_elsewhere)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        with Machine("64K") as machine:
            machine.ports.attach(0x30, 1, Hanging())
            machine.load(bytes.fromhex("e6 30 f4"))  # out 0x30, al; hlt
            machine.run(timeout=60)
        assert not held_up.is_set()
    finally:
        signal.signal(signal.SIGUSR1, before)
        sender.join()
        os.close(blocked)
        os.close(freed)


def test_a_child_process_has_threads_of_its_own(bare: Bare) -> None:
    """The kernel's number of a thread is kept; in the child the same thread has another one."""
    bare.load(SPIN)
    bare.loop.set_timer(time.monotonic_ns() + 1, 0)
    assert bare.loop.enter() == INTERRUPTED
    child = os.fork()
    if not child:
        try:
            with Machine("64K", irqchip="none") as machine:
                machine.load(SPIN)
                os._exit(machine.run(timeout=0.05).reason is not StopReason.TIMEOUT)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
