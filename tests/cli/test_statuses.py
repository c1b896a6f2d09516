"""How `pykvm run` ends: statuses, signals, and what is said of them."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import (
    CRASH,
    EXIT_5,
    HALT,
    PRINT_A,
    PRINT_A_AND_SPIN,
    RESET,
    SPIN,
    UNCLAIMED,
    MakeImage,
    Pykvm,
    Result,
    Start,
    finish,
    read_some,
)

pytestmark = pytest.mark.needs()


def test_a_guest_that_halts(pykvm_command: Pykvm, image: MakeImage) -> None:
    assert pykvm_command("run", image(PRINT_A)) == Result(0, b"A", "")


def test_a_guest_that_says_its_status(pykvm_command: Pykvm, image: MakeImage) -> None:
    assert pykvm_command("run", image(EXIT_5)) == Result(5 << 1 | 1, b"", "")


def test_a_guest_that_asks_for_a_reset(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", image(RESET))
    assert result.status == 0
    assert (
        result.complaint == "the guest asked for a reset through the keyboard controller: the end"
    )


def test_a_guest_that_never_ends(pykvm_command: Pykvm, image: MakeImage) -> None:
    result = pykvm_command("run", image(SPIN), "--timeout", "0.1")
    assert result.status == 124
    words = r"stopped: the guest was still running after (\d+\.\d+) s \(--timeout\)"
    match = re.fullmatch(words, result.complaint)
    assert match
    assert float(match.group(1)) >= 0.1


def test_the_time_out_does_not_lose_output(pykvm_command: Pykvm, image: MakeImage) -> None:
    assert pykvm_command("run", image(PRINT_A_AND_SPIN), "--timeout", "0.3").out == b"A"


def test_a_guest_that_crashes(pykvm_command: Pykvm, image: MakeImage) -> None:
    """Processors forget their registers in a triple fault, so they are looked at elsewhere."""
    result = pykvm_command("run", image(CRASH), "--mode", "protected")
    assert (result.status, result.out) == (126, b"")
    assert result.err.startswith("pykvm: the guest crashed: ")
    assert " mode, " in result.err


def test_strict_makes_an_unclaimed_access_a_crash(pykvm_command: Pykvm, image: MakeImage) -> None:
    path = image(UNCLAIMED)
    assert pykvm_command("run", path).status == 0
    result = pykvm_command("run", path, "--strict")
    assert (result.status, result.out) == (126, b"")
    first, *rest = result.err.splitlines()
    assert first.startswith("pykvm: the guest crashed: ")
    assert "0x30" in first
    report = "\n".join(rest)
    assert "eax 00001234" in report
    assert "real mode, 16-bit code" in report
    assert "-> 00001003  e4 30 " in report or "-> 00001005  f4 " in report


ENDINGS = [
    (signal.SIGINT, 130),
    (signal.SIGTERM, 143),
    (signal.SIGHUP, 143),
]


@pytest.mark.parametrize(("number", "status"), ENDINGS)
def test_a_signal_stops_the_guest(
    start: Start, image: MakeImage, number: signal.Signals, status: int
) -> None:
    child = start("run", image(PRINT_A_AND_SPIN))
    assert read_some(child.stdout, b"A") == b"A"
    child.send_signal(number)
    result = finish(child)
    assert result.status == status
    assert result.complaint == f"stopped by {number.name}"


@pytest.mark.parametrize(("number", "status"), ENDINGS)
def test_a_signal_ends_a_start_that_hangs(
    start: Start, image: MakeImage, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    """Opening a FIFO waits for its reader: a start-up that takes as long as the test wants."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    child = start("run", image(HALT), "--serial", f"file:{fifo}")
    wait_until_it_opens(child.pid, fifo)
    child.send_signal(number)
    result = finish(child)
    assert result == Result(status if number != signal.SIGHUP else 129, b"", "")


def wait_until_it_opens(pid: int, fifo: Path) -> None:
    """Return when the process sleeps in open(2) of the FIFO."""
    openat = "257"
    while True:
        call = Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").split()
        if call[0] == openat and is_text_at(pid, int(call[2], 16), os.fsencode(fifo)):
            return


def is_text_at(pid: int, address: int, text: bytes) -> bool:
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(len(text)) == text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_an_ignored_signal_stays_ignored(
    start: Start, image: MakeImage, number: signal.Signals
) -> None:
    """As under nohup, and in the background of a script."""
    child = start(
        "run",
        image(PRINT_A_AND_SPIN),
        "--timeout",
        "1",
        preexec_fn=lambda: signal.signal(number, signal.SIG_IGN),
    )
    read_some(child.stdout, b"A")
    child.send_signal(number)
    assert finish(child).status == 124
