"""The command in a process of its own, and images small enough to be read here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest

import pykvm
from tests.cli.confine import NOT_PERMITTED

PYKVM = (sys.executable, "-m", "pykvm")
CONFINE = str(Path(__file__).with_name("confine.py"))
LONG = 120.0
"""Seconds after which a command hangs, on the slowest of hosts."""

UNWANTED = ("COLUMNS", "LINES", "PYTHONUNBUFFERED")
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if name not in UNWANTED},
    "PYTHONPATH": str(Path(pykvm.__file__).parents[1]),
    "TERM": "dumb",
}

HALT = (
    "f4",  # hlt
)
SPIN = (
    "eb fe",  # jmp .
)
PRINT_A = (
    "ba f8 03",  # mov dx, 0x3f8
    "b0 41",  # mov al, 'A'
    "ee",  # out dx, al
    "f4",  # hlt
)
PRINT_A_AND_SPIN = (
    "ba f8 03",  # mov dx, 0x3f8
    "b0 41",  # mov al, 'A'
    "ee",  # out dx, al
    "eb fe",  # jmp .
)
PRINT_A_FOR_EVER = (
    "ba f8 03",  # mov dx, 0x3f8
    "b0 41",  # mov al, 'A'
    "ee",  # out dx, al
    "eb fd",  # jmp to the out
)
EXIT_5 = (
    "b0 05",  # mov al, 5
    "e6 f4",  # out 0xf4, al
    "f4",  # hlt
)
RESET = (
    "b0 fe",  # mov al, 0xfe
    "e6 64",  # out 0x64, al
    "eb fe",  # jmp .
)
CRASH = (  # in protected mode, where a flat image has no interrupt descriptor table
    "0f 0b",  # ud2
)
UNCLAIMED = (  # a crash with --strict
    "b8 34 12",  # mov ax, 0x1234
    "e4 30",  # in al, 0x30
    "f4",  # hlt
)


class Result(NamedTuple):
    """How a command ended."""

    status: int
    out: bytes
    err: str

    @property
    def complaint(self) -> str:
        """What it said on standard error, which must be one line of its own."""
        assert self.err.startswith("pykvm"), self.err
        assert self.err.endswith("\n"), self.err
        assert self.err.count("\n") == 1, self.err
        return self.err.removeprefix("pykvm: ").rstrip("\n")


MakeImage = Callable[..., str]
Pykvm = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def image(tmp_path: Path) -> MakeImage:
    """Makes a flat image of lines of hexadecimal, or of bytes."""

    def make(content: Sequence[str] | bytes, name: str = "guest.bin") -> str:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else bytes.fromhex("".join(content)))
        return str(path)

    return make


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the command and does not wait; what still runs after the test is killed."""
    children = []

    def begin(*words: str, shell: str = "", lacks: Sequence[str] = (), **options: Any) -> Any:
        command = [*PYKVM, *words]
        if lacks:
            command = [sys.executable, CONFINE, *lacks, "--", *command]
        if shell:
            command = ["/bin/sh", "-c", f'exec "$@" {shell}', "sh", *command]
        settings: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "cwd": tmp_path,
            "env": ENVIRONMENT,
        }
        child = subprocess.Popen(command, **{**settings, **options})
        children.append(child)
        return child

    yield begin
    for child in children:
        if child.poll() is None:
            child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def pykvm_command(start: Start) -> Pykvm:
    """Runs the command to its end.

    `shell` is what a shell user types behind it (">&-"), `lacks` what it must do without (see
    `tests.cli.confine`), `stdin` the bytes that are piped into it.
    """

    def run(*words: str, stdin: bytes | int | None = None, **options: Any) -> Result:
        if isinstance(stdin, bytes):
            child = start(*words, stdin=subprocess.PIPE, **options)
            return finish(child, stdin)
        if stdin is not None:
            options["stdin"] = stdin
        return finish(start(*words, **options))

    return run


def finish(child: subprocess.Popen[bytes], stdin: bytes | None = None) -> Result:
    """Wait for a command's end."""
    out, err = child.communicate(stdin, timeout=LONG)
    result = Result(child.returncode, out or b"", (err or b"").decode())
    assert "Traceback" not in result.err, result.err
    if result.status == NOT_PERMITTED and not result.err.startswith("pykvm"):
        pytest.skip(f"not permitted here: {result.err.strip()}")
    return result


def read_some(pipe: IO[bytes] | None, end: bytes) -> bytes:
    """Read from a command's pipe until `end`."""
    assert pipe is not None
    got = b""
    while not got.endswith(end):
        byte = pipe.read(1)
        assert byte, f"{got!r} is all that came"
        got += byte
    return got
