"""The command within another program: it gives back what it took, and imports little."""

from __future__ import annotations

import gc
import io
import os
import signal
import subprocess
import sys

import pytest

from pykvm.cli import main
from tests.cli.conftest import CRASH, ENVIRONMENT, PRINT_A, MakeImage
from tests.support.leaks import nothing_left_behind

pytestmark = pytest.mark.needs()

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


@pytest.fixture
def stdin_pipe(monkeypatch: pytest.MonkeyPatch) -> object:
    """Standard input is a pipe that nothing comes through."""
    read, write = os.pipe()
    stream = os.fdopen(read)
    monkeypatch.setattr(sys, "stdin", stream)
    yield
    stream.close()
    os.close(write)


@pytest.mark.usefixtures("stdin_pipe")
def test_nothing_is_left_behind(
    image: MakeImage, capfd: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    path = image(PRINT_A)
    crash = image(CRASH, "crash.bin")
    rounds = [
        (["run", path], 0),
        (["run", path, "--json"], 0),
        (["run", path, "--serial", f"file:{tmp_path}/log", "--timeout", "9"], 0),
        (["run", path, "--serial", "file:/dev/full"], 125),
        (["run", crash, "--mode", "protected"], 126),
        (["run", "./missing"], 125),
        (["run", path, "--load-addr", "0x100000"], 125),
    ]
    for words, status in rounds:  # imports open what stays open
        assert main(words) == status
    handlers = [signal.getsignal(number) for number in SIGNALS]
    with nothing_left_behind():
        for words, status in rounds:
            assert main(words) == status
    assert [signal.getsignal(number) for number in SIGNALS] == handlers
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    capfd.readouterr()


def test_standard_streams_that_are_no_files(
    image: MakeImage, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = image(PRINT_A)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert main(["run", path]) == 125
    assert main(["run", path, "--serial", "null"]) == 0
    assert capfd.readouterr().out == ""


UNNEEDED = {
    *("json", "tty", "rich", "tomllib", "shutil", "subprocess", "capstone", "psutil"),
    *("pykvm.bios", "pykvm.cli.bios_console"),
    *("pykvm.cli.terminal", "pykvm.cli.report", "pykvm.manifest", "pykvm.debug"),
}
"""What a run pays for only if it is wanted."""


def test_a_plain_run_imports_little(image: MakeImage) -> None:
    program = (
        "import sys, pykvm.cli\n"
        "assert pykvm.cli.main(sys.argv[1:]) == 0\n"
        f"print(sorted({UNNEEDED!r} & set(sys.modules)), end='')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "run", image(PRINT_A)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"A[]", b"")
