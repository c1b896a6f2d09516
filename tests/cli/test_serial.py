"""Where the guest's serial line leads: standard streams in all conditions, files, terminals."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import (
    EXIT_5,
    HALT,
    PRINT_A,
    PRINT_A_FOR_EVER,
    SPIN,
    MakeImage,
    Pykvm,
    Result,
    Start,
    finish,
    read_some,
)

pytestmark = pytest.mark.needs()

LOST = 125

NUMBERED = b"".join(b"%07x " % i for i in range(8192))
"""64 KiB of which every byte says where it belongs."""


def test_what_is_piped_in_reaches_the_guest(pykvm_command: Pykvm) -> None:
    assert pykvm_command("run", "echo", stdin=b"abc\x00\xff\r\x04never") == Result(
        0, b"Type something; Ctrl-D ends.\nabc\x00\xff\r\nBye.\n", ""
    )


def test_nothing_of_64_kib_is_lost(pykvm_command: Pykvm) -> None:
    result = pykvm_command("run", "echo", stdin=NUMBERED + b"\x04")
    assert result.out == b"Type something; Ctrl-D ends.\n" + NUMBERED + b"Bye.\n"


def test_a_file_can_be_the_input(pykvm_command: Pykvm, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_bytes(b"abc\x04")
    with keys.open("rb") as file:
        result = pykvm_command("run", "echo", stdin=file.fileno())
    assert result.out.endswith(b"\nabcBye.\n")


@pytest.mark.parametrize("shell", ["</dev/null", "<&-"])
def test_the_end_of_the_input_is_not_the_guests_end(
    pykvm_command: Pykvm, image: MakeImage, shell: str
) -> None:
    assert pykvm_command("run", image(PRINT_A), shell=shell) == Result(0, b"A", "")
    assert pykvm_command("run", image(SPIN), "--timeout", "0.3", shell=shell).status == 124


def test_escape_keys_are_for_terminals_only(pykvm_command: Pykvm) -> None:
    assert pykvm_command("run", "echo", stdin=b"\x01x\x04").out.endswith(b"\n\x01xBye.\n")


def test_null(pykvm_command: Pykvm, image: MakeImage) -> None:
    assert pykvm_command("run", image(PRINT_A), "--serial", "null") == Result(0, b"", "")


def test_a_file(pykvm_command: Pykvm, image: MakeImage, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"of an earlier run")
    assert pykvm_command("run", image(PRINT_A), "--serial", f"file:{log}") == Result(0, b"", "")
    assert log.read_bytes() == b"A"


def test_a_file_is_kept_when_nothing_runs(pykvm_command: Pykvm, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"of an earlier run")
    assert pykvm_command("run", "./missing", "--serial", f"file:{log}").status == LOST
    assert log.read_bytes() == b"of an earlier run"


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/dev/full", "cannot write to /dev/full: No space left on device"),
        (".", "cannot write '.': Is a directory"),
        ("missing/log", "cannot write 'missing/log': No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_written(
    pykvm_command: Pykvm, image: MakeImage, path: str, why: str
) -> None:
    result = pykvm_command("run", image(PRINT_A), "--serial", f"file:{path}")
    assert (result.status, result.out) == (LOST, b"")
    assert why in result.complaint


@pytest.mark.parametrize(
    ("shell", "why"),
    [
        (">/dev/full", "cannot write to standard output: No space left on device"),
        (">&-", "standard output is closed (--serial null needs none)"),
    ],
)
def test_a_standard_output_that_takes_nothing(
    pykvm_command: Pykvm, image: MakeImage, shell: str, why: str
) -> None:
    result = pykvm_command("run", image(PRINT_A), shell=shell)
    assert (result.status, result.complaint) == (LOST, why)
    assert pykvm_command("run", image(EXIT_5), "--serial", "null", shell=shell).status == 11


@pytest.mark.parametrize("words", [["run", "--help"], ["--version"], [], ["run", "x", "--json"]])
def test_words_that_cannot_be_printed(pykvm_command: Pykvm, words: list[str]) -> None:
    result = pykvm_command(*words, shell=">/dev/full")
    assert result.status == LOST
    assert result.err.splitlines()[-1] == (
        "pykvm: cannot write to standard output: No space left on device"
    )


@contextmanager
def closed_pipe() -> Iterator[int]:
    """The writing end of a pipe that nobody reads."""
    read, write = os.pipe()
    os.close(read)
    yield write
    os.close(write)


@pytest.mark.parametrize("json", [False, True])
def test_a_reader_that_has_gone(pykvm_command: Pykvm, image: MakeImage, json: bool) -> None:
    with closed_pipe() as stdout:
        result = pykvm_command("run", image(PRINT_A), *["--json"] * json, stdout=stdout)
    assert result.status == LOST
    assert result.complaint == "cannot write to standard output: Broken pipe"


def test_a_reader_that_goes(start: Start, image: MakeImage) -> None:
    child = start("run", image(PRINT_A_FOR_EVER))
    assert child.stdout is not None
    assert child.stdout.read(5000) == b"A" * 5000
    child.stdout.close()
    child.stdout = None
    result = finish(child)
    assert (result.status, result.complaint) == (
        LOST,
        "cannot write to standard output: Broken pipe",
    )


@pytest.mark.parametrize("shell", ["2>&-", "2>/dev/full"])
def test_nobody_hears_the_complaint(pykvm_command: Pykvm, image: MakeImage, shell: str) -> None:
    """And standard output does not get it instead."""
    assert pykvm_command("run", "./missing", shell=shell) == Result(LOST, b"", "")
    assert pykvm_command("run", "--serial", shell=shell) == Result(2, b"", "")
    assert pykvm_command("run", image(PRINT_A), shell=shell) == Result(0, b"A", "")


WRITE, CLOCK_NANOSLEEP = "1", "230"


def wait_until_it_sleeps_in(system_call: str, child: subprocess.Popen[bytes]) -> None:
    """Return when the main thread does; fail if the process ends instead."""
    while True:
        assert child.poll() is None
        call = Path(f"/proc/{child.pid}/syscall").read_text(encoding="ascii").split()
        if call[0] == system_call:
            return


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143)]
)
def test_a_reader_that_stalls_does_not_hold_up_a_signal(
    start: Start, image: MakeImage, number: signal.Signals, status: int
) -> None:
    child = start("run", image(PRINT_A_FOR_EVER))
    wait_until_it_sleeps_in(WRITE, child)
    child.send_signal(number)
    child.wait(60)
    assert child.returncode == status
    assert finish(child).complaint == f"stopped by {number.name}"


@pytest.mark.parametrize("serial", ["stdio", "pty"])
def test_a_reader_that_stalls_does_not_hold_up_the_time_out(
    start: Start, image: MakeImage, serial: str
) -> None:
    child = start("run", image(PRINT_A_FOR_EVER), "--timeout", "0.5", "--serial", serial)
    child.wait(60)
    assert child.returncode == 124


class Client:
    """Somebody at the other end of `--serial pty`."""

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        line = read_some(child.stderr, b"\n").decode()
        assert line.startswith("pykvm: serial line on /dev/pts/")
        self.path = line.split()[-1]
        self.fd = self.open()

    def open(self) -> int:
        return os.open(self.path, os.O_RDWR | os.O_NOCTTY)

    def read_to(self, end: bytes) -> bytes:
        got = b""
        while not got.endswith(end):
            got += os.read(self.fd, 4096)
        return got


PROMPT = b"Type something; Ctrl-D ends.\n"


def test_a_pty_is_a_clean_line(start: Start) -> None:
    """Every byte both ways as it is: no echo, no newlines made of others, no signals."""
    child = start("run", "echo", "--serial", "pty")
    client = Client(child)
    try:
        assert client.read_to(PROMPT) == PROMPT
        os.write(client.fd, b"\x01\x03\x13\x11\x16\x1a\x1c\n\x7f\xff\x00.")
        assert client.read_to(b".") == b"\x01\x03\x13\x11\x16\x1a\x1c\n\x7f\xff\x00."
        os.write(client.fd, b"\x04")
        assert client.read_to(b"Bye.\n") == b"Bye.\n"
    finally:
        os.close(client.fd)
    assert finish(child) == Result(0, b"", "")


def test_the_client_of_a_pty_may_go_and_come_back(start: Start) -> None:
    child = start("run", "echo", "--serial", "pty")
    client = Client(child)
    assert client.read_to(PROMPT) == PROMPT
    os.close(client.fd)
    client.fd = client.open()
    os.write(client.fd, b"again\x04")
    assert client.read_to(b"Bye.\n") == b"againBye.\n"
    os.close(client.fd)
    assert finish(child).status == 0


def test_the_output_in_a_pty_is_waited_for(start: Start, image: MakeImage) -> None:
    child = start("run", image(PRINT_A), "--serial", "pty")
    client = Client(child)
    line = read_some(child.stderr, b"\n").decode()
    assert line == f"pykvm: waiting for somebody to read {client.path} (Ctrl-C leaves)\n"
    wait_until_it_sleeps_in(CLOCK_NANOSLEEP, child)
    assert client.read_to(b"A") == b"A"
    os.close(client.fd)
    assert finish(child) == Result(0, b"", "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_that_wait_can_be_left(start: Start, image: MakeImage, number: signal.Signals) -> None:
    """The guest has ended already: its status stands."""
    child = start("run", image(PRINT_A), "--serial", "pty")
    read_some(child.stderr, b"Ctrl-C leaves)\n")
    wait_until_it_sleeps_in(CLOCK_NANOSLEEP, child)
    child.send_signal(number)
    assert finish(child) == Result(0, b"", "")


def test_a_pty_that_nothing_was_sent_to_is_not_waited_for(start: Start, image: MakeImage) -> None:
    child = start("run", image(HALT), "--serial", "pty")
    assert finish(child).complaint.startswith("serial line on /dev/pts/")
    assert child.returncode == 0
