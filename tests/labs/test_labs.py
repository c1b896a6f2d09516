"""Labs do not rot: solutions pass, and mistakes are found where and for what they are."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pykvm.labs.catalogue import Lab
from pykvm.labs.checking import check
from pykvm.labs.folder import start
from pykvm.labs.verdict import Verdict
from tests.conftest import why_unavailable
from tests.labs.course import LABS, Mistake, lay_out, mistakes_of, solution_of, spoiled

ROOT = Path(__file__).parents[2]
MISTAKES = [mistake for lab in LABS for mistake in mistakes_of(lab)]

each_lab = pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.path.name)
each_mistake = pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.lab.id}-{m.name}")


class Judge:
    """Has folders checked several at a time, those of all selected tests from the beginning on."""

    def __init__(self, folders: Path, items: list[pytest.Item]) -> None:
        self._folders = folders
        self._pool = ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0)))
        self._coming: dict[str, Future[Verdict]] = {}
        makers: dict[object, Callable[[dict[str, Any], Path], object]] = {
            test_the_solution_passes: lambda params, folder: lay_out(params["lab"], folder),
            test_the_starter_does_not_pass: lambda params, folder: start(params["lab"], folder),
            test_a_mistake_is_found: lambda params, folder: spoiled(params["mistake"], folder),
        }
        for item in items:
            if isinstance(item, pytest.Function) and item.function in makers:
                params: dict[str, Any] = item.callspec.params
                lab = params["lab"] if "lab" in params else params["mistake"].lab
                make = partial(makers[item.function], params)
                self._coming[item.nodeid] = self._pool.submit(self._judge, make, lab)

    def _judge(self, make: Callable[[Path], object], lab: Lab) -> Verdict:
        folder = Path(tempfile.mkdtemp(dir=self._folders), "with spaces")
        make(folder)
        return check(folder, lab, until_failure=True)

    def verdict(self, item: pytest.Item) -> Verdict:
        """The verdict that a test waits for; skips what this host cannot do, in its words."""
        verdict = self._coming[item.nodeid].result()
        if verdict.cannot:
            pytest.skip(verdict.cannot)
        return verdict

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def judge(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Judge]:
    """One for all tests of this file."""
    made = Judge(tmp_path_factory.mktemp("labs"), request.session.items)
    yield made
    made.close()


@pytest.fixture
def verdict(judge: Judge, request: pytest.FixtureRequest) -> Verdict:
    """What came of the test's own folder."""
    assert isinstance(request.node, pytest.Item)
    return judge.verdict(request.node)


def failures(verdict: Verdict) -> str:
    """What to read when a solution does not pass."""
    return "\n".join(f"{s.title}: {s.why}\n{s.printed}" for s in verdict.steps if s.why)


@each_lab
def test_the_solution_passes(lab: Lab, verdict: Verdict) -> None:
    assert verdict.passed, failures(verdict)


@each_lab
def test_the_starter_does_not_pass(lab: Lab, verdict: Verdict) -> None:
    assert not verdict.passed


@each_mistake
def test_a_mistake_is_found(mistake: Mistake, verdict: Verdict) -> None:
    failure = verdict.first_failure
    outcomes = {step.name: step.outcome for step in verdict.steps}
    step, why = mistake.shows(emulated=why_unavailable() is not None)
    if outcomes[step] == "cannot":
        pytest.skip(f"this host cannot try the step {step}")
    assert not verdict.passed
    assert failure is not None
    assert failure.name == step, failures(verdict)
    assert re.search(why, failure.why), failure.why
    assert failure.look


@each_lab
def test_a_lab_is_complete(lab: Lab) -> None:
    """Text, picture, hints, three mistakes; a solution of just the files it names."""
    assert (lab.path / "README.md").is_file()
    assert list(lab.path.glob("*.svg"))
    assert (lab.path / "hints.md").read_text(encoding="utf-8").count("\n## ") >= 3
    assert len(mistakes_of(lab)) >= 3
    assert set(lab.guests) <= set(lab.files)
    written = {path.name for path in solution_of(lab).iterdir() if path.is_file()}
    assert written == set(lab.files)
    there = {path.name for path in lab.starter.iterdir()}
    assert written <= there


def test_the_numbers_are_different_and_in_order() -> None:
    numbers = [lab.number for lab in LABS]
    assert numbers == sorted(set(numbers))


@each_lab
def test_the_text_names_what_is_there(lab: Lab) -> None:
    """Pictures and files that the text links to are beside it."""
    text = (lab.path / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^):#]+)\)", text)
    there = {path.name for path in [*lab.path.iterdir(), *lab.starter.iterdir()]}
    assert set(links) <= there
    for name in lab.files:
        assert name in text
    for name in re.findall(r"`((?:pykvm|guests|csrc)/[^`]+)`", text):
        assert (ROOT / name).exists(), name


def test_without_an_assembler_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_guests = [lab for lab in LABS if lab.has_assembly]
    if not with_guests:
        pytest.skip("no lab has assembly")
    monkeypatch.setenv("PATH", str(tmp_path))
    start(with_guests[0], tmp_path / "lab")
    verdict = check(tmp_path / "lab", with_guests[0])
    assert "binutils" in verdict.cannot
    assert not verdict.passed
    assert shutil.which("as") is None
