"""Labs do not rot: solutions pass, and mistakes are found where and for what they are."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from pykvm.labs.catalogue import Lab
from pykvm.labs.checking import check
from pykvm.labs.folder import start
from pykvm.labs.verdict import Verdict
from tests.labs.course import LABS, Mistake, lay_out, mistakes_of, solution_of, spoil

MISTAKES = [mistake for lab in LABS for mistake in mistakes_of(lab)]


def judge(folder: Path, lab: Lab) -> Verdict:
    """The verdict, up to the first failure; skips what this host cannot do, in its words."""
    verdict = check(folder, lab, until_failure=True)
    if verdict.cannot:
        pytest.skip(verdict.cannot)
    return verdict


def failures(verdict: Verdict) -> str:
    """What to read when a solution does not pass."""
    return "\n".join(f"{s.title}: {s.why}\n{s.printed}" for s in verdict.steps if s.why)


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.path.name)
def test_the_solution_passes(lab: Lab, tmp_path: Path) -> None:
    verdict = judge(lay_out(lab, tmp_path / "with spaces"), lab)
    assert verdict.passed, failures(verdict)


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.path.name)
def test_the_starter_does_not_pass(lab: Lab, tmp_path: Path) -> None:
    start(lab, tmp_path / "lab")
    verdict = judge(tmp_path / "lab", lab)
    assert not verdict.passed


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda m: f"{m.lab.id}-{m.name}")
def test_a_mistake_is_found(mistake: Mistake, tmp_path: Path) -> None:
    folder = lay_out(mistake.lab, tmp_path / "lab")
    spoil(mistake, folder)
    verdict = judge(folder, mistake.lab)
    failure = verdict.first_failure
    outcomes = {step.name: step.outcome for step in verdict.steps}
    if outcomes[mistake.step] == "cannot":
        pytest.skip(f"this host cannot try the step {mistake.step}")
    assert not verdict.passed
    assert failure is not None
    assert failure.name == mistake.step, failures(verdict)
    assert re.search(mistake.why, failure.why), failure.why
    assert failure.look


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.path.name)
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


def test_the_numbers_have_no_gap() -> None:
    assert [lab.number for lab in LABS] == list(range(LABS[0].number, LABS[-1].number + 1))


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.path.name)
def test_the_text_names_what_is_there(lab: Lab) -> None:
    """Pictures and files that the text links to are beside it."""
    text = (lab.path / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^):#]+)\)", text)
    there = {path.name for path in [*lab.path.iterdir(), *lab.starter.iterdir()]}
    assert set(links) <= there
    for name in lab.files:
        assert name in text


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
