"""The command with several processors."""

from __future__ import annotations

import fcntl
import signal
import termios
from array import array
from typing import IO

import pytest

from pykvm.x86 import PAGE_SIZE
from tests.cli.conftest import MakeImage, Pykvm, Start, finish
from tests.support.processors import START_OTHERS
from tests.support.waiting import eventually

pytestmark = pytest.mark.needs("msi")

SPIN = bytes.fromhex(
    "eb fe"  # jmp $
)
PRINT_A_FOR_EVER = bytes.fromhex(
    "ba f8 03"  # mov dx, 0x3f8
    "b0 41"  # mov al, 'A'
    "ee"  # out dx, al
    "eb fd"  # jmp to the out
)
CRASH = bytes.fromhex(
    "e6 30"  # out 0x30, al
)


def two(image: MakeImage, first: bytes, other: bytes) -> str:
    """An image whose first processor starts the other one, which begins at 0x2000."""
    return image((START_OTHERS + first).ljust(0x1000, b"\x90") + other)


@pytest.mark.parametrize(
    "options", ["", "--smp 2", "--irqchip split --smp 3", "--irqchip user", "--irqchip none"]
)
def test_a_bundled_guest_ends_as_ever(pykvm_command: Pykvm, options: str) -> None:
    result = pykvm_command("run", "hello", *options.split())
    assert (result.status, result.err) == (0, "")
    assert result.out.startswith(b"Hello")


@pytest.mark.needs("locked")
@pytest.mark.parametrize(("options", "count"), [("", 4), ("--smp 2", 2)])
def test_a_bundled_guest_has_its_processors_unless_told(
    pykvm_command: Pykvm, options: str, count: int
) -> None:
    result = pykvm_command("run", "smp_count", *options.split())
    assert result.out.count(b"has counted") == count


def test_a_crash_names_the_processor(pykvm_command: Pykvm, image: MakeImage) -> None:
    path = two(image, SPIN, CRASH)
    result = pykvm_command("run", path, "--smp", "2", "--strict")
    assert result.status == 126
    assert result.err.startswith("pykvm: the guest crashed on processor 1: ")
    result = pykvm_command("run", path, "--smp", "2", "--strict", "--json")
    assert b'"processor": 1' in result.out


def is_full(pipe: IO[bytes]) -> bool:
    """Whether a pipe's writer has to wait by poll(2), which wants a whole page of room."""
    unread = array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, unread)
    return unread[0] > fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) - PAGE_SIZE


@pytest.mark.parametrize(
    ("number", "status"), [(None, 124), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_another_that_hangs_in_its_output_is_broken_off(
    start: Start, image: MakeImage, number: signal.Signals | None, status: int
) -> None:
    """Nobody reads: it is not the main thread that waits for the pipe."""
    timeout = "1" if number is None else "100"
    path = two(image, SPIN, PRINT_A_FOR_EVER)
    child = start("run", path, "--smp", "2", "--timeout", timeout)
    pipe = child.stdout
    assert pipe is not None
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PAGE_SIZE)
    assert eventually(lambda: is_full(pipe))
    if number is not None:
        child.send_signal(number)
    assert child.wait(60) == status
    finish(child)
