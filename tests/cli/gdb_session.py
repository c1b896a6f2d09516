"""`pykvm run --gdb` with a real gdb at the other end."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest

from tests.cli.conftest import ENVIRONMENT, LONG, Result, Start, finish

GREETING = "gdb: target remote "


class Guest(NamedTuple):
    """A guest that can be debugged, and the command that runs it."""

    process: subprocess.Popen[bytes]
    target: str

    def end(self) -> Result:
        """Wait for the command's end; what it said where it listens is left out."""
        return finish(self.process)


Debuggable = Callable[..., Guest]
Gdb = Callable[..., str]


def target_of(stderr: IO[bytes] | None) -> str:
    """What the command says a debugger has to type."""
    assert stderr is not None
    line = stderr.readline().decode()
    assert line.startswith(GREETING), line
    return line.removeprefix(GREETING).rstrip("\n")


@pytest.fixture(params=["kvm", pytest.param("emu", marks=pytest.mark.emulated)])
def debuggable(start: Start, tmp_path: Path, request: pytest.FixtureRequest) -> Debuggable:
    """Starts `pykvm run WORDS` with a server at a Unix socket, stopped unless `wait` is False.

    On KVM, and emulated.
    """

    def begin(*words: str, wait: bool = True, **options: Any) -> Guest:
        where = ("--gdb", f"unix:{tmp_path}/gdb", *(("--wait",) if wait else ()))
        process = start("run", *words, "--accel", request.param, *where, **options)
        return Guest(process, target_of(process.stderr))

    return begin


@pytest.fixture
def start_gdb(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts gdb with commands; skipped where there is none."""
    program = shutil.which("gdb")
    if program is None:
        pytest.skip("gdb is not installed")
    children = []

    def begin(target: str, *commands: str) -> subprocess.Popen[str]:
        words = [program, "-nx", "-batch"]
        for command in (f"target remote {target}", *commands):
            words += ["-ex", command]
        child = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=tmp_path,
            env={**ENVIRONMENT, "HOME": str(tmp_path)},
        )
        children.append(child)
        return child

    yield begin
    for child in children:
        if child.poll() is None:
            child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


@pytest.fixture
def gdb(start_gdb: Callable[..., subprocess.Popen[str]]) -> Gdb:
    """Runs gdb to its end; what it said."""

    def run(target: str, *commands: str) -> str:
        said, _ = start_gdb(target, *commands).communicate(timeout=LONG)
        return said

    return run
