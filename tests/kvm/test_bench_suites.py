"""The suites boot, console, density and scale measure what they say, on this host."""

from __future__ import annotations

from types import ModuleType

import pytest

from pykvm.bench import boot, console, density, scale
from pykvm.bench.options import Options
from pykvm.bench.result import Measure, Skipped, from_json, to_json
from pykvm.errors import BenchError
from pykvm.kvm import System
from pykvm.machine import Machine
from tests.support.leaks import nothing_left_behind

QUICK = Options(quick=True, rounds=2, command="pykvm bench")


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little of everything."""
    monkeypatch.setattr(boot, "QUICK_STARTS", 2)
    monkeypatch.setattr(console, "QUICK_BYTES", 64)
    monkeypatch.setattr(console, "QUICK_RUNS", 2)
    monkeypatch.setattr(density, "QUICK_COUNTS", (1, 3))
    monkeypatch.setattr(density, "COUNTS", (1, 3, 500))
    monkeypatch.setattr(scale, "QUICK_EXITS", 50)
    monkeypatch.setattr(scale, "QUICK_RUNS", 2)


@pytest.mark.parametrize("suite", [boot, console, scale], ids=lambda suite: suite.__name__)
def test_a_suite_measures_all_its_kinds_and_leaves_nothing(suite: ModuleType) -> None:
    steps = []
    suite.run(QUICK, lambda *step: None)  # what is made once for all
    with nothing_left_behind():
        found = suite.run(QUICK, lambda done, of, words: steps.append((done, of)))
    assert [(row.kind, row.title) for row in found.rows] == suite.kinds()
    for row in found.rows:
        if isinstance(row, Skipped):
            assert row.reason
            continue
        assert isinstance(row, Measure)
        assert len(row.rounds) == 2
        assert all(round.total.minimum > 0 for round in row.rounds)
    assert steps[-1][0] == steps[-1][1]
    assert from_json(to_json(found)) == found
    for ratio in found.scale:
        assert ratio.skipped or 0 < ratio.low <= ratio.value <= ratio.high


@pytest.mark.not_on_svm("a process for each round")
def test_density_looks_at_processes_of_their_own() -> None:
    found = density.run(QUICK, lambda *step: None)
    assert [row.kind for row in found.rows] == [
        *("density-1-time", "density-1-pss", "density-1-rss"),
        *("density-3-time", "density-3-pss", "density-3-rss"),
    ]
    assert [
        [round.count for round in row.rounds] for row in found.rows if isinstance(row, Measure)
    ] == [[1, 1]] * 3 + [[3, 3]] + [[1, 1]] * 2


def test_only_what_is_wanted_is_in_the_result() -> None:
    found = console.run(QUICK._replace(only=("console-posted",)), lambda *step: None)
    assert [row.kind for row in found.rows] == ["console-posted"]
    assert found.scale == []


@pytest.mark.parametrize("suite", [boot, console, density, scale], ids=lambda suite: suite.__name__)
def test_there_is_no_such_kind(suite: ModuleType) -> None:
    with pytest.raises(BenchError, match="there is no kind 'nonsense'"):
        suite.run(QUICK._replace(only=("nonsense",)), lambda *step: None)


@pytest.mark.parametrize("strategy", console.STRATEGIES, ids=lambda strategy: strategy.kind)
def test_a_line_takes_its_way(strategy: console.Strategy, system: System) -> None:
    """By KVM's exits: one a byte where each comes out, hardly any where the kernel keeps them."""
    from contextlib import ExitStack

    from pykvm.kvm import probes

    for name in strategy.needs:
        found = probes.result(system, name)
        if not found.ok:
            pytest.skip(f"{name}: {found.words}")
    with ExitStack() as stack:
        line = console.Line(stack, system, strategy)
        line.send(100)
        machine: Machine = line._machine
        before = sum(machine.cpus[0].loop.exits_by_reason().values())
        line.send(100)
        exits = sum(machine.cpus[0].loop.exits_by_reason().values()) - before
    if strategy.kind == "console-coalesced":
        assert exits < 20
    elif strategy.kind != "console-outsb":  # which may come out together, or one by one
        assert exits >= 100


def test_all_processors_of_a_machine_take_their_exits(system: System) -> None:
    from contextlib import ExitStack

    with ExitStack() as stack:
        machine = scale.make(stack, system, scale.HANDLERS[0], 2)
        for _ in range(20):
            scale.take(machine, 2000)
            counts = [sum(cpu.loop.exits_by_reason().values()) for cpu in machine.cpus]
            if min(counts) > 10:
                break
        assert min(counts) > 10
