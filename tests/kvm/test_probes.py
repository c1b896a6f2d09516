"""The probes themselves: verdicts, words, deadlines, and nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from pykvm.kvm import System, probes
from pykvm.kvm.exits import FailEntry, Hlt, InternalError, Shutdown
from pykvm.kvm.probes import Probe, bench
from pykvm.kvm.probes.bench import Entry, Failed, Guest, describe, expect

Make = Callable[..., Guest]

UNIVERSAL = [
    "real_mode",
    "protected_mode",
    "long_mode",
    "mmio",
    "rep_outs",
    "rep_ins",
    "dirty_log",
    "readonly_slot",
    "slot_removal",
    "coalesced_mmio",
    "ioeventfd",
    "kick",
    "nmi",
]
"""What no host that runs guests at all can lack."""


@pytest.mark.parametrize("name", UNIVERSAL)
def test_what_every_host_does(system: System, name: str) -> None:
    result = probes.result(system, name)
    assert result.ok, result.words


@pytest.mark.parametrize("name", list(probes.all_probes()))
def test_a_probe_answers_and_leaves_nothing(system: System, name: str) -> None:
    me = psutil.Process()
    bench.DEADLINE_NS, old = 300_000_000, bench.DEADLINE_NS
    before = me.num_fds(), me.num_threads()
    try:
        result = probes.all_probes()[name].run(system)
    finally:
        bench.DEADLINE_NS = old
    assert result.name == name
    assert result.words
    assert "\n" not in result.words
    assert result.ns > 0
    assert (me.num_fds(), me.num_threads()) == before


def test_a_guest_that_hangs_is_stopped(make_guest: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "DEADLINE_NS", 20_000_000)
    guest = make_guest(Entry.REAL, b"\xeb\xfe")  # jmp $
    with pytest.raises(Failed, match=r"hangs \(stopped after 0.02 s\)"):
        guest.run()


def test_a_failed_check_is_a_result(system: System) -> None:
    def check(stack: ExitStack, system: System) -> str:
        expect(1, 2, "the number")
        return "not reached"

    result = Probe("x", "", check).run(system)
    assert (result.ok, result.words) == (False, "the number is 0x1, not 0x2")


def test_an_ioctl_that_fails_is_a_result(system: System) -> None:
    def check(stack: ExitStack, system: System) -> str:
        closed = System()
        closed.close()
        closed.api_version()
        return "not reached"

    result = Probe("x", "", check).run(system)
    assert not result.ok
    assert result.words == "KVM_GET_API_VERSION failed: Bad file descriptor"


def test_results_are_kept(system: System) -> None:
    assert probes.result(system, "real_mode") is probes.result(system, "real_mode")
    with pytest.raises(KeyError):
        probes.result(system, "no_such_probe")


@pytest.mark.parametrize(
    ("exit", "words"),
    [
        (Shutdown(), "triple fault"),
        (InternalError(1, (), b"\x0f\x0b"), "KVM cannot emulate 0f 0b"),
        (InternalError(1, (), b""), "KVM cannot emulate an instruction"),
        (InternalError(3, (), b""), "internal error 3"),
        (FailEntry(0x80000021, 0), "0x80000021"),
        (Hlt(), "unexpected exit Hlt()"),
    ],
)
def test_unwanted_exits_in_words(exit: Hlt, words: str) -> None:
    assert words in describe(exit)


def run_pytest(folder: Path, text: str, **variables: str) -> str:
    """What pytest says of a test file under the project's conftest."""
    tests = Path(__file__).parent.parent
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-rs", "-q", "test_it.py"]
    environment = {**os.environ, "PYTHONPATH": f"{tests}:{tests.parent}", **variables}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_the_needs_mark_refuses_what_is_no_probe(tmp_path: Path) -> None:
    text = "import pytest\n@pytest.mark.needs('lon_mode')\ndef test_a(): pass\n"
    out = run_pytest(tmp_path, text)
    assert "needs() names what is no probe: lon_mode" in out
    assert "1 passed" not in out


def test_the_needs_mark_skips_with_the_probe_s_words(tmp_path: Path) -> None:
    text = (
        "import pytest\n"
        "from pykvm.kvm.probes import ProbeResult, _results\n"
        "_results['x87'] = ProbeResult('x87', False, 'no such luck', 1)\n"
        "_results['sse'] = ProbeResult('sse', True, 'fine', 1)\n"
        "@pytest.mark.needs('sse', 'x87')\n"
        "def test_a(): pass\n"
        "@pytest.mark.needs('sse')\n"
        "def test_b(): pass\n"
    )
    out = run_pytest(tmp_path, text)
    assert "x87: no such luck" in out
    assert "1 passed, 1 skipped" in out


def test_the_svm_mark_keeps_a_test_off_the_emulated_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYKVM_SVM", raising=False)
    text = "import pytest\n@pytest.mark.not_on_svm('takes ages')\ndef test_a(): pass\n"
    assert "1 passed" in run_pytest(tmp_path, text)
    there = run_pytest(tmp_path, text, PYKVM_SVM="1")
    assert "not on the emulated machine: takes ages" in there
    assert "1 skipped" in there
