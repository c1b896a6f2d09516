"""Whatever a student's code does, the verdict is honest, short, and comes in time."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

from pykvm.errors import LabError
from pykvm.labs.catalogue import find_lab
from pykvm.labs.checking import check
from pykvm.labs.steps import Wrong
from pykvm.labs.student import Student
from pykvm.labs.verdict import PASSED
from pykvm.labs.work import Work

LAB = find_lab(1)


@pytest.fixture
def work(tmp_path: Path) -> Work:
    """A student's folder; `write` puts a file there."""
    folder = tmp_path / "lab"
    folder.mkdir()
    return Work(folder, LAB, 1, tmp_path)


def call(work: Work, body: str, *args: object, seconds: float = 20.0) -> object:
    """What comes of a function with that body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    text = f"import os, signal, sys, time\ndef f(*args):\n{lines}"
    (work.folder / "code.py").write_text(text, encoding="utf-8")
    return work.call("code.py", "f", *args, seconds=seconds)


def refused(work: Work, body: str, *, seconds: float = 20.0) -> str:
    """In which words a call is refused."""
    with pytest.raises(Wrong) as caught:
        call(work, body, seconds=seconds)
    assert len(caught.value.why) < 1000
    return caught.value.why


def test_plain_values_come_and_go(work: Work) -> None:
    values = (None, True, -5, 1.5, "\udcff\n", b"\0\xff", [1], (2,), {3: "x"}, {4})
    assert call(work, "return args", *values) == values


@pytest.mark.parametrize("kind", ["bytearray", "memoryview"])
def test_bytes_of_any_kind_are_bytes(work: Work, kind: str) -> None:
    body = f"x = {kind}(b'ab')\nreturn x, [x], {{1: x}}"
    assert call(work, body) == (b"ab", [b"ab"], {1: b"ab"})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("return 1 / 0", "ZeroDivisionError: division by zero (code.py, line 3, in f: return 1"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("sys.exit(0)", "sys.exit(0)"),
        ("sys.exit('x')", "sys.exit('x')"),
        ("os._exit(0)", "ended its process instead of returning"),
        ("os._exit(7)", "ended its process with status 7"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "died of SIGSEGV"),
        ("os.closerange(0, 256)\nreturn 1", "used descriptors"),
        ("return object()", "which is no plain value"),
        ("class X:\n  def __repr__(s): return '{[]: 1}'\nreturn X()", "which is no plain value"),
        ("from pykvm.labs.steps import Wrong\nraise Wrong(object())", "ended its process"),
        ("return 'x' * 10**7", "characters long"),
        ("class E(Exception):\n  def __str__(s): raise E\nraise E", "E (code.py"),
        ("raise ValueError('x' * 10**7)", "ValueError: xxx"),
        ("return f()", "RecursionError"),
        ("return bytearray(2 << 30)", "MemoryError"),
        ("import ctypes\nctypes.string_at(0)", "died of SIGSEGV"),
    ],
)
def test_it_is_told_what_went_wrong(work: Work, body: str, words: str) -> None:
    assert words in refused(work, body)


@pytest.mark.parametrize(
    "body",
    [
        "while True: pass",
        "time.sleep(60)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\nwhile True: pass",
        "while True: print('x' * 10000)",
        "sys.stdin.close()\nos.read(os.pipe()[0], 1)",
        "if os.fork(): time.sleep(60)\nelse: os.setsid(); time.sleep(60)",
    ],
)
def test_what_does_not_end_is_ended(work: Work, body: str) -> None:
    assert "took longer than 0.5 s" in refused(work, body, seconds=0.5)
    assert len(work.printed) < 7000
    assert not psutil.Process().children(recursive=True)


def test_it_is_ended_before_it_leads_a_session(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    survived = work.scratch / "survived"

    def slow() -> None:
        time.sleep(10)
        survived.touch()

    monkeypatch.setattr(os, "setsid", slow)
    assert "took longer than 0.2 s" in refused(work, "return 1", seconds=0.2)
    assert not survived.exists()


def test_what_it_printed_is_kept_at_both_ends(work: Work) -> None:
    call(work, "print('first'); print('x' * 10**7); print('last')")
    assert work.printed.startswith("first\n")
    assert work.printed.endswith("last\n")
    assert "bytes more" in work.printed
    assert len(work.printed) < 7000


def test_anything_can_be_printed_on_standard_error(work: Work) -> None:
    call(work, r"print('\udcff', file=sys.stderr)")
    assert work.printed == "\\udcff\n"


def test_a_forked_copy_does_not_answer_for_it(work: Work) -> None:
    body = "if os.fork() == 0: return 'copy'\ntime.sleep(0.5)\nreturn 'own'"
    assert call(work, body) == "own"


def test_processes_it_left_behind_are_ended(tmp_path: Path) -> None:
    code = """
import os, time
def run(code, ax):
    if os.fork() == 0:
        os.setsid()
        with open("left", "w") as file:
            file.write(str(os.getpid()))
        time.sleep(60)
    while not os.path.exists("left") or not os.path.getsize("left"):
        time.sleep(0.01)
    return ax
"""
    (tmp_path / "vm.py").write_text(code, encoding="utf-8")
    verdict = check(tmp_path, LAB)
    if verdict.cannot:
        pytest.skip(verdict.cannot)
    assert verdict.steps[0].outcome == PASSED
    assert not psutil.pid_exists(int((tmp_path / "left").read_text()))


def test_too_many_processes_are_ended(work: Work) -> None:
    body = "for _ in range(70):\n  if os.fork() == 0: time.sleep(60)\ntime.sleep(60)"
    assert "more than 64 processes" in refused(work, body)
    assert not psutil.Process().children(recursive=True)


def test_what_it_prints_or_sends_is_no_answer(work: Work) -> None:
    lines = (
        "for fd in range(3, 64):",
        "  try: os.write(fd, b\"\\nabc('returned', '1')\")",
        "  except OSError: pass",
        "return 2",
    )
    assert call(work, "\n".join(lines)) == 2


def test_what_follows_its_answer_is_no_part_of_it(work: Work) -> None:
    body = "w = os.write\nos.write = lambda fd, b: w(fd, bytes(b) + b'\\xff)')\nreturn 2"
    assert call(work, body) == 2


def test_who_spoils_its_answer_has_none(work: Work) -> None:
    spoilt = "bytes(b).replace(b'returned', b'\\xffeturned')"
    body = f"w = os.write\nos.write = lambda fd, b: w(fd, {spoilt})\nreturn 2"
    assert "used descriptors that are not its own" in refused(work, body)


def test_its_files_do_not_stand_in_for_pythons(work: Work) -> None:
    for name in ("random.py", "json.py", "ast.py", "pykvm.py"):
        (work.folder / name).write_text("raise SystemExit('taken')", encoding="utf-8")
    (work.folder / "helper.py").write_text("VALUE = 5", encoding="utf-8")
    assert call(work, "import random, helper\nreturn helper.VALUE + len(random.__name__)") == 11


def test_it_has_nothing_of_the_checkers_open(work: Work) -> None:
    with open("/dev/null") as file:
        os.set_inheritable(file.fileno(), True)
        found = call(work, "return [os.path.realpath(f'/proc/self/fd/{n}') for n in range(256)]")
    assert isinstance(found, list)
    there = [name for name in found if not name.startswith("/proc/")]
    pipes = [name for name in found if "/fd/pipe:" in name]
    assert not there
    assert len(pipes) == 4  # standard input, output and error; the answer


def test_what_the_checker_has_imported_is_not_taken_for_its_file(work: Work) -> None:
    assert "selectors" in sys.modules
    (work.folder / "selectors.py").write_text("def f(): return 5", encoding="utf-8")
    assert work.call("selectors.py", "f") == 5


def test_a_file_that_is_not_python(work: Work) -> None:
    (work.folder / "code.py").write_text("def f(:", encoding="utf-8")
    with pytest.raises(Wrong, match=r"SyntaxError: code.py, line 1"):
        work.call("code.py", "f")
    with pytest.raises(Wrong, match=r"vm.py is missing"):
        work.call("vm.py", "f")
    (work.folder / "code.py").write_text("x = 1", encoding="utf-8")
    with pytest.raises(Wrong, match=r"code.py has no f"):
        work.call("code.py", "f")


def raise_wrong(_: Student) -> None:
    """A scenario that finds a mistake itself."""
    raise Wrong("found", "there")


def test_a_scenario_may_find_a_mistake(work: Work) -> None:
    with pytest.raises(Wrong) as caught:
        work.scenario(raise_wrong)
    assert (caught.value.why, caught.value.look) == ("found", "there")


def test_a_check_that_takes_too_long_has_a_verdict(tmp_path: Path) -> None:
    (tmp_path / "vm.py").write_text("while True: pass", encoding="utf-8")
    verdict = check(tmp_path, LAB, seconds=3)
    if verdict.cannot:
        pytest.skip(verdict.cannot)
    assert verdict.first_failure is not None
    assert "whole check took longer than 3 s" in verdict.first_failure.why
    assert not verdict.passed
    mine = {str(tmp_path), os.fspath(tmp_path)}
    left = [p for p in psutil.process_iter(["cmdline"]) if mine & set(p.info["cmdline"] or ())]
    # who was killed may still be on its way out
    assert not psutil.wait_procs(left, timeout=10)[1]


@pytest.mark.parametrize("garbage", [b"x\n", b"5\n", b'{"step": {}}\n', b"[" * (1 << 21)])
def test_who_writes_to_the_judges_pipe_has_no_verdict_but_an_error(
    tmp_path: Path, garbage: bytes
) -> None:
    """Nothing but their permissions keeps it from that; whoever grades others goes on."""
    code = """
import os, sys
with open(f"/proc/{os.getppid()}/fd/{sys.argv[1]}", "wb", 0) as file:
    file.write(GARBAGE)
"""
    (tmp_path / "host.py").write_text(f"GARBAGE = {garbage!r}\n{code}", encoding="utf-8")
    with pytest.raises(LabError, match="said what it never says"):
        check(tmp_path, find_lab(0))  # which needs no KVM
