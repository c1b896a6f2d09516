"""`pykvm bench` as a user types it."""

from __future__ import annotations

import os

import pytest

from tests.cli.conftest import Pykvm


@pytest.mark.needs("long_mode")
def test_it_prints_figures_scale_and_verdict_at_80_columns(pykvm_command: Pykvm) -> None:
    told = pykvm_command("bench", "exits", "--quick", "--only", "pio-out-c,cpuid,scale")
    assert (told.status, told.err) == (0, "")
    lines = told.out.decode().splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split()[:1] == ["pio-out-c"] for line in lines)
    assert any("pykvm's C loop" in line for line in lines)
    assert any(line.startswith("verdict: ") for line in lines)


def test_it_lists_kinds_without_kvm(pykvm_command: Pykvm) -> None:
    told = pykvm_command("bench", "exits", "--list", lacks=["forbidden-kvm"])
    assert told.status == 0
    lines = told.out.decode().splitlines()
    assert max(map(len, lines)) <= 80
    names = [line.split()[0] for line in lines if line[:1].strip()]
    assert {"pio-out-c", "hlt-wake", "page-fault-2m", "scale"} <= set(names)


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["exits", "--only", "cpuidd"], 125, "there is no kind 'cpuidd' to measure: did you mean"),
        (["exits", "--rounds", "0"], 2, "'0' is not a number from 1 on"),
        (["exits", "--cpu", "x"], 2, "'x' is not the number of a processor"),
        (["exits", "--cpu", "99999"], 125, "processor 99999 is not one that this process may use"),
        (["nothing"], 2, "invalid choice: 'nothing'"),
    ],
)
def test_mistakes_end_in_one_line(
    pykvm_command: Pykvm, words: list[str], status: int, says: str
) -> None:
    told = pykvm_command("bench", *words)
    assert told.status == status
    assert says in told.complaint
    assert told.out == b""


@pytest.mark.needs("long_mode")
def test_one_round_says_that_it_is_not_enough(pykvm_command: Pykvm) -> None:
    told = pykvm_command("bench", "exits", "--quick", "--rounds", "1", "--only", "cpuid")
    assert told.status == 0
    assert any(line.split() == ["cpuid", "round"] for line in told.out.decode().splitlines())
    assert b"0 of 1 kinds agree" in told.out


@pytest.mark.needs("long_mode")
def test_it_measures_where_it_is_told(pykvm_command: Pykvm) -> None:
    cpu = min(os.sched_getaffinity(0))
    told = pykvm_command("bench", "exits", "--quick", "--only", "cpuid", "--cpu", str(cpu))
    assert f"on processor {cpu}," in " ".join(told.out.decode().split())
