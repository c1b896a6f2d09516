"""What docs/debugging.md shows is what happens."""

from __future__ import annotations

import doctest
import os
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "debugging.md"
TEXT = PAGE.read_text(encoding="utf-8")

pytestmark = [
    pytest.mark.needs("protected_mode", "triple_fault", "single_step"),
    pytest.mark.not_on_svm("a triple fault leaves the registers of reset there"),
]


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.M | re.S)


def commands() -> list[tuple[str, str]]:
    """Each with what it prints."""
    told = "".join(blocks("console"))
    return [(c, out) for c, out in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", told, re.M)]


def without_times(text: str) -> str:
    """Of a trace's lines: measured numbers, and whose figure the TSC's rate is, differ."""
    text = re.sub(r"(?<![\w.])[1-9]\d*(\.\d+)?(?![\w.])", "N", text)
    return re.sub(r"[ \t]+", " ", re.sub(r" by (KVM_GET_TSC_KHZ|CLOCK_MONOTONIC)", "", text))


def test_its_commands_are_true(tmp_path: Path) -> None:
    path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
    assert len(commands()) > 3
    for command, printed in commands():
        if command.startswith("gdb") and shutil.which("gdb") is None:
            continue
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        assert without_times(done.stdout) == without_times(printed), command


def test_its_sessions_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    code = "\n".join(blocks("pycon"))
    test = doctest.DocTestParser().get_doctest(code, {}, PAGE.name, str(PAGE), 0)
    told: list[str] = []
    results = doctest.DocTestRunner().run(test, out=told.append)
    assert results.attempted > 10
    assert not results.failed, "".join(told)
