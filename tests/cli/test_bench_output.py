"""`pykvm bench` with --json, --html, --png and --compare, as a user types it."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from pykvm.bench.reading import read_result
from pykvm.bench.result import Measure, Result, Spread, to_json
from pykvm.cli.bench_output import Outputs
from pykvm.errors import BenchError
from tests.cli.conftest import Pykvm

SUITE = ("console", "--quick", "--only", "console-posted", "--rounds", "5")
ROOT = Path(__file__).parents[2]
RECORDED = str(ROOT / "tests" / "data" / "bench" / "exits-first.json")


def write(path: Path, result: Result) -> str:
    path.write_text(json.dumps(to_json(result)), encoding="utf-8")
    return str(path)


def scaled(result: Result, factor: float) -> Result:
    """What a host would have measured on which all takes `factor` times as long."""
    rows = [row for row in result.rows if isinstance(row, Measure)]
    quiet = {**result.host, "load": 0.0}
    return result._replace(
        host=quiet,
        rows=[
            row._replace(
                verdict=row.verdict._replace(stable=True),
                rounds=[
                    one._replace(total=Spread(*(factor * value for value in one.total)))
                    for one in row.rounds
                ],
            )
            for row in rows
        ],
    )


@pytest.mark.needs("real_mode")
def test_files_and_a_comparison(pykvm_command: Pykvm, tmp_path: Path) -> None:
    first, page = tmp_path / "first.json", tmp_path / "page.html"
    told = pykvm_command("bench", *SUITE, "--json", str(first), "--html", str(page))
    assert (told.status, told.err) == (0, "")
    result = read_result(str(first))
    assert [row.kind for row in result.rows] == ["console-posted"]
    for fact in ("processor", "microcode", "kernel", "kvm", "mitigations", "governor"):
        assert fact in result.host
    for fact in ("clocksource", "load", "pykvm", "python", "compiler", "kvm_modules"):
        assert fact in result.host
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    # a thousandth of what it takes cannot be matched, and the other way round
    slow = write(tmp_path / "slow.json", scaled(result, 1000.0))
    told = pykvm_command("bench", *SUITE, "--compare", slow, "--html", str(page))
    assert told.status == 0
    assert b"none of 1 is slower by more than 5 % for sure" in told.out
    assert "Against the older result" in page.read_text(encoding="utf-8")


@pytest.mark.needs("real_mode")
def test_results_of_another_suite_are_not_compared(pykvm_command: Pykvm, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    told = pykvm_command("bench", *SUITE, "--compare", RECORDED, "--json", str(kept))
    assert told.status == 125
    assert "have no kind in common" in told.complaint
    assert read_result(str(kept)).rows, "what was measured is not lost"


@pytest.mark.needs("real_mode")
def test_a_picture(pykvm_command: Pykvm, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "run.png"
    told = pykvm_command("bench", *SUITE, "--png", str(picture))
    assert (told.status, told.err) == (0, "")
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["--compare", "/none.json"], 125, "--compare: cannot read '/none.json': No such file"),
        (["--compare", "/dev/null"], 125, "--compare: '/dev/null': not JSON"),
        (["--json", "/none/x.json"], 125, "--json: cannot write '/none/x.json': No such file"),
        (["--html", "/"], 125, "--html: cannot write '/': Is a directory"),
        (["--png", "/none/x.png"], 125, "--png"),
        (["--threshold", "7"], 125, "--threshold is for --compare"),
        (["--threshold", "0", "--compare", RECORDED], 2, "'0' is not a number of percent"),
        (["--threshold", "nan", "--compare", RECORDED], 2, "'nan' is not a number of percent"),
    ],
)
def test_mistakes_are_said_before_anything_is_measured(
    pykvm_command: Pykvm, words: list[str], status: int, says: str
) -> None:
    told = pykvm_command("bench", "exits", *words)
    assert told.status == status
    assert says in told.complaint
    assert told.out == b""


def test_without_matplotlib_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    picture = tmp_path / "x.png"
    args = Namespace(json=None, html=None, png=str(picture), compare=None, threshold=None)
    with pytest.raises(BenchError, match="pip install"):
        Outputs(args)
    assert not picture.exists()


def test_an_older_schema_is_said(pykvm_command: Pykvm, tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text('{"schema": 0}', encoding="utf-8")
    told = pykvm_command("bench", "boot", "--compare", str(path))
    assert told.status == 125
    assert "its schema is 0" in told.complaint


@pytest.mark.parametrize("suite", ["boot", "console", "density", "scale"])
def test_kinds_are_listed_without_kvm(pykvm_command: Pykvm, suite: str) -> None:
    told = pykvm_command("bench", suite, "--list", lacks=["forbidden-kvm"])
    assert told.status == 0
    lines = told.out.decode().splitlines()
    assert len(lines) >= 2
    assert all(line.startswith(f"{suite}-") for line in lines)
