"""`pykvm lab`, as students and instructors type it."""

from __future__ import annotations

import csv
import json
import signal
from pathlib import Path

import psutil
import pytest

from pykvm.labs.catalogue import find_lab
from pykvm.labs.hints import hints_of
from tests.cli.conftest import Pykvm, Start, image, pykvm_command, start
from tests.labs.course import LABS, lay_out

__all__ = ["image", "pykvm_command", "start"]  # fixtures

HOST_LAB = 0
"""A lab that needs no /dev/kvm."""


def test_the_list_shows_each_lab(pykvm_command: Pykvm) -> None:
    text = pykvm_command("lab", "list").out.decode()
    found = json.loads(pykvm_command("lab", "list", "--json").out)
    assert [lab["number"] for lab in found["labs"]] == [lab.number for lab in LABS]
    for lab in LABS:
        assert f"{lab.number:>3}  {lab.title}" in text


def test_the_docs_list_each_lab() -> None:
    text = Path(__file__).parents[2].joinpath("docs/labs.md").read_text(encoding="utf-8")
    for lab in LABS:
        assert f"| {lab.number}. {lab.title} | {lab.minutes} |" in text


def test_start_lays_a_lab_out_and_overwrites_nothing(pykvm_command: Pykvm, tmp_path: Path) -> None:
    assert pykvm_command("lab", "start", "0").status == 0
    folder = tmp_path / "lab00"
    assert {"README.md", "host.py", ".pykvm-lab"} <= {path.name for path in folder.iterdir()}
    assert not (folder / "hints.md").exists()
    (folder / "host.py").write_text("mine", encoding="utf-8")
    again = pykvm_command("lab", "start", "0")
    assert again.status == 125
    assert "not empty" in again.complaint
    assert (folder / "host.py").read_text() == "mine"
    (tmp_path / "file").touch()
    assert "no folder" in pykvm_command("lab", "start", "0", "file").complaint


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("start", "77"), "no lab 77"),
        (("check", "nowhere"), "no such folder"),
        (("check", "."), "not the folder of a lab"),
        (("hint",), "not the folder of a lab"),
        (("check", "--lab", "77"), "no lab 77"),
        (("asm", "nothing.s"), "no such file"),
    ],
)
def test_mistakes_are_one_line(
    pykvm_command: Pykvm, words: tuple[str, ...], complaint: str
) -> None:
    result = pykvm_command("lab", *words)
    assert result.status == 125
    assert complaint in result.complaint


@pytest.mark.parametrize("marker", ["", "{}", '{"lab": "x"}', "[" * 9999, '{"lab": null}', "\0"])
def test_a_damaged_marker_is_told(pykvm_command: Pykvm, tmp_path: Path, marker: str) -> None:
    (tmp_path / ".pykvm-lab").write_text(marker, encoding="utf-8")
    assert "damaged" in pykvm_command("lab", "check").complaint


def test_check_from_a_folder_below(pykvm_command: Pykvm, tmp_path: Path) -> None:
    folder = lay_out(find_lab(HOST_LAB), tmp_path / "mine")
    (folder / "notes").mkdir()
    result = pykvm_command("lab", "check", "mine/notes")
    assert result.status == 0
    assert b"steps pass: lab 0 is done" in result.out


def test_check_tells_what_is_wrong(pykvm_command: Pykvm, tmp_path: Path) -> None:
    pykvm_command("lab", "start", "0")
    folder = tmp_path / "lab00"
    text = (folder / "host.py").read_text(encoding="utf-8")
    spoken = text.replace(
        '"""The virtualization extension',
        'print("\\033[31mred")\n    """The virtualization extension',
    )
    (folder / "host.py").write_text(spoken, encoding="utf-8")
    result = pykvm_command("lab", "check", "lab00")
    out = result.out.decode()
    assert result.status == 1
    assert "WRONG finds the extension" in out
    assert "NotImplementedError (host.py, line" in out
    assert "look: README.md, section 2" in out
    assert "|  [31mred" in out
    assert "\033" not in out


def test_a_verdict_for_programs_can_be_had_again(pykvm_command: Pykvm, tmp_path: Path) -> None:
    lay_out(find_lab(HOST_LAB), tmp_path / "a")
    first, second = (
        json.loads(pykvm_command("lab", "check", "a", "--json", "--seed", "5").out)
        for _ in range(2)
    )
    assert first["passed"]
    assert first["complete"]
    assert first["seed"] == 5
    assert first["steps_passed"] == len(first["steps"])
    for verdict in (first, second):
        verdict.pop("seconds")
        for step in verdict["steps"]:
            step.pop("seconds")
    assert first == second


def test_hints_come_one_at_a_time(pykvm_command: Pykvm, tmp_path: Path) -> None:
    pykvm_command("lab", "start", "0")
    hints = hints_of(find_lab(0))
    assert b"None of the" in pykvm_command("lab", "hint", "lab00", "--again").out
    for i, hint in enumerate(hints, 1):
        out = pykvm_command("lab", "hint", "lab00").out.decode()
        assert out == f"Hint {i} of {len(hints)}: {hint}\n"
    assert b"no more" in pykvm_command("lab", "hint", "lab00").out
    again = pykvm_command("lab", "hint", "lab00", "--again").out.decode()
    assert all(hint in again for hint in hints)


def test_grade_judges_all(pykvm_command: Pykvm, tmp_path: Path) -> None:
    lab = find_lab(HOST_LAB)
    lay_out(lab, tmp_path / "right")
    pykvm_command("lab", "start", "0", "empty")
    hanging = lay_out(lab, tmp_path / "hanging")
    (hanging / "host.py").write_text("while True: pass", encoding="utf-8")
    (hanging / ".pykvm-lab").unlink()
    names = ("right", "empty", "hanging", "nowhere")
    result = pykvm_command(
        *("lab", "grade", *names, "--lab", "0", "--timeout", "15", "--jobs", "2"),
        *("--csv", "grades.csv", "--json", "-"),
    )
    assert result.status == 1
    assert result.err == ""
    rows = list(csv.DictReader((tmp_path / "grades.csv").read_text().splitlines()))
    assert [row["submission"] for row in rows] == list(names)
    assert [row["passed"] for row in rows] == ["True", "False", "False", "False"]
    assert rows[1]["failed_step"] == "knows_who"
    assert "longer than" in rows[2]["why"]
    assert "no folder" in rows[3]["why"]
    grades = json.loads(result.out)["grades"]
    assert [g["verdict"] is not None for g in grades] == [True, True, True, False]
    assert grades[0]["verdict"]["passed"]


@pytest.mark.parametrize("action", ["check", "grade"])
def test_an_interrupt_ends_everything_at_once(start: Start, tmp_path: Path, action: str) -> None:
    folder = lay_out(find_lab(HOST_LAB), tmp_path / "hanging")
    code = "open('begun', 'w').close()\nwhile True: pass\n"
    (folder / "host.py").write_text(code, encoding="utf-8")
    child = start("lab", action, "hanging")
    while not (folder / "begun").exists():
        assert child.poll() is None
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=30)  # by itself it would take 60 s
    assert child.returncode == 130
    assert not [p for p in psutil.process_iter(["cwd"]) if p.info["cwd"] == str(folder)]


def test_grade_shows_a_line_each(pykvm_command: Pykvm, tmp_path: Path) -> None:
    lay_out(find_lab(HOST_LAB), tmp_path / "right")
    result = pykvm_command("lab", "grade", "right")
    assert result.status == 0
    assert b"right  lab 0: 6/6" in result.out
    assert b"1 of 1 submissions pass" in result.out


def test_without_kvm_the_emulator_runs_what_it_can(pykvm_command: Pykvm, tmp_path: Path) -> None:
    switch = find_lab(4)
    lay_out(switch, tmp_path / "switch")
    result = pykvm_command("lab", "check", "switch", "--json", lacks=["no-kvm"])
    verdict = json.loads(result.out)
    if verdict["cannot"]:
        pytest.skip(verdict["cannot"])
    assert verdict["passed"]
    lay_out(find_lab(2), tmp_path / "ports")
    result = pykvm_command("lab", "check", "ports", "--json", lacks=["no-kvm"])
    verdict = json.loads(result.out)
    assert verdict["passed"]
    assert not verdict["complete"]
    skipped = {s["name"]: s["why"] for s in verdict["steps"] if s["outcome"] == "cannot"}
    assert skipped.keys() == {"runs", "astray"}
    assert "/dev/kvm is missing" in skipped["runs"]


@pytest.mark.parametrize(
    ("number", "left_out"),
    [
        pytest.param(7, {"is_cheap"}, id="a device of one's own"),
        pytest.param(
            8, {"predicts_edges", "predicts_kernel", "is_fast_on_a_machine"}, id="counted exits"
        ),
    ],
)
def test_without_kvm_the_emulator_does_all_but_some_steps(
    pykvm_command: Pykvm, tmp_path: Path, number: int, left_out: set[str]
) -> None:
    lay_out(find_lab(number), tmp_path / "lab")
    result = pykvm_command("lab", "check", "lab", "--json", lacks=["no-kvm"])
    verdict = json.loads(result.out)
    if verdict["cannot"]:
        pytest.skip(verdict["cannot"])
    assert verdict["passed"], [step["why"] for step in verdict["steps"]]
    assert {s["name"] for s in verdict["steps"] if s["outcome"] == "cannot"} == left_out


def test_without_kvm_a_lab_about_it_says_what_to_do(pykvm_command: Pykvm, tmp_path: Path) -> None:
    lay_out(find_lab(1), tmp_path / "first")
    result = pykvm_command("lab", "check", "first", lacks=["no-kvm"])
    assert result.status == 125
    assert b"/dev/kvm is missing" in result.out
    assert b"instead: do lab 0" in result.out
    started = pykvm_command("lab", "start", "1", "second", lacks=["no-kvm"])
    assert b"cannot be checked here: /dev/kvm is missing" in started.out


def test_asm_builds_what_run_runs(pykvm_command: Pykvm, tmp_path: Path) -> None:
    lab = next((lab for lab in LABS if lab.has_assembly), None)
    assert lab is not None
    folder = lay_out(lab, tmp_path / "a")
    result = pykvm_command("lab", "asm", cwd=folder)
    if result.status == 125 and "binutils" in result.err:
        pytest.skip(result.complaint)
    assert result.status == 0, result.err
    (name,) = lab.guests
    assert folder.joinpath(name).with_suffix(".bin").stat().st_size > 8
    (folder / name).write_text("nonsense here\n", encoding="utf-8")
    wrong = pykvm_command("lab", "asm", f"a/{name}")
    assert f"{name}:1" in wrong.complaint
