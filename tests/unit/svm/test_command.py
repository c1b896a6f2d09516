"""`python -m tests.svm`: its command line, and how it complains."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.svm import __main__ as command
from tests.svm.failure import Failure, TimeUp
from tests.svm.machine import Limits
from tests.svm.parts import Parts

PARTS = Parts(Path("qemu"), (), Path("kernel"), Path("initrd"))


class Machine:
    """Stands in for `run`: remembers what it was asked for."""

    def __init__(self, result: int | Exception = 0) -> None:
        self.result = result
        self.calls: list[tuple[str, Limits, bool]] = []

    def __call__(self, parts: Parts, command: str, limits: Limits, *, verbose: bool) -> int:
        assert parts == PARTS
        self.calls.append((command, limits, verbose))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


def play(monkeypatch: pytest.MonkeyPatch, result: int | Exception = 0) -> Machine:
    machine = Machine(result)
    monkeypatch.setattr(command, "run", machine)
    monkeypatch.setattr(command, "find_parts", lambda: PARTS)
    return machine


@pytest.fixture(autouse=True)
def _signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)


def test_the_command_s_status_is_the_status(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = play(monkeypatch, 42)
    assert command.main(["--timeout", "5", "--memory", "600", "--cpus", "3", "--", "true"]) == 42
    assert machine.calls[0][1:] == (Limits(5, 600, 3), False)


def test_folder_environment_and_words_go_along(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine = play(monkeypatch)
    folder = tmp_path / "a folder with 'quotes'"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SOME_VARIABLE", "two words; $HOME")
    script = 'echo "$PWD|$SOME_VARIABLE|$PYKVM_SVM|$1"'
    assert command.main(["--", "sh", "-c", script, "sh", "--last word"]) == 0
    shell = subprocess.run(
        ["/bin/sh", "-c", machine.calls[0][0]], capture_output=True, text=True, check=True
    )
    assert shell.stdout == f"{folder}|two words; $HOME|1|--last word\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "COMMAND"),
        (["--memory", "511", "--", "true"], "need 512 MiB"),
        (["--memory", "999999999", "--", "true"], "MiB are free on this machine"),
        (["--memory", "much", "--", "true"], "invalid int value: 'much'"),
        (["--cpus", "0", "--", "true"], "--cpus 0: from 1 to"),
        (["--timeout", "-1", "--", "true"], "--timeout -1: seconds, or 0 for none"),
        (["--timeout", "nan", "--", "true"], "--timeout nan: seconds"),
        (["--no-such", "--", "true"], "--no-such"),
    ],
)
def test_a_wrong_command_line_is_one_line(
    words: list[str],
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    machine = play(monkeypatch)
    assert command.main(words) == 125
    assert not machine.calls
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("svm: ")
    assert told.err.count("\n") == 1
    assert complaint in told.err


@pytest.mark.parametrize(
    ("failure", "status"), [(Failure("no luck"), 125), (TimeUp("no time"), 124)]
)
def test_a_failure_is_one_line(
    failure: Failure,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    play(monkeypatch, failure)
    assert command.main(["--", "true"]) == status
    assert capsys.readouterr().err == f"svm: {failure}\n"


def test_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> Parts:
        raise KeyboardInterrupt

    play(monkeypatch)
    monkeypatch.setattr(command, "find_parts", interrupted)
    assert command.main(["--", "true"]) == 130


def test_help_names_the_options() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.svm", "--help"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert all(word in done.stdout for word in ("--timeout", "--memory", "--cpus", "125"))
